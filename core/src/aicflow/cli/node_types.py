"""`aicflow node-types …`: what a server can run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from aicflow.cli.listing import show_node
from aicflow.cli.say import Output, note, print_json, print_rows
from aicflow.cli.server import Server

node_types = App(name="node-types", help="Node types on a server: list, show, enable, disable.")
_Type = Annotated[str, Parameter(help="Such as http.request")]


@node_types.command(name="list")
def list_command(*, output: Output = "text") -> None:
    """List the node types."""
    print_rows(list(Server().api.node_types.list()), ("type_id", "version", "enabled", "summary"), output)


@node_types.command(name="show")
def show_command(type_id: _Type, /, *, output: Output = "text") -> None:
    """Show a node type with its params."""
    view = Server().api.node_types.get(type_id)
    if output == "json":
        print_json(view)
    else:
        show_node(view)


@node_types.command(name="enable")
def enable_command(type_id: _Type, /) -> None:
    """Let workflows use a node type."""
    Server().api.node_types.configure(type_id, enabled=True)
    note(f"{type_id} is enabled.")


@node_types.command(name="disable")
def disable_command(type_id: _Type, /) -> None:
    """Let no workflow use a node type."""
    Server().api.node_types.configure(type_id, enabled=False)
    note(f"{type_id} is disabled.")
