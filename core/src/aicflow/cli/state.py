"""`aicflow state …`: what workflows on a server keep between their executions."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from aicflow.cli.files import read_input
from aicflow.cli.say import Output, note, print_json, print_rows
from aicflow.cli.server import Server

state = App(name="state", help="What workflows on a server keep between executions: list, get, set, delete.")
_Workflow = Annotated[str, Parameter(help="Id of the workflow")]
_Key = Annotated[str, Parameter(help="The key")]
_Version = Annotated[int | None, Parameter(help="Only if the entry has this version; 0: only if there is none")]


@state.command(name="list")
def list_command(
    workflow: _Workflow,
    /,
    *,
    prefix: Annotated[str | None, Parameter(help="What the keys begin with")] = None,
    output: Output = "text",
) -> None:
    """List what a workflow keeps, by key."""
    found = list(Server().api.state.list(workflow, prefix=prefix))
    print_rows(found, ("key", "version", "updated_at", "expires_at"), output)


@state.command(name="get")
def get_command(workflow: _Workflow, key: _Key, /, *, output: Output = "text") -> None:
    """Print the value under a key as JSON; with `--output json` the whole entry."""
    entry = Server().api.state.get(workflow, key)
    print_json(entry if output == "json" else entry["value"])


@state.command(name="set")
def set_command(
    workflow: _Workflow,
    key: _Key,
    value: Annotated[str, Parameter(help="JSON, or @FILE", allow_leading_hyphen=True)],
    /,
    *,
    lifetime: Annotated[float | None, Parameter(help="Seconds until it is forgotten")] = None,
    version: _Version = None,
) -> None:
    """Keep a value under a key."""
    entry = Server().api.state.put(workflow, key, read_input(value), lifetime=lifetime, version=version)
    note(f"{key} is at version {entry['version']}.")


@state.command(name="delete")
def delete_command(workflow: _Workflow, key: _Key, /, *, version: _Version = None) -> None:
    """Forget what is kept under a key."""
    Server().api.state.delete(workflow, key, version=version)
    note(f"{key} is forgotten.")
