"""What a quoted text of the source stands for: the escapes of JSON and Python."""

from __future__ import annotations

import re
from typing import Final

from aicflow_language.expr.errors import ExpressionError

__all__ = ["unescape"]

_SIMPLE: Final = {
    "\\": "\\", "'": "'", '"': '"', "/": "/", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f",
}  # fmt: skip

_DIGITS: Final = {"x": 2, "u": 4, "U": 8}

_ESCAPE: Final = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


def unescape(quoted: str, offset: int) -> str:
    """The text between the quotes with its escapes replaced. `offset` is where it starts in the source."""
    body = quoted[1:-1]
    if "\\" in body:
        pieces: list[str] = []
        at = 0
        for match in _ESCAPE.finditer(body):
            pieces.append(body[at : match.start()])
            pieces.append(_character(match.group(), offset + 1 + match.start()))
            at = match.end()
        pieces.append(body[at:])
        body = "".join(pieces)
    if not body.isascii():
        # a pair of escaped halves means one character, as in JSON; a half alone is no character at all
        try:
            body = body.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ExpressionError(
                "expr.syntax",
                "The text holds half of a surrogate pair",
                (offset, offset + len(quoted)),
                "Write both halves, or the character itself.",
            ) from None
    return body


def _character(escape: str, position: int) -> str:
    letter = escape[1]
    if letter in _SIMPLE:
        return _SIMPLE[letter]
    span = (position, position + len(escape))
    if letter not in _DIGITS:
        hint = "To write a backslash itself, double it."
        raise ExpressionError("expr.syntax", f"'\\{letter}' is not an escape", span, hint)
    if len(escape) == 2:
        message = f"'\\{letter}' needs {_DIGITS[letter]} hexadecimal digits"
        raise ExpressionError("expr.syntax", message, span)
    number = int(escape[2:], 16)
    if number > 0x10FFFF:
        raise ExpressionError("expr.syntax", f"There is no character with the number {number:#x}", span)
    return chr(number)
