"""`aicflow subjects …`: what a server keeps about a person."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from aicflow.cli.say import Output, note, print_json, print_rows
from aicflow.cli.server import Server
from aicflow.kernel.errors import AICFlowError

subjects = App(name="subjects", help="What a server keeps about a person: find, export, erase; record of processing.")
_Value = Annotated[
    str | None,
    Parameter(
        help="Who they are, as inputs name them, such as an address; - reads standard input", allow_leading_hyphen=True
    ),
]
_Label = Annotated[
    list[str] | None,
    Parameter(help="All executions of workflows with this label, NAME=VALUE; may be repeated", negative=""),
]


@subjects.command(name="find")
def find_command(value: _Value = None, /, *, label: _Label = None, output: Output = "text") -> None:
    """List everything that is kept about a person."""
    who, labels = _value(value), _labels(value, label)
    found = Server().api.subjects.find(who, labels=labels)
    if output == "json":
        print_json(found)
        return
    print_rows(found["holdings"], ("kind", "id", "status"), output)
    for mention in found["mentions"]:
        note(f"Mentioned, about others too: {mention}")


@subjects.command(name="export")
def export_command(value: _Value = None, /, *, label: _Label = None) -> None:
    """Print everything that is kept about a person, as one JSON object a line."""
    who, labels = _value(value), _labels(value, label)
    for item in Server().api.subjects.export(who, labels=labels)["data"]:
        print(json.dumps(item, ensure_ascii=False))


@subjects.command(name="erase")
def erase_command(
    value: _Value = None,
    /,
    *,
    label: _Label = None,
    cancel: Annotated[bool, Parameter(help="Cancel executions that have not ended", negative="")] = False,
    dry_run: Annotated[bool, Parameter(help="Only show what would be erased", negative="")] = False,
    output: Output = "text",
) -> int:
    """Erase everything that is kept about a person, for good. Leaves with 1 when it can still be read somewhere, such
    as in a backup. Cut short, do it again: it goes on."""
    who, labels = _value(value), _labels(value, label)
    done = Server().api.subjects.erase(who, labels=labels, cancel=cancel, dry_run=dry_run)
    if output == "json":
        print_json(done)
        return 1 if done["traces"] else 0
    for kind, many in sorted(done["counts"].items()):
        if kind != "mention":
            print(f"{kind}: {many}")
    for mention in done["mentions"]:
        print(f"mentioned, about others too: {mention}")
    for trace in done["traces"]:
        print(f"still readable: {trace}")
    if dry_run:
        note(f"Nothing was done. {len(done['active'])} executions have not ended.")
    else:
        note(f"{done['erased']} erased.")
    return 1 if done["traces"] else 0


@subjects.command(name="record")
def record_command(*, output: Output = "text") -> None:
    """Show the record of processing: for each workflow whom it is about, what comes in and which nodes pass it on."""
    record = Server().api.subjects.record()
    if output == "json":
        print_json(record)
        return
    print_rows(record["workflows"], ("workflow_id", "subject", "input_fields", "sources", "passes_on"), output)
    for kind, age in record["retention"].items():
        print(f"{kind}: {age}")


def _value(value: str | None) -> str | None:
    if value is not None and value.startswith("--"):
        raise AICFlowError(f"There is no option {value.partition('=')[0]}.")
    return sys.stdin.read().strip() if value == "-" else value


def _labels(value: str | None, given: list[str] | None) -> dict[str, str] | None:
    if value is None and not given:
        raise AICFlowError("Say who: a value, such as an address, or --label NAME=VALUE.")
    pairs = [text.partition("=") for text in given or ()]
    for name, separator, _ in pairs:
        if not separator:
            raise AICFlowError(f"--label {name}: write it as NAME=VALUE.")
    return {name: text for name, _, text in pairs} or None
