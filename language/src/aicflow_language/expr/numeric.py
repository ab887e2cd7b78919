"""The functions on numbers, and on lists of numbers, texts and booleans."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Final

from aicflow_language.expr.calls import Site, function
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.limits import Frame
from aicflow_language.expr.operators import checked_number, is_number
from aicflow_language.expr.values import JSON_TYPES, not_json

_NUMBERS: Final = frozenset({int, float})
_TEXTS: Final = frozenset({str})


@function("abs(number)", "a number without its sign", "integer", "number")
def absolute(site: Site, frame: Frame, value: object) -> object:
    return checked_number(abs(_number(site, 0, value)), site.span)


@function("round(number, digits=null)", "a number rounded", "integer", "number")
def rounded(site: Site, frame: Frame, value: object, digits: object = None) -> object:
    number = _number(site, 0, value)
    if digits is None:
        return checked_number(round(number), site.span)
    if not isinstance(digits, int) or type(digits) is not int:
        raise site.wrong(1, digits, "a whole number of digits")
    if not -400 <= digits <= 400:
        raise site.bad("The number of digits lies between -400 and 400", 1)
    try:
        return checked_number(round(number, digits), site.span)
    except OverflowError:
        raise EvaluationError("eval.overflow", "The number gets too large for a float", site.span) from None


@function("sum(list)", "the numbers of a list added up", "integer", "number")
def total(site: Site, frame: Frame, value: object) -> object:
    items = site.items(0, value)
    frame.charge(4 * len(items), site.span)
    if not set(map(type, items)) <= _NUMBERS:
        raise _wrong_item(site, items, "numbers")
    try:
        numbers: list[Any] = items
        for partial in accumulate(numbers):  # each sum on the way counts, as in a + b + c
            checked_number(partial, site.span)
        return checked_number(sum(numbers), site.span)
    except OverflowError:
        raise EvaluationError("eval.overflow", "The number gets too large for a float", site.span) from None


@function("min(list) or min(a, b, …)", "the smallest number or text")
def smallest(site: Site, frame: Frame, *values: object) -> object:
    return min(_comparable(site, frame, values))


@function("max(list) or max(a, b, …)", "the largest number or text")
def largest(site: Site, frame: Frame, *values: object) -> object:
    return max(_comparable(site, frame, values))


@function("sorted(list, descending=false)", "a list in order", "array")
def sorted_list(site: Site, frame: Frame, value: object, descending: object = False) -> object:
    items = site.items(0, value)
    if type(descending) is not bool:
        raise site.wrong(1, descending, "true or false")
    if not items:
        return []
    ordered = _all_comparable(site, frame, items)
    frame.charge(4 * len(items) * len(items).bit_length(), site.span)
    return sorted(ordered, reverse=descending)


@function("any(list)", "whether one item is true", "boolean")
def any_of(site: Site, frame: Frame, value: object) -> object:
    return True in _booleans(site, frame, value)


@function("all(list)", "whether every item is true", "boolean")
def all_of(site: Site, frame: Frame, value: object) -> object:
    return False not in _booleans(site, frame, value)


def _booleans(site: Site, frame: Frame, value: object) -> list[object]:
    items = site.items(0, value)
    frame.charge(2 * len(items), site.span)
    if not set(map(type, items)) <= {bool}:
        raise _wrong_item(site, items, "booleans", "Compare each item: [x > 0 for x in list].")
    return items


def _number(site: Site, position: int, value: object) -> int | float:
    if not is_number(value):
        raise site.wrong(position, value, "a number")
    assert isinstance(value, int | float)
    return value


def _comparable(site: Site, frame: Frame, values: tuple[object, ...]) -> Any:  # one type, so they have an order
    items = site.items(0, values[0]) if len(values) == 1 else list(values)
    if not items:
        raise site.bad(f"'{site.name}' of an empty list", hint="Check first, such as: max(x) if len(x) > 0 else 0.")
    return _all_comparable(site, frame, items)


def _all_comparable(site: Site, frame: Frame, items: list[object]) -> Any:
    frame.charge(2 * len(items), site.span)
    kinds = set(map(type, items))
    if kinds <= _NUMBERS:
        if float in kinds:
            frame.charge(6 * len(items), site.span)
            for item in items:
                error = not_json(item, site.at(0))
                if error is not None:
                    raise error
        return items
    if kinds == _TEXTS:
        length = sum(map(len, items))  # type: ignore[arg-type]
        frame.charge((length >> 4) * len(items).bit_length(), site.span)
        return items
    raise _wrong_item(site, items, "either only numbers or only texts")


def _wrong_item(site: Site, items: list[object], wanted: str, hint: str | None = None) -> EvaluationError:
    for item in items:
        if type(item) not in JSON_TYPES:
            error = not_json(item, site.at(0))
            if error is not None:
                return error
    return EvaluationError("eval.type", f"'{site.name}' takes a list of {wanted}", site.at(0), hint)
