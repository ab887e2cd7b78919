"""Reading documents strictly: bytes that may be hostile become JSON values, or an error with line and column.

Knows JSON and YAML, nothing of workflows. Imports no web framework, so the command line can use it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from aicflow.kernel.errors import DocumentUnreadable
from aicflow.kernel.values import JsonError, escape_pointer
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
class Limits:
    """How large a document may be: bytes as written, levels of nesting, values once aliases are expanded."""

    max_bytes: int = 5 * 1024 * 1024
    max_depth: int = 64
    max_values: int = 500_000


DEFAULT_LIMITS: Final = Limits()


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


def too_deep(limits: Limits, line: int | None = None, column: int | None = None) -> DocumentUnreadable:
    """The error for a document that is nested too deep."""
    return DocumentUnreadable(
        f"The document is nested deeper than {limits.max_depth} levels.",
        code="doc.too-deep",
        line=line,
        column=column,
    )


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


type Position = tuple[int, int]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\s\[\]{},:"]+')


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions by JSON pointer."""

    by_pointer: dict[str, Position]

    def of(self, pointer: str) -> Position | None:
        """The position of what the pointer names; when that does not exist (a missing key), of its nearest parent."""
        while pointer not in self.by_pointer:
            if not pointer:
                return None
            pointer = pointer.rpartition("/")[0]
        return self.by_pointer[pointer]


def position_at(text: str, index: int) -> Position:
    """Line and column of a character."""
    index = max(index, 0)
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def json_positions(text: str, pointers: Iterable[str]) -> Positions:
    """The positions of what these pointers name, and of all that it is inside of, in a well-formed JSON text."""
    wanted = {""}
    for pointer in pointers:
        while pointer not in wanted:
            wanted.add(pointer)
            pointer = pointer.rpartition("/")[0]
    locate = _locator(text)
    return Positions({pointer: locate(index) for pointer, index, _ in _values(text, wanted) if pointer is not None})


def position_of_duplicate(text: str) -> Position:
    """The position of the first value in a well-formed JSON text whose key stood in the same object before."""
    return next((_locator(text)(index) for _, _, index in _values(text, ()) if index is not None), (1, 1))


def _locator(text: str) -> Callable[[int], Position]:
    starts = [0] + [found.end() for found in re.finditer("\n", text)]

    def locate(index: int) -> Position:
        line = bisect_right(starts, index)
        return line, index - starts[line - 1] + 1

    return locate


def _values(text: str, wanted: Collection[str]) -> Iterator[tuple[str | None, int, int | None]]:
    """Each value of a well-formed JSON text in order: its pointer, if it is wanted, where it begins, and where its key
    does if the same object had it before. Wanted pointers come with all that they begin with."""
    # of the containers around: [pointer if wanted, next index in a list, key waiting for its value, keys of an object]
    stack: list[list[Any]] = []
    again: int | None = None
    for found in _TOKEN.finditer(text):
        word = found[0]
        if word in "]}":
            stack.pop()
            continue
        pointer: str | None = ""
        if stack:
            frame = stack[-1]
            pointer, index, key, keys = frame
            if keys is not None and key is None:
                key = frame[2] = word if "\\" not in word else json.dumps(json.loads(word), ensure_ascii=False)
                again = found.start() if key in keys else None
                keys.add(key)
                continue
            if keys is not None:
                frame[2] = None
            else:
                frame[1] += 1
            if pointer is not None:
                pointer = f"{pointer}/{index if keys is None else escape_pointer(json.loads(key))}"
        if pointer not in wanted:
            pointer = None
        yield pointer, found.start(), again
        again = None
        if word == "{":
            stack.append([pointer, None, None, set()])
        elif word == "[":
            stack.append([pointer, 0, None, None])
