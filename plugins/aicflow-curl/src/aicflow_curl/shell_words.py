"""Splitting a command line into words as a POSIX shell does, without expanding anything."""

from __future__ import annotations

import re

from aicflow import AICFlowError

_MOST_CHARACTERS = 1_000_000
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_ANSI_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.?))", re.S)
_QUOTED_ESCAPE = re.compile(r'\\(?:([\\"$`])|\n)')
# What the shell would replace: a $ with a name, a brace or a parenthesis behind it, and a backquote.
_PART = re.compile(
    r"""
    (?P<gap> [ \t\r\n]+ )
  | ' (?P<single> [^']* ) '
  | \$' (?P<ansi> (?: [^'\\] | \\. )* ) '
  | " (?P<double> (?: [^"\\$`] | \\. | \$(?![A-Za-z_0-9@*\#?!${(-]) )* ) "
  | (?P<joined> \\ (?: \r\n | \r | \n ) )
  | \\ (?P<escaped> .? )
  | (?P<plain> (?: [^ \t\r\n'"\\$`|&;<>()] | \$(?![A-Za-z_0-9@*\#?!${('-]) )+ )
    """,
    re.VERBOSE | re.DOTALL,
)


class CurlUnreadable(AICFlowError):
    """The text is not a curl command line that can be turned into params."""


def split(text: str) -> list[str]:
    """The words. Raises CurlUnreadable for an open quote, a second command, or something the shell would expand."""
    if len(text) > _MOST_CHARACTERS:
        raise CurlUnreadable(f"The command line is longer than {_MOST_CHARACTERS} characters.")
    text = text.strip()
    words: list[str] = []
    word: str | None = None
    at = 0
    while at < len(text):
        if text[at] == "#" and word is None:  # a comment, to the end of its line
            at = len(text) if (end := text.find("\n", at)) < 0 else end
            continue
        part = _PART.match(text, at)
        if part is None:
            raise _unreadable(text, at)
        kind, value = part.lastgroup, part[part.lastgroup or 0]
        if kind == "gap":
            if "\n" in value and part.end() < len(text):
                raise _wrong(text, at, "a second line; end the line before it with a backslash")
            if word is not None:
                words.append(word)
            word = None
        elif kind != "joined":
            word = (word or "") + _unescaped(text, at, kind, value)
        at = part.end()
    return words if word is None else [*words, word]


def _unescaped(text: str, at: int, kind: str | None, value: str) -> str:
    if kind == "double":
        return _QUOTED_ESCAPE.sub(lambda escape: escape[1] or "", value)
    if kind != "ansi":
        return value

    def character(escape: re.Match[str]) -> str:
        *digits, octal, other = escape.groups()
        written = next((group for group in digits if group), None)
        if written is None and octal is None:
            return _ESCAPES.get(other, other)
        code = int(written, 16) if written else int(octal, 8)
        if code > 0x10FFFF:
            raise _wrong(text, at, "an escape beyond Unicode")
        return chr(code)

    # escapes may spell a character as two halves of a surrogate pair
    return _ANSI_ESCAPE.sub(character, value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unreadable(text: str, at: int) -> CurlUnreadable:
    """Why nothing matches here: an open quote, something to expand, or a second command."""
    char = text[at]
    if char in "|&;<>()":
        why = f"{char!r}, but only a single curl command can be read; put quotes around it if it is data"
        return _wrong(text, at, why)
    quote = "$'" if text.startswith("$'", at) else char
    if quote in ("'", "$'") or (quote == '"' and not re.search(r"\$[A-Za-z_0-9@*#?!${(-]|`", text[at:])):
        return CurlUnreadable(f"The quote {quote} opened at character {at + 1} is not closed.")
    return _wrong(text, at, "something the shell would replace; write its value, or put single quotes around it")


def _wrong(text: str, at: int, what: str) -> CurlUnreadable:
    near = text[at : at + 12].split("\n")[0]
    return CurlUnreadable(f"At character {at + 1}, near {near!r}, there is {what}.")
