"""Taking a text of a document apart into what stands for itself and `${{ … }}`, the way the server does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aicflow_sdk.build.text import OPENING

__all__ = ["Hole", "scan"]

_SIGN: Final = re.compile(r"[{}\"']")
_QUOTED: Final = {
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*+"'),
    "'": re.compile(r"'(?:[^'\\\n]|\\[^\n])*+'"),
}


@dataclass(frozen=True, slots=True)
class Hole:
    """One `${{ … }}`."""

    source: str


def scan(text: str) -> list[str | Hole] | None:
    """The pieces of a text in order, escapes replaced; None when a `${{` is never closed."""
    parts: list[str | Hole] = []
    literal = ""
    position = 0
    while (start := text.find(OPENING, position)) >= 0:
        if start > position and text[start - 1] == "$":
            literal += text[position : start - 1] + OPENING
            position = start + len(OPENING)
            continue
        end = _closing(text, start + len(OPENING))
        if end is None:
            return None
        literal += text[position:start]
        if literal:
            parts.append(literal)
        literal = ""
        parts.append(Hole(text[start + len(OPENING) : end].strip()))
        position = end + 2
    literal += text[position:]
    if literal:
        parts.append(literal)
    return parts


def _closing(text: str, start: int) -> int | None:
    """Where the `}}` stands, not counting braces in texts and objects; the first one when that cannot be told."""
    depth = 0
    position = start
    while (sign := _SIGN.search(text, position)) is not None:
        position = sign.start()
        character = text[position]
        if character == "{":
            depth += 1
        elif character != "}":
            quoted = _QUOTED[character].match(text, position)
            if quoted is None:
                break
            position = quoted.end()
            continue
        elif depth:
            depth -= 1
        elif text.startswith("}}", position):
            return position
        else:
            break
        position += 1
    found = text.find("}}", start)
    return found if found >= 0 else None
