"""Splitting a command line into words as a POSIX shell does, without expanding anything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aicflow import AICFlowError

__all__ = ["CurlUnreadable", "split"]

_MOST_CHARACTERS = 1_000_000
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_NUMERIC = re.compile(r"x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}")
_EXPANDS = re.compile(r"\$(?:[A-Za-z_0-9@*#?!$-]|\{|\()")


class CurlUnreadable(AICFlowError):
    """The text is not a curl command line that can be turned into params."""


def split(text: str) -> list[str]:
    """The words. Raises CurlUnreadable for an open quote, a second command, or something the shell would expand."""
    if len(text) > _MOST_CHARACTERS:
        raise CurlUnreadable(f"The command line is longer than {_MOST_CHARACTERS} characters.")
    return list(_Splitter(text.strip()).words())


class _Splitter:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def words(self) -> Iterator[str]:
        """One word after the other."""
        word: list[str] | None = None
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t\r\n":
                if word is not None:
                    yield "".join(word)
                if char == "\n" and self._text[self._at :].strip():
                    raise self._wrong("a second line; end the line before it with a backslash")
                word = None
                self._at += 1
            elif char in "|&;<>()":
                raise self._wrong(
                    f"{char!r}, but only a single curl command can be read; put quotes around it if it is data"
                )
            elif char == "#" and word is None:
                self._at = (self._text.find("\n", self._at) + 1 or len(self._text) + 1) - 1
            else:
                piece = self._piece(char)
                if piece is not None:
                    word = word or []
                    word.append(piece)
        if word is not None:
            yield "".join(word)

    def _piece(self, char: str) -> str | None:
        """The text of the next quoted or plain stretch; None for a line that goes on."""
        text, start = self._text, self._at
        if char == "'":
            return self._until("'", start + 1)
        if char == '"':
            return self._double()
        if text.startswith("$'", start):
            return self._ansi()
        if char == "\\":
            self._at += 3 if text.startswith("\r\n", start + 1) else 2
            following = text[start + 1 : start + 2]
            return None if following in ("\n", "\r") else following
        self._refuse_expansion()
        self._at += 1
        return char

    def _until(self, quote: str, start: int) -> str:
        end = self._text.find(quote, start)
        if end < 0:
            raise CurlUnreadable(f"The quote {quote} opened at character {start} is not closed.")
        self._at = end + 1
        return self._text[start:end]

    def _double(self) -> str:
        opened = self._at
        self._at += 1
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join(out)
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in ('"', "\\", "$", "`", "\n"):
                following = self._text[self._at + 1]
                out.append("" if following == "\n" else following)
                self._at += 2
                continue
            self._refuse_expansion()
            out.append(char)
            self._at += 1
        raise CurlUnreadable(f'The quote " opened at character {opened + 1} is not closed.')

    def _ansi(self) -> str:
        """$'…', as browsers write what holds quotes or line breaks."""
        opened = self._at
        self._at += 2
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "'":
                self._at += 1
                return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            if char == "\\":
                out.append(self._escape())
                continue
            out.append(char)
            self._at += 1
        raise CurlUnreadable(f"The quote $' opened at character {opened + 1} is not closed.")

    def _escape(self) -> str:
        numeric = _NUMERIC.match(self._text, self._at + 1)
        if numeric is not None:
            self._at = numeric.end()
            digits = numeric.group()
            code = int(digits[1:], 16) if digits[0] in "xuU" else int(digits, 8)
            if code > 0x10FFFF:
                raise self._wrong("an escape beyond Unicode")
            return chr(code)
        following = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        return _ESCAPES.get(following, following)

    def _refuse_expansion(self) -> None:
        char = self._text[self._at]
        if char == "`" or (char == "$" and _EXPANDS.match(self._text, self._at)):
            raise self._wrong("something the shell would replace; write its value, or put single quotes around it")

    def _wrong(self, what: str) -> CurlUnreadable:
        near = self._text[self._at : self._at + 12].split("\n")[0]
        return CurlUnreadable(f"At character {self._at + 1}, near {near!r}, there is {what}.")
