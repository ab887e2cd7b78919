"""The functions on texts that take regular expressions, which are matched in linear time by RE2.

RE2 is a library of its own (`google-re2`), which only these functions need: this package is usable without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from aicflow_language.expr.calls import Site, function
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.limits import Frame, checked_text

__all__ = ["PATTERN_FUNCTIONS", "pattern_problem"]

PATTERN_FUNCTIONS: Final = ("matches", "find", "find_all", "replace_pattern", "split_pattern")
"""Their second argument is a pattern."""

_MOST: Final = 2_000
_PER_MATCH: Final = 200
"""Fuel for finding one more match: 4 to 6 µs."""
_PER_GROUP: Final = 10
_PER_REPLACEMENT: Final = 120
_LACKING: Final = "Regular expressions need the package google-re2, which is not installed here"


class _Refused(ValueError):
    """A text that is no pattern."""


@lru_cache(maxsize=1_024)
def _compiled(pattern: str) -> Any:
    """Raises ImportError, _Refused."""
    re2: Any = import_module("re2")  # only where a pattern is used
    if len(pattern) > _MOST:
        raise _Refused(f"a pattern has at most {_MOST:,} characters, and this has {len(pattern):,}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(_bytes(pattern), options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise _Refused(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from None


def pattern_problem(pattern: str) -> str | None:
    """Why a text is no pattern; None when it is one, or when that cannot be told here."""
    try:
        _compiled(pattern)
    except _Refused as error:
        return str(error)
    except ImportError:
        return None
    return None


@function("matches(text, pattern)", "whether a pattern is found in a text", "boolean", method=True)
def matches(site: Site, frame: Frame, text: object, pattern: object) -> object:
    known, compiled = _read(site, frame, text, pattern)
    return compiled.search(known) is not None


@function("find(text, pattern, group=0)", "the first part of a text that a pattern fits", "string", "null", method=True)
def find(site: Site, frame: Frame, text: object, pattern: object, group: object = 0) -> object:
    known, compiled = _read(site, frame, text, pattern)
    number = _group(site, compiled, group)
    found = compiled.search(known)
    part = None if found is None else found.group(number)
    return None if part is None else _text(part)


@function("find_all(text, pattern, group=0)", "all parts of a text that a pattern fits", "array", method=True)
def find_all(site: Site, frame: Frame, text: object, pattern: object, group: object = 0) -> object:
    known, compiled = _read(site, frame, text, pattern)
    number = _group(site, compiled, group)
    parts = (found.group(number) for found in _all(site, frame, compiled, known))
    return [None if part is None else _text(part) for part in parts]


@function("replace_pattern(text, pattern, new)", "a text with what a pattern fits replaced", "string", method=True)
def replace_pattern(site: Site, frame: Frame, text: object, pattern: object, new: object) -> object:
    known, compiled = _read(site, frame, text, pattern)
    template = _template(site, compiled, site.text(2, new))
    parts: list[bytes] = []
    end = length = 0
    for found in _all(site, frame, compiled, known):
        groups = (found.group(part) or b"" if isinstance(part, int) else part for part in template)
        made = b"".join([known[end : found.start()], *groups])
        length += len(made)
        checked_text(length >> 2, site.span)  # a character is at most four bytes
        frame.charge(_PER_REPLACEMENT + len(made), site.span)
        parts.append(made)
        end = found.end()
    result = _text(b"".join([*parts, known[end:]]))
    checked_text(len(result), site.span)
    return result


@function("split_pattern(text, pattern)", "the parts of a text between what a pattern fits", "array", method=True)
def split_pattern(site: Site, frame: Frame, text: object, pattern: object) -> object:
    known, compiled = _read(site, frame, text, pattern)
    parts: list[str] = []
    end = 0
    for found in _all(site, frame, compiled, known):
        if found.end() > found.start():  # what is empty separates nothing
            parts.append(_text(known[end : found.start()]))
            end = found.end()
    return [*parts, _text(known[end:])]


def _read(site: Site, frame: Frame, text: object, pattern: object) -> tuple[bytes, Any]:
    """The text as UTF-8 and the pattern compiled; pays for one search, whose work is at most the length of the text
    times that of the pattern's program."""
    known, written = site.text(0, text), site.text(1, pattern)
    try:
        compiled = _compiled(written)
    except _Refused as error:
        hint = "Look-around such as (?=…) and back-references such as \\1 are not supported."
        raise site.bad(f"'{site.name}' takes a regular expression: {error}", 1, hint) from None
    except ImportError:
        raise EvaluationError("eval.value", _LACKING, site.span, "pip install 'aicflow-language[patterns]'") from None
    frame.charge(len(known) * (4 + compiled.programsize) >> 2, site.span)
    return _bytes(known), compiled


def _all(site: Site, frame: Frame, compiled: Any, text: bytes) -> Iterator[Any]:
    cost = _PER_MATCH + _PER_GROUP * compiled.groups
    for found in compiled.finditer(text):
        frame.charge(cost, site.span)
        if found.start() == found.end() and found.start() < len(text) and text[found.start()] & 0xC0 == 0x80:
            continue  # between two bytes of one character
        yield found


def _group(site: Site, compiled: Any, group: object) -> int:
    names = {_text(name) if isinstance(name, bytes) else name: at for name, at in compiled.groupindex.items()}
    number = names.get(group) if isinstance(group, str) else group
    if type(number) is not int or not 0 <= number <= compiled.groups:
        known = ", ".join([*map(str, range(compiled.groups + 1)), *names])
        raise site.bad(f"'{site.name}' takes one of the pattern's groups", 2, f"Available groups: {known}.")
    return number


def _template(site: Site, compiled: Any, new: str) -> list[bytes | int]:
    """The replacement in pieces: texts, and the numbers of groups (`$1`); `$$` is a dollar sign."""
    pieces: list[bytes | int] = []
    first, *rest = new.split("$")
    pieces.append(_bytes(first))
    parts = iter(rest)
    for part in parts:
        if part[:1].isdecimal() and part[0].isascii():
            if int(part[0]) > compiled.groups:
                raise site.bad(f"The pattern has no group ${part[0]}", 2, "Write $$ for a dollar sign.")
            pieces += [int(part[0]), _bytes(part[1:])]
        elif not part and (following := next(parts, None)) is not None:
            pieces.append(_bytes("$" + following))
        else:
            pieces.append(_bytes("$" + part))
    return pieces


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(found: bytes) -> str:
    return found.decode("utf-8", "replace")
