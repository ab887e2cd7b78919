"""The functions on lists and objects, and those that turn one kind of value into another."""

from __future__ import annotations

import json
import math
from typing import Final, NoReturn

from aicflow_language.expr.calls import Site, function
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.limits import MAX_INTEGER, Frame, checked_text
from aicflow_language.expr.operators import checked_number, is_number
from aicflow_language.expr.values import check_built, check_keys

_LONGEST_NUMBER: Final = 400
_FLOAT_CHARACTERS: Final = frozenset("0123456789+-.eE")
_SPACE: Final = " \t\r\n"


@function("len(value)", "characters, items or keys", "integer")
def length(site: Site, frame: Frame, value: object) -> object:
    if isinstance(value, str | list | dict):
        return len(value)
    raise site.wrong(0, value, "text, a list or an object")


@function("str(value)", "a text, number or boolean as text", "string")
def to_text(site: Site, frame: Frame, value: object) -> object:
    if isinstance(value, str):
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if is_number(value):
        assert isinstance(value, int | float)
        return repr(checked_number(value, site.span))
    raise site.wrong(0, value, "text, a number or a boolean", "For null, lists and objects, write json(value).")


@function("int(value)", "a text or number as an integer", "integer")
def to_int(site: Site, frame: Frame, value: object) -> object:
    if isinstance(value, str):
        plain = value.strip(_SPACE) if len(value) <= _LONGEST_NUMBER else ""
        digits = plain[1:] if plain[:1] in ("+", "-") else plain
        if not (digits.isascii() and digits.isdigit()):
            raise site.bad("The text is not a whole number", hint="Write int(float(text)) to cut off a fraction.")
        return checked_number(int(plain), site.span)
    if is_number(value):
        assert isinstance(value, int | float)
        return checked_number(int(value), site.span)
    raise site.wrong(0, value, "text or a number")


@function("float(value)", "a text or number as a float", "number")
def to_float(site: Site, frame: Frame, value: object) -> object:
    if isinstance(value, str):
        plain = value.strip(_SPACE) if len(value) <= _LONGEST_NUMBER else ""
        try:
            # the set keeps out what only Python reads as a number: nan, inf, 1_000, other digits
            number = float(plain) if _FLOAT_CHARACTERS.issuperset(plain) else math.nan
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise site.bad("The text is not a number")
        return checked_number(number, site.span)
    if is_number(value):
        assert isinstance(value, int | float)
        try:
            return float(value)
        except OverflowError:
            raise EvaluationError("eval.overflow", "The number gets too large for a float", site.span) from None
    raise site.wrong(0, value, "text or a number")


@function("keys(object)", "the keys of an object", "array", method=True)
def keys(site: Site, frame: Frame, value: object) -> object:
    known: dict[object, object] = site.object(0, value)  # type: ignore[assignment]
    check_keys(known, frame, site.at(0))
    return list(known)


@function("values(object)", "the values of an object", "array", method=True)
def values(site: Site, frame: Frame, value: object) -> object:
    known = site.object(0, value)
    frame.charge(2 * len(known), site.span)
    return list(known.values())


@function("flatten(list)", "the items of the lists in a list", "array")
def flatten(site: Site, frame: Frame, value: object) -> object:
    flat: list[object] = []
    for inner in site.items(0, value):
        if not isinstance(inner, list):
            raise site.wrong(0, inner, "a list of lists", "Leave others out first: [x for x in list if x != null].")
        frame.charge(2 * len(inner) + 4, site.span)
        flat += inner
    return flat


@function("range(stop) or range(start, stop)", "the whole numbers from start to before stop", "array", minimum=1)
def numbers(site: Site, frame: Frame, start: object, stop: object = None) -> object:
    first, last = (0, start) if stop is None else (start, stop)
    for position, bound in enumerate((start, stop) if stop is not None else (start,)):
        if type(bound) is not int:
            raise site.wrong(position, bound, "a whole number")
    assert isinstance(first, int)
    assert isinstance(last, int)
    frame.charge(10 * max(0, last - first), site.span)
    return list(range(first, last))


@function("get(value, key, default=null)", "a field or item, or a default", method=True)
def get(site: Site, frame: Frame, value: object, key: object, default: object = None) -> object:
    if isinstance(value, dict):
        name = site.text(1, key)
        frame.charge(len(name) >> 4, site.span)
        return value.get(name, default)
    if isinstance(value, list):
        if not isinstance(key, int) or type(key) is not int:
            raise site.wrong(1, key, "a whole number")
        return value[key] if -len(value) <= key < len(value) else default
    hint = "For a default instead of null, write value?.key ?? default." if value is None else None
    raise site.wrong(0, value, "an object or a list", hint)


@function("has(path) or has(object, key)", "whether a path exists", "boolean", method=True, minimum=1)
def has(site: Site, frame: Frame, value: object, key: object) -> object:
    # has(object, key); the form with a path is compiled by itself.
    name = site.text(1, key)
    frame.charge(len(name) >> 4, site.span)
    return name in site.object(0, value)


@function("json(value)", "any value as JSON text", "string")
def to_json(site: Site, frame: Frame, value: object) -> object:
    checked_text(check_built(value, frame, site.at(0)), site.span)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # an integer of thousands of digits
        raise EvaluationError("eval.overflow", "An integer is too large: 2^128 is the limit", site.at(0)) from None
    checked_text(len(text), site.span)
    frame.charge(len(text), site.span)
    return text


@function("parse_json(text)", "the value of a JSON text")
def parse_json(site: Site, frame: Frame, value: object) -> object:
    text = site.text(0, value)
    checked_text(len(text), site.at(0))
    # the smallest values, such as [], take about 30 bytes for each of their characters
    frame.charge(8 * len(text), site.span)

    def integer(digits: str) -> int:
        number = int(digits) if len(digits) <= 40 else MAX_INTEGER
        checked_number(number, site.at(0))
        return number

    def real(digits: str) -> float:
        number = float(digits) if len(digits) <= _LONGEST_NUMBER else math.inf
        checked_number(number, site.at(0))
        return number

    def refused(word: str) -> NoReturn:
        raise site.bad(f"The text is not JSON: {word} is not a JSON value")

    try:
        parsed = json.loads(text, parse_int=integer, parse_float=real, parse_constant=refused)
    except RecursionError:
        raise EvaluationError("eval.limit", "The JSON text is nested too deep", site.at(0)) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise site.bad(f"The text is not JSON: {error.msg} at {where}") from None
    check_built(parsed, frame, site.at(0))
    if "\\u" in text:
        _refuse_halves(site, parsed)
    return parsed


def _refuse_halves(site: Site, parsed: object) -> None:
    """A lone half of a surrogate pair cannot be written as UTF-8, so it must not get into the data."""
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise site.bad("The JSON text holds half of a surrogate pair") from None
