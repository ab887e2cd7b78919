"""Finding `${{ … }}` in a text, in time linear in its length whatever it holds."""

from __future__ import annotations

import re
from typing import Final

from aicflow_language.expr import Span
from aicflow_language.expr.limits import MAX_CHARACTERS
from aicflow_language.records import record

OPENING: Final = "${{"
"""How an expression begins in a text; with one more `$` before it, it stands for itself."""

MAX_HOLES: Final = 1_000
"""Expressions in one text."""

_SIGN: Final = re.compile(r"[{}\"']")
_ALONE: Final = re.compile(r"\$\{\{\s*+((?:[^{}\"']++|\"(?:[^\"\\\n]|\\[^\n])*+\"|'(?:[^'\\\n]|\\[^\n])*+')*+)\}\}")
"""A text that is one expression without braces in it."""
_QUOTED: Final = {
    '"': re.compile(r'"(?:[^"\\\n]|\\[^\n])*+"'),
    "'": re.compile(r"'(?:[^'\\\n]|\\[^\n])*+'"),
}


@record
class Hole:
    """One `${{ … }}`: where it stands, the expression inside, and where the expression starts in the text."""

    span: Span
    source: str
    offset: int


@record
class Scan:
    """A text taken apart. `unclosed` is where a `${{` stands that no `}}` follows, `too_many` where the first hole
    too many does; the text from there on is not looked at."""

    parts: tuple[str | Hole, ...]
    unclosed: int | None = None
    too_many: int | None = None


def scan(text: str) -> Scan:
    """The literal pieces and the expressions of a text, in order, escapes replaced."""
    alone = _ALONE.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if alone is not None:
        return Scan((Hole((0, len(text)), alone[1].rstrip(), alone.start(1)),))
    parts: list[str | Hole] = []
    literal: list[str] = []
    holes = 0
    position = 0
    while (start := text.find(OPENING, position)) >= 0:
        if start > position and text[start - 1] == "$":
            literal += (text[position : start - 1], OPENING)
            position = start + len(OPENING)
            continue
        end = _closing(text, start + len(OPENING))
        if end is None or holes == MAX_HOLES:
            parts.append("".join((*literal, text[position:start])))
            return Scan(tuple(parts), start, None) if end is None else Scan(tuple(parts), None, start)
        literal.append(text[position:start])
        if before := "".join(literal):
            parts.append(before)
        literal = []
        holes += 1
        inside = text[start + len(OPENING) : end]
        offset = start + len(OPENING) + len(inside) - len(inside.lstrip())
        position = end + 2
        parts.append(Hole((start, position), inside.strip(), offset))
    literal.append(text[position:])
    if after := "".join(literal):
        parts.append(after)
    return Scan(tuple(parts))


def _closing(text: str, start: int) -> int | None:
    """Where the `}}` of an expression stands, not counting braces in its texts and objects; None if there is none.

    When the inside cannot be an expression (a text that never ends, a brace too many, too long), the first `}}` is
    taken, so that the error is reported where it is and the rest of the text is still read.
    """
    limit = min(len(text), start + MAX_CHARACTERS + 2)
    depth = 0
    position = start
    while (sign := _SIGN.search(text, position, limit)) is not None:
        position = sign.start()
        character = text[position]
        if character == "{":
            depth += 1
        elif character != "}":
            quoted = _QUOTED[character].match(text, position, limit)
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
