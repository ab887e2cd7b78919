"""Where the parts of a text document stand: JSON pointers to lines and columns, both from 1."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aicflow.kernel.values import escape_pointer

__all__ = ["Position", "Positions", "json_positions", "place_of_duplicate", "place_of_index"]

type Position = tuple[int, int]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions by JSON pointer."""

    places: dict[str, Position]

    def of(self, pointer: str) -> Position | None:
        """The place of what the pointer names; when that does not exist (a missing key), of its nearest parent."""
        while pointer not in self.places:
            if not pointer:
                return None
            pointer = pointer.rpartition("/")[0]
        return self.places[pointer]


def place_of_index(text: str, index: int) -> Position:
    """Line and column of a character."""
    index = max(index, 0)
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def json_positions(text: str) -> Positions:
    """The positions of every value in a well-formed JSON text."""
    return Positions({pointer: start for pointer, start, _ in _values(text)})


def place_of_duplicate(text: str) -> Position:
    """The place of the first value in a well-formed JSON text whose key stood in the same object before."""
    seen: set[str] = set()
    for pointer, start, key_place in _values(text):
        if pointer in seen:
            return key_place or start
        seen.add(pointer)
    return 1, 1


def _values(text: str) -> Iterator[tuple[str, Position, Position | None]]:
    """Each value of a well-formed JSON text in order: its pointer, its place, and its key's place in an object."""
    starts = [0] + [found.end() for found in re.finditer("\n", text)]

    def place(index: int) -> Position:
        line = bisect_right(starts, index)
        return line, index - starts[line - 1] + 1

    # a frame is [pointer of the container, next index in a list or None in an object, key waiting for its value]
    stack: list[list[Any]] = []
    key_place: Position | None = None
    for found in _TOKEN.finditer(text):
        word, index = found[0], found.start()
        if word in ",:":
            continue
        if word in "]}":
            stack.pop()
            continue
        frame = stack[-1] if stack else None
        if frame is not None and frame[1] is None and frame[2] is None:
            frame[2] = json.loads(word)
            key_place = place(index)
            continue
        if frame is None:
            pointer = ""
        elif frame[1] is None:
            pointer = f"{frame[0]}/{escape_pointer(frame[2])}"
            frame[2] = None
        else:
            pointer = f"{frame[0]}/{frame[1]}"
            frame[1] += 1
            key_place = None
        yield pointer, place(index), key_place
        if word == "{":
            stack.append([pointer, None, None])
        elif word == "[":
            stack.append([pointer, 0, None])
