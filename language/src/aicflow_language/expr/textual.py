"""The functions on texts."""

from __future__ import annotations

from aicflow_language.expr.calls import Site, function
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.limits import Frame, checked_text
from aicflow_language.expr.values import name_of, not_json

_PART = 16
"""Fuel for one new small text, about 64 bytes."""


@function("lower(text)", "a text in small letters", "string", method=True)
def lower(site: Site, frame: Frame, text: object) -> object:
    return _made(site, frame, _read(site, frame, 0, text).lower())


@function("upper(text)", "a text in capital letters", "string", method=True)
def upper(site: Site, frame: Frame, text: object) -> object:
    return _made(site, frame, _read(site, frame, 0, text).upper())


@function("strip(text, characters=null)", "a text without its margins", "string", method=True)
def strip(site: Site, frame: Frame, text: object, characters: object = None) -> object:
    known = _read(site, frame, 0, text)
    if characters is None:
        return known.strip()
    margin = site.text(1, characters)
    if len(margin) > 1_000:
        raise site.bad("'strip' takes at most 1,000 characters to remove", 1)
    # every character of the text may be looked up among all of the margin's
    frame.charge(len(known) * len(margin) >> 2, site.span)
    return known.strip(margin)


@function("split(text, separator=null)", "the parts of a text", "array", method=True)
def split(site: Site, frame: Frame, text: object, separator: object = None) -> object:
    known = _read(site, frame, 0, text)
    if separator is None:
        # words are at least one character and one space long
        frame.charge(_PART * ((len(known) + 1) >> 1), site.span)
        return known.split()
    between = site.text(1, separator)
    if not between:
        raise site.bad("'split' needs a separator that is not empty", 1, "Leave it out to split at spaces.")
    frame.charge(_PART * (known.count(between) + 1), site.span)
    return known.split(between)


@function("replace(text, old, new)", "a text with parts replaced", "string", method=True)
def replace(site: Site, frame: Frame, text: object, old: object, new: object) -> object:
    known = _read(site, frame, 0, text)
    before, after = site.text(1, old), site.text(2, new)
    if not before:
        raise site.bad("'replace' needs something to replace", 1)
    length = len(known) + known.count(before) * (len(after) - len(before))
    checked_text(length, site.span)
    frame.charge(length, site.span)
    return known.replace(before, after)


@function("startswith(text, start)", "how a text begins", "boolean", method=True)
def startswith(site: Site, frame: Frame, text: object, start: object) -> object:
    known, wanted = site.text(0, text), site.text(1, start)
    frame.charge(len(wanted) >> 4, site.span)
    return known.startswith(wanted)


@function("endswith(text, end)", "how a text ends", "boolean", method=True)
def endswith(site: Site, frame: Frame, text: object, end: object) -> object:
    known, wanted = site.text(0, text), site.text(1, end)
    frame.charge(len(wanted) >> 4, site.span)
    return known.endswith(wanted)


@function('join(list, separator="")', "the texts of a list as one", "string", method=True)
def join(site: Site, frame: Frame, items: object, separator: object = "") -> object:
    # join(list, separator=""); also separator.join(list), as in Python.
    if isinstance(items, str) and isinstance(separator, list):
        items, separator = separator, items
        site = Site(site.name, site.span, tuple(reversed(site.arguments)))
    parts, between = site.items(0, items), site.text(1, separator)
    frame.charge(2 * len(parts), site.span)
    if not set(map(type, parts)) <= {str}:
        raise _not_text(site, parts)
    length = sum(map(len, parts)) + len(between) * max(len(parts) - 1, 0)  # type: ignore[arg-type]
    checked_text(length, site.span)
    frame.charge(length, site.span)
    return between.join(parts)  # type: ignore[arg-type]


def _read(site: Site, frame: Frame, position: int, value: object) -> str:
    text = site.text(position, value)
    frame.charge(len(text), site.span)
    return text


def _made(site: Site, frame: Frame, text: str) -> str:
    # a capital letter may be longer than the small one: 'ß' becomes 'SS'
    checked_text(len(text), site.span)
    return text


def _not_text(site: Site, parts: list[object]) -> EvaluationError:
    odd = next(part for part in parts if type(part) is not str)
    span = site.at(0)
    hint = "Write [str(x) for x in list] to make each item text."
    message = f"'join' takes a list of texts; one item is {name_of(odd)}"
    return not_json(odd, span) or EvaluationError("eval.type", message, span, hint)
