"""Where the parts of a document's text stand, and how large it may be."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from aicflow.kernel.errors import DocumentUnreadable
from aicflow.kernel.values import escape_pointer

type Position = tuple[int, int]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|[^\s\[\]{},:"]+')


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be: bytes as written, levels of nesting, values once aliases are expanded."""

    max_bytes: int = 16 * 1024 * 1024
    max_depth: int = 64
    max_values: int = 500_000


DEFAULT_LIMITS: Final = Limits()


def too_deep(limits: Limits, line: int | None = None, column: int | None = None) -> DocumentUnreadable:
    """The error for a document that is nested too deep."""
    return DocumentUnreadable(
        f"The document is nested deeper than {limits.max_depth} levels.",
        code="doc.too-deep",
        line=line,
        column=column,
    )


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
