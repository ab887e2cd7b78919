"""`aicflow events …`: sending events to a server, and what was sent."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from aicflow.cli.files import read_input
from aicflow.cli.say import IdempotencyKey, Output, note, print_fields, print_rows
from aicflow.cli.server import Server

events = App(name="events", help="Events for the steps and triggers that look out for them: send, list, show.")


@events.command(name="send")
def send_command(
    name: Annotated[str, Parameter(help="The event's name, such as order.paid")],
    /,
    *,
    key: Annotated[str | None, Parameter(help="What it is about, such as an order's number")] = None,
    data: Annotated[str | None, Parameter(help="JSON, or @FILE")] = None,
    id: Annotated[str | None, Parameter(help="Its id: one that was sent before does nothing")] = None,
    ttl: Annotated[float | None, Parameter(help="Seconds in which steps that begin to wait find it")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = "text",
) -> None:
    """Send an event, and print its id."""
    sent = Server().api.events.send(
        name, key=key, data=read_input(data), id=id, ttl=ttl, idempotency_key=idempotency_key
    )
    if output == "json":
        print_fields(sent, output)
        return
    print(sent["id"])
    note(f"Received by {sent['received']} waiting steps.")


@events.command(name="list")
def list_command(
    *,
    name: Annotated[str | None, Parameter(help="Of this name")] = None,
    key: Annotated[str | None, Parameter(help="With this key")] = None,
    limit: Annotated[int, Parameter(help="At most this many")] = 20,
    output: Output = "text",
) -> None:
    """List the events that are kept, newest first."""
    found = list(Server().api.events.list(name=name, key=key, limit=limit))
    print_rows(found, ("id", "name", "key", "received_at", "received"), output)


@events.command(name="show")
def show_command(event: Annotated[str, Parameter(help="The event's id")], /, *, output: Output = "text") -> None:
    """Show an event with its data."""
    print_fields(Server().api.events.get(event), output)
