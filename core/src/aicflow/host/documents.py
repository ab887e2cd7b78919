"""Reading documents strictly: bytes that may be hostile become JSON values, or an error with line and column.

Knows JSON and YAML, nothing of workflows. Imports no web framework, so the command line can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from aicflow.host.positions import (
    DEFAULT_LIMITS,
    Limits,
    Position,
    Positions,
    json_positions,
    position_at,
    position_of_duplicate,
)
from aicflow.kernel.errors import DocumentUnreadable
from aicflow.kernel.values import JsonError
from aicflow.kernel.values import read_json as strictly_read

__all__ = [
    "DEFAULT_LIMITS",
    "DocumentFormat",
    "Limits",
    "Position",
    "Positions",
    "SourceDocument",
    "read_document",
    "read_json",
]

type DocumentFormat = Literal["json", "yaml"]

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A value and where its parts stand in the text. Finding positions of JSON costs a pass over the text, so ask for
    all at once."""

    value: Any
    find_positions: Callable[[Iterable[str]], Positions]

    def position(self, pointer: str) -> Position | None:
        """Line and column (from 1) of what the pointer names, or of its nearest existing parent."""
        return self.find_positions([pointer]).of(pointer)


def read_document(data: bytes, format: DocumentFormat, limits: Limits = DEFAULT_LIMITS) -> SourceDocument:
    """The document in the bytes. Raises DocumentUnreadable."""
    if format == "yaml":
        from aicflow.host.yaml_reader import read_yaml

        value, positions = read_yaml(_text(data, limits), limits)
        return SourceDocument(value, lambda _: positions)
    value = read_json(data, limits)
    return SourceDocument(value, lambda wanted: json_positions(data.removeprefix(_BOM).decode(), wanted))


def read_json(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of a JSON text, read as strictly as `aicflow.read_json` does. Raises DocumentUnreadable with line and
    column."""
    _check_size(data, limits)
    try:
        return strictly_read(data, limits.max_depth)
    except JsonError as error:
        line, column = error.line, error.column
        if error.code == "duplicate-key":
            line, column = position_of_duplicate(data.removeprefix(_BOM).decode())
        raise DocumentUnreadable(
            f"The document {error.message}.", code=f"doc.{error.code}", line=line, column=column
        ) from None


def _check_size(data: bytes, limits: Limits) -> None:
    if len(data) > limits.max_bytes:
        raise DocumentUnreadable(
            f"The document has {len(data):,} bytes; {limits.max_bytes:,} are accepted.", code="doc.too-large"
        )


def _text(data: bytes, limits: Limits) -> str:
    _check_size(data, limits)
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = position_at(before, len(before))
        raise DocumentUnreadable(
            "The document is not UTF-8 text.", code="doc.encoding", line=line, column=column
        ) from None
