"""What commands share: their common options, and printing: results to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

type OutputFormat = Literal["text", "json"]
Output = Annotated[OutputFormat, Parameter(help="text or json")]
EventOutput = Annotated[OutputFormat, Parameter(help="text, or json with an event a line")]
Input = Annotated[str | None, Parameter(help="The input: JSON, or @FILE")]
File = Annotated[str, Parameter(help="JSON, YAML or Python; - is standard input", allow_leading_hyphen=True)]
IdempotencyKey = Annotated[str | None, Parameter(help="Repeating the command with the same key starts nothing new")]


def complain(message: str, *, hint: str | None = None) -> None:
    """One clear sentence about what went wrong, and what to do."""
    print(f"error: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr)


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """rich's console; it writes plain text where there is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty())


def note(text: str) -> None:
    """What a person wants to know and a program does not read."""
    print(text, file=sys.stderr)


def print_rows(items: Sequence[Mapping[str, Any]], columns: Sequence[str], output: OutputFormat) -> None:
    """A list: as a table of these columns, or whole as JSON."""
    if output == "json":
        print_json(items)
    else:
        print_table(columns, [[_cell(item.get(name)) for name in columns] for item in items])


def print_fields(item: Mapping[str, Any], output: OutputFormat, *, without: Sequence[str] = ()) -> None:
    """One thing: a line for each field that has a value, or whole as JSON."""
    if output == "json":
        print_json(item)
        return
    shown = {name: _cell(value) for name, value in item.items() if value is not None and name not in without}
    width = max(map(len, shown), default=0)
    for name, text in shown.items():
        print(f"{name:{width}}  {text}")


def print_execution_id(execution: Mapping[str, Any], output: OutputFormat) -> None:
    """What was started: its id, or whole as JSON."""
    print_json(execution) if output == "json" else print(execution["id"])


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their heads; where there is no terminal, nothing is cut or wrapped at eighty columns."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(
            head, overflow="fold", no_wrap=head not in ("what it does", "what it is", "default", "reason", "types")
        )
    for row in rows:
        table.add_row(*map(escape, row))
    screen = console()
    if not screen.is_terminal:
        screen.width = max(screen.width, 200)
    screen.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
