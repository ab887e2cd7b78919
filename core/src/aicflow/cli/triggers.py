"""`aicflow triggers …` and `aicflow deliveries …`: what starts executions on a server, and what arrived."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from aicflow.cli.files import read_input
from aicflow.cli.say import IdempotencyKey, Output, note, print_execution_id, print_fields, print_rows
from aicflow.cli.server import Server

triggers = App(name="triggers", help="Triggers of the workflows on a server: list, next, pause, resume, fire.")
deliveries = App(name="deliveries", help="What arrived for a trigger: list, show, replay.")
_Id = Annotated[str, Parameter(help="The trigger: WORKFLOW:TRIGGER")]
_Delivery = Annotated[str, Parameter(help="The delivery's id")]


@triggers.command(name="list")
def list_command(
    *, workflow: Annotated[str | None, Parameter(help="Of this workflow")] = None, output: Output = "text"
) -> None:
    """List the triggers of enabled workflows; those that cannot fire too, with the reason."""
    found = list(Server().api.triggers.list(workflow_id=workflow))
    print_rows(found, ("id", "type_id", "status", "problem"), output)


@triggers.command(name="next")
def next_command(
    trigger: _Id,
    /,
    *,
    count: Annotated[int, Parameter(help="How many")] = 5,
    output: Output = "text",
) -> None:
    """Tell when a trigger will fire next."""
    found = Server().api.triggers.next_fires(trigger, count=count)
    print_rows(found, tuple(dict.fromkeys(key for one in found for key in one)), output)


@triggers.command(name="pause")
def pause_command(trigger: _Id, /) -> None:
    """Let a trigger fire no more until it is resumed."""
    note(f"{trigger} is {Server().api.triggers.pause(trigger)['status']}.")


@triggers.command(name="resume")
def resume_command(trigger: _Id, /) -> None:
    """Let a paused trigger go on."""
    note(f"{trigger} is {Server().api.triggers.resume(trigger)['status']}.")


@triggers.command(name="fire")
def fire_command(
    trigger: _Id,
    /,
    *,
    payload: Annotated[str | None, Parameter(help="JSON, or @FILE")] = None,
    idempotency_key: IdempotencyKey = None,
    output: Output = "text",
) -> None:
    """Fire a trigger now, also when it is paused, and print the execution's id."""
    print_execution_id(
        Server().api.triggers.fire(trigger, read_input(payload), idempotency_key=idempotency_key), output
    )


@deliveries.command(name="list")
def deliveries_command(
    trigger: _Id,
    /,
    *,
    started: Annotated[bool | None, Parameter(help="Only what has started an execution, or has not")] = None,
    limit: Annotated[int, Parameter(help="At most this many")] = 20,
    output: Output = "text",
) -> None:
    """List what arrived for a trigger, newest first."""
    found = list(Server().api.triggers.deliveries(trigger, started=started, limit=limit))
    print_rows(found, ("id", "received_at", "key", "execution_id", "error"), output)


@deliveries.command(name="show")
def delivery_command(trigger: _Id, delivery: _Delivery, /, *, output: Output = "text") -> None:
    """Show something that arrived, with its payload."""
    print_fields(Server().api.triggers.delivery(trigger, delivery), output)


@deliveries.command(name="replay")
def replay_command(
    trigger: _Id, delivery: _Delivery, /, *, idempotency_key: IdempotencyKey = None, output: Output = "text"
) -> None:
    """Start an execution of today's version with a payload that arrived before, and print its id."""
    print_execution_id(Server().api.triggers.replay(trigger, delivery, idempotency_key=idempotency_key), output)
