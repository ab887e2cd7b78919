"""`aicflow secrets …`: secrets on a server. A value is read from standard input, never from the command line."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.say import Output, note, print_json, print_table
from aicflow.cli.server import Server
from aicflow.kernel.errors import AICFlowError

secrets = App(name="secrets", help="Secrets on a server: set, list, uses, delete, rotate-key.")
_Name = Annotated[str, Parameter(help="Its name: `secrets.NAME` in workflows")]


@secrets.command(name="set")
def set_command(
    name: _Name,
    /,
    *,
    keep_value: Annotated[bool, Parameter(help="Change the rest, not the value", negative="")] = False,
    description: Annotated[str | None, Parameter(help="What it is for")] = None,
    workflow: Annotated[
        list[str] | None,
        Parameter(help="Id of a workflow that may use it, all others not; may be repeated", negative=""),
    ] = None,
    label: Annotated[
        list[str] | None,
        Parameter(help="KEY=VALUE: workflows with all of these labels may use it; may be repeated", negative=""),
    ] = None,
    everywhere: Annotated[bool, Parameter(help="Every workflow may use it", negative="")] = False,
    create: Annotated[bool, Parameter(help="Only if there is none of this name", negative="")] = False,
    output: Output = "text",
) -> None:
    """Keep a secret. The value is asked for, or read from standard input, without the line end at its end.

    The server seals it. No command and no call shows it again.
    """
    labels: dict[str, str] | None = {} if everywhere else None
    for one in label or ():
        key, equals, value = one.partition("=")
        if not equals:
            raise AICFlowError(f"--label {one} has no value.", hint="Write --label team=billing.")
        labels = {**(labels or {}), key: value}
    if everywhere and (workflow or label):
        raise AICFlowError("--everywhere takes the limits away; leave --workflow and --label out.")
    kept = Server().api.secrets.put(
        name,
        None if keep_value else _value(name),
        description=description,
        workflows=[] if everywhere else workflow,
        labels=labels,
        create=create,
    )
    if output == "json":
        print_json(kept)
    else:
        note(f"{name} is at version {kept['version']}{_limits(kept)}.")


@secrets.command(name="list")
def list_command(*, output: Output = "text") -> None:
    """List the secrets of every source that can list its own, never their values."""
    found = list(Server().api.secrets.list())
    if output == "json":
        print_json(found)
        return
    rows = [
        [
            one["name"],
            one["source"],
            str(one["version"] or ""),
            one["updated_at"] or "",
            one["last_used_at"] or "",
            str(len({use["workflow_id"] for use in one["used_by"]})),
            (one["description"] or "") + _limits(one),
        ]
        for one in found
    ]
    print_table(("name", "source", "version", "updated", "last used", "workflows", "what it is"), rows)


@secrets.command(name="uses")
def uses_command(
    name: Annotated[str | None, Parameter(help="Only of this secret")] = None, /, *, output: Output = "text"
) -> None:
    """List where workflows use secrets: the node or trigger, and the place in the document."""
    found = [one for one in Server().api.secrets.list() if name in (None, one["name"])]
    if name is not None and not found:
        raise AICFlowError(f"No source lists a secret {name!r}.", hint="`aicflow secrets list` shows all names.")
    uses = [{"secret": one["name"], **use} for one in found for use in one["used_by"]]
    if output == "json":
        print_json(uses)
        return
    rows = [
        [use["secret"], use["workflow_id"], use["workflow"], use["node_id"] or use["trigger_id"] or "", use["pointer"]]
        for use in uses
    ]
    print_table(("secret", "workflow", "name", "node or trigger", "place"), rows)


@secrets.command(name="delete")
def delete_command(
    name: _Name, /, *, force: Annotated[bool, Parameter(help="Also when workflows use it", negative="")] = False
) -> None:
    """Forget a secret. Refused while a workflow uses it, unless --force is given."""
    Server().api.secrets.delete(name, force=force)
    note(f"{name} is deleted.")


@secrets.command(name="rotate-key")
def rotate_key_command(*, output: Output = "text") -> None:
    """Wrap the key of every stored secret with the first key of the server's key file, or with a new one where the
    server keeps its key in the data folder. May be repeated; what was interrupted goes on."""
    done = Server().api.secrets.rotate_key()
    if output == "json":
        print_json(done)
    elif done["key"] is None:
        note("There is no key and no stored secret yet.")
    else:
        note(f"{done['rotated']} of {done['secrets']} secrets were wrapped anew; the key is {done['key']} now.")


def _value(name: str) -> str:
    if sys.stdin.isatty():
        value = getpass(f"Value of {name}: ")
    else:
        try:
            value = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:
            raise AICFlowError("The value is not text in UTF-8.") from None
        value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise AICFlowError("The value is empty.", hint=f"For example: pass show {name} | aicflow secrets set {name}")
    return value


def _limits(secret: Any) -> str:
    only = [*secret["workflows"], *(f"{key}={value}" for key, value in secret["labels"].items())]
    return f" (only for {', '.join(only)})" if only else ""
