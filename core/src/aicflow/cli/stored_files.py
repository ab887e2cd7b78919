"""`aicflow files …`: files on a server that executions take and return."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from aicflow.cli.say import Output, note, print_json, print_rows
from aicflow.cli.server import Server
from aicflow.kernel.errors import AICFlowError

files = App(name="files", help="Files on a server: put, get, list, delete.")
_Sha256 = Annotated[str, Parameter(help="SHA-256 of the content, as `aicflow files list` shows it")]


@files.command(name="put")
def put_command(
    path: Annotated[str, Parameter(help="The file; - is standard input", allow_leading_hyphen=True)],
    /,
    *,
    name: Annotated[str | None, Parameter(help="What it is called; by default as it is here")] = None,
    type: Annotated[str | None, Parameter(help="Its media type; by default what its name says")] = None,
    output: Output = "text",
) -> None:
    """Upload a file, and print what an input names it by; with `--output json` all that is known of it."""
    source: Any = sys.stdin.buffer if path == "-" else Path(path)
    if isinstance(source, Path) and not source.is_file():
        raise AICFlowError(f"There is no file {path}.")
    found = Server().api.files.upload(source, name=name, type=type)
    print_json(found if output == "json" else found["file"])


@files.command(name="get")
def get_command(
    sha256: _Sha256,
    /,
    *,
    to: Annotated[Path, Parameter(help="A file, or a folder in which it has its own name")] = Path(),
) -> None:
    """Download a file. One that broke off goes on where it was."""
    saved = Server().download(sha256, to)
    note(f"Saved as {saved}.")


@files.command(name="list")
def list_command(
    *,
    limit: Annotated[int | None, Parameter(help="At most so many")] = None,
    output: Output = "text",
) -> None:
    """List files, newest first."""
    found = list(Server().api.files.list(limit=limit))
    print_rows(found, ("sha256", "size", "type", "name", "executions", "expires_at"), output)


@files.command(name="delete")
def delete_command(sha256: _Sha256, /) -> None:
    """Delete a file that no execution holds."""
    Server().api.files.delete(sha256)
    note(f"{sha256} is deleted.")
