"""Reading what the command line is given: workflow files, inputs, settings."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aicflow.host.documents import DocumentFormat, Positions, SourceDocument, read_document, read_json
from aicflow.kernel.errors import AICFlowError, DocumentUnreadable

if TYPE_CHECKING:
    from aicflow.cli.server import Server
    from aicflow.host.datadir import DataDir
    from aicflow.host.settings import Settings

_SUFFIXES: Mapping[str, DocumentFormat] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unreadable(Exception):
    """A file that is not a document; `error` says where."""

    name: str
    error: DocumentUnreadable

    def sentence(self) -> str:
        """`file:line:column: what`."""
        place = f":{self.error.line}:{self.error.column}" if self.error.line is not None else ""
        return f"{self.name}{place}: {self.error.message}"


def _bytes(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise AICFlowError(f"There is no file {name}.") from None
    except IsADirectoryError:
        raise AICFlowError(f"{name} is a folder; give a file.") from None
    except (OSError, ValueError) as error:
        raise AICFlowError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def no_options(*names: str) -> None:
    """Raise AICFlowError when a file's name is a misspelt option; `-` alone is standard input."""
    for name in names:
        if name.startswith("-") and name != "-":
            raise AICFlowError(
                f"There is no option {name.partition('=')[0]}.", hint=f"A file of this name is ./{name}."
            )


def read_file(name: str) -> SourceDocument:
    """The document in a file; `-` is standard input. The suffix says whether it is JSON, YAML or Python (which builds
    it; `FILE.py:NAME` names one of several), else its first character does. Raises AICFlowError when there is no such
    file, Unreadable when it holds no document."""
    if (found := re.fullmatch(r"(.+\.py)(?::(\w+))?", name)) is not None:
        from aicflow.cli.python_file import document_built_in

        return SourceDocument(document_built_in(found[1], found[2]), lambda _: Positions({}))
    data = _bytes(name)
    guess: DocumentFormat = "json" if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else "yaml"
    try:
        return read_document(data, _SUFFIXES.get(Path(name).suffix.lower(), guess))
    except DocumentUnreadable as error:
        raise Unreadable(name, error) from None


def read_workflow(name: str) -> SourceDocument:
    """The document in a file. Raises AICFlowError for every reason why there is none."""
    no_options(name)
    try:
        return read_file(name)
    except Unreadable as error:
        raise AICFlowError(error.sentence(), hint=error.error.hint) from None


def list_errors(name: str, document: SourceDocument, issues: Iterable[Any]) -> None:
    """Raise AICFlowError that lists every error among the findings with its place, when there is one."""
    errors = [issue for issue in issues if issue.severity == "error"]
    if not errors:
        return
    lines = []
    positions = document.find_positions([issue.pointer for issue in errors[:_SHOWN]])
    for issue in errors[:_SHOWN]:
        place = positions.of(issue.pointer)
        where = f"{name}:{place[0]}:{place[1]}" if place else f"{name}: {issue.pointer or '/'}"
        lines.append(
            f"  {where}: {issue.code}: {issue.message.rstrip('.')}." + (f" {issue.hint}" if issue.hint else "")
        )
    if len(errors) > _SHOWN:
        lines.append(f"  and {len(errors) - _SHOWN} more; `aicflow validate {name}` lists all")
    raise AICFlowError(f"{name} has {len(errors)} error{'s' if len(errors) > 1 else ''}.\n" + "\n".join(lines))


def read_input(text: str | None) -> Any:
    """A value from the command line: JSON, or `@FILE` with JSON or YAML. Raises AICFlowError."""
    if text is None:
        return None
    if text.startswith("@"):
        try:
            return read_file(text[1:]).value
        except Unreadable as error:
            raise AICFlowError(f"The value cannot be read: {error.sentence()}") from None
    try:
        return read_json(text.encode("utf-8", "surrogateescape"))
    except DocumentUnreadable as error:
        place = f" (line {error.line}, column {error.column})" if error.line is not None else ""
        raise AICFlowError(
            error.message.replace("The document", "The value", 1) + place,
            hint="""Give JSON such as '{"name": "Ada"}' or '"text"', or a file that holds it as @file.json.""",
        ) from None


def load_settings(**overrides: Any) -> Settings:
    """The settings from the environment, with what the command line gave. Raises AICFlowError that names the
    variable."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from aicflow.host.settings import Settings

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        source = f"--{name.replace('_', '-')}" if name in given else f"AICFLOW_{name.upper()}"
        raise AICFlowError(f"{source}: {first['msg'].removeprefix('Value error, ').rstrip('.')}.") from None
    except SettingsError as error:
        raise AICFlowError(f"The settings cannot be read: {error}.") from None


def running_server(data: DataDir) -> Server | None:
    """The server at AICFLOW_URL, or the one that runs on the data folder; None without any. Raises AICFlowError."""
    if not os.environ.get("AICFLOW_URL") and data.server() is None:
        return None
    from aicflow.cli.server import Server

    return Server(data_dir=data.path)
