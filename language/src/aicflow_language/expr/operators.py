"""Arithmetic and order between two values, with exact types and bounded results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.frame import Frame, checked_text
from aicflow_language.expr.limits import MAX_INTEGER
from aicflow_language.expr.values import contains, equal, name_of, not_json, refuse

__all__ = ["ARITHMETIC", "COMPARISON", "Operator", "checked_number", "is_number", "negate"]

type Operator = Callable[[object, object, Frame, Span], object]

_ROUND = "Numbers are integers below 2^128 and floats."


def is_number(value: object) -> bool:
    """Whether the value is a number; booleans are not, and neither are NaN and infinity."""
    kind = type(value)
    return kind is int or (kind is float and math.isfinite(value))  # type: ignore[arg-type]


def checked_number(value: int | float, span: Span) -> int | float:
    """The number, unless it is too large to go on with."""
    if type(value) is int:
        if -MAX_INTEGER < value < MAX_INTEGER:
            return value
        raise EvaluationError("eval.overflow", "The integer gets too large: 2^128 is the limit", span, _ROUND)
    if math.isfinite(value):
        return value
    raise EvaluationError("eval.overflow", "The number gets too large for a float", span, _ROUND)


def negate(operator: str, value: object, span: Span) -> object:
    """`-value` or `+value`."""
    if not is_number(value):
        raise refuse(value, f"a number after '{operator}'", span)
    assert isinstance(value, int | float)
    return checked_number(-value if operator == "-" else value, span)


def _add(left: object, right: object, frame: Frame, span: Span) -> object:
    if isinstance(left, str) and isinstance(right, str):
        length = len(left) + len(right)
        checked_text(length, span)
        frame.charge(length, span)
        return left + right
    if type(left) is list and type(right) is list:
        frame.charge(2 * (len(left) + len(right)), span)
        return left + right
    if is_number(left) and is_number(right):
        return checked_number(left + right, span)  # type: ignore[operator]
    hint = None
    if isinstance(left, str) or isinstance(right, str):
        other = right if isinstance(left, str) else left
        call = "json" if other is None or isinstance(other, list | dict) else "str"
        hint = f"Write {call}(…) around the value that is not text."
    raise _mismatch("+", "two numbers, two texts or two lists", left, right, span, hint)


def _numeric(sign: str, compute: Callable[[int | float, int | float], int | float]) -> Operator:
    def apply(left: object, right: object, frame: Frame, span: Span) -> object:
        if not (is_number(left) and is_number(right)):
            raise _mismatch(sign, "two numbers", left, right, span)
        try:
            return checked_number(compute(left, right), span)  # type: ignore[arg-type]
        except ZeroDivisionError:
            hint = "Check the divisor first, such as: a / b if b != 0 else 0."
            raise EvaluationError("eval.division-by-zero", "Division by zero", span, hint) from None
        except OverflowError:
            raise EvaluationError("eval.overflow", "The number gets too large for a float", span, _ROUND) from None

    return apply


def _ordered(sign: str, holds: Callable[[object, object], bool]) -> Operator:
    def apply(left: object, right: object, frame: Frame, span: Span) -> object:
        if isinstance(left, str) and isinstance(right, str):
            frame.charge(min(len(left), len(right)) >> 3, span)
            return holds(left, right)
        if is_number(left) and is_number(right):
            return holds(left, right)
        hint = None
        if (isinstance(left, str) and is_number(right)) or (isinstance(right, str) and is_number(left)):
            hint = "Write float(…) around the text."
        raise _mismatch(sign, "two numbers or two texts", left, right, span, hint)

    return apply


def _mismatch(
    sign: str, wanted: str, left: object, right: object, span: Span, hint: str | None = None
) -> EvaluationError:
    foreign = not_json(left, span) or not_json(right, span)
    if foreign is not None:
        return foreign
    if hint is None and (left is None or right is None):
        hint = "For a default instead of null, write (value ?? default)."
    message = f"'{sign}' takes {wanted}, not {name_of(left)} and {name_of(right)}"
    return EvaluationError("eval.type", message, span, hint)


def _equal(left: object, right: object, frame: Frame, span: Span) -> object:
    return equal(left, right, frame, span)


def _not_equal(left: object, right: object, frame: Frame, span: Span) -> object:
    return not equal(left, right, frame, span)


def _in(left: object, right: object, frame: Frame, span: Span) -> object:
    error = not_json(left, span)
    if error is not None:
        raise error
    if type(right) is list:
        return contains(right, left, frame, span)
    if isinstance(right, str) or type(right) is dict:
        if not isinstance(left, str):
            raise refuse(left, f"text before 'in' {name_of(right)}", span)
        frame.charge(len(left) >> 4, span)
        if isinstance(right, str):
            frame.charge(len(right) >> 2, span)
        return left in right
    hint = "For a default instead of null, write (value ?? [])." if right is None else None
    raise refuse(right, "a list, text or object after 'in'", span, hint)


def _not_in(left: object, right: object, frame: Frame, span: Span) -> object:
    return not _in(left, right, frame, span)


ARITHMETIC: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "+": _add,
        "-": _numeric("-", lambda a, b: a - b),
        "*": _numeric("*", lambda a, b: a * b),
        "/": _numeric("/", lambda a, b: a / b),
        "//": _numeric("//", lambda a, b: a // b),
        "%": _numeric("%", lambda a, b: a % b),
    }
)

COMPARISON: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "==": _equal,
        "!=": _not_equal,
        "<": _ordered("<", lambda a, b: a < b),  # type: ignore[operator]
        "<=": _ordered("<=", lambda a, b: a <= b),  # type: ignore[operator]
        ">": _ordered(">", lambda a, b: a > b),  # type: ignore[operator]
        ">=": _ordered(">=", lambda a, b: a >= b),  # type: ignore[operator]
        "in": _in,
        "not in": _not_in,
    }
)
