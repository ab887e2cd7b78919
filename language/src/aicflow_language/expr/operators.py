"""Arithmetic and order between two values, with exact types and bounded results."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from aicflow_language.expr.ast import Arithmetic, Comparison, Conditional, Logic, Node, Not, Unary
from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.limits import MAX_INTEGER, MISSING, Frame, Run, checked_text
from aicflow_language.expr.values import contains, equal, name_of, not_json, refuse

type Operator = Callable[[object, object, Frame, Span], object]

_PYTHON: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
        "%": operator.mod, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
        "==": operator.eq, "!=": operator.ne,
    }
)  # fmt: skip

_AT_ONCE: Final = frozenset({"+", "-", "*"})
"""What two integers may be computed with before anything is looked at."""

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


ARITHMETIC: Final[Mapping[str, Operator]] = MappingProxyType(
    {"+": _add, **{sign: _numeric(sign, _PYTHON[sign]) for sign in ("-", "*", "/", "//", "%")}}
)

COMPARISON: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "==": equal,
        "!=": lambda left, right, frame, span: not equal(left, right, frame, span),
        "in": _in,
        "not in": lambda left, right, frame, span: not _in(left, right, frame, span),
        **{sign: _ordered(sign, _PYTHON[sign]) for sign in ("<", "<=", ">", ">=")},
    }
)

_SHORT: Final = 256
"""Texts below this length are compared without counting the work."""


def constant(value: object) -> Run:
    """The closure of a literal."""

    def run(scope: object, frame: Frame) -> object:
        return value

    return run


def arithmetic(node: Arithmetic, operands: Sequence[Run]) -> Run:
    """`a + b - c`"""
    first, rest = operands[0], operands[1:]
    signs = [sign for sign, _ in node.rest]
    if len(rest) == 1 and signs[0] in _AT_ONCE:
        return _integers_first(first, rest[0], _PYTHON[signs[0]], ARITHMETIC[signs[0]], node.span)
    spans = [(node.span[0], operand.span[1]) for _, operand in node.rest]
    plan = tuple(zip((ARITHMETIC[sign] for sign in signs), rest, spans, strict=True))

    def run(scope: object, frame: Frame) -> object:
        value = first(scope, frame)
        for apply, operand, span in plan:
            value = apply(value, operand(scope, frame), frame, span)
        return value

    return run


def _integers_first(
    left: Run,
    right: Run,
    compute: Callable[[Any, Any], Any],
    apply: Callable[[object, object, Frame, Span], object],
    span: Span,
) -> Run:
    """Two integers, by far the most usual, are computed at once; everything else takes the careful way."""

    def run(scope: object, frame: Frame) -> object:
        a = left(scope, frame)
        b = right(scope, frame)
        if type(a) is int and type(b) is int:
            value = compute(a, b)
            if -MAX_INTEGER < value < MAX_INTEGER:
                return value
        return apply(a, b, frame, span)

    return run


def comparison(node: Comparison, operands: Sequence[Run]) -> Run:
    """`a < b <= c`"""
    if len(node.rest) == 1:
        return _one_comparison(node.rest[0][0], operands[0], operands[1], node.span)
    spans = _pair_spans(node)
    first = operands[0]
    signs = (COMPARISON[sign] for sign, _ in node.rest)
    plan = tuple(zip(signs, operands[1:], spans, strict=True))

    def run(scope: object, frame: Frame) -> object:
        left = first(scope, frame)
        for apply, operand, span in plan:
            right = operand(scope, frame)
            if not apply(left, right, frame, span):
                return False
            left = right
        return True

    return run


def _one_comparison(sign: str, left: Run, right: Run, span: Span) -> Run:
    apply = COMPARISON[sign]
    if sign in ("in", "not in"):

        def member(scope: object, frame: Frame) -> object:
            return apply(left(scope, frame), right(scope, frame), frame, span)

        return member
    compare = _PYTHON[sign]
    kinds = (int, str, bool) if sign in ("==", "!=") else (int, str)

    def run(scope: object, frame: Frame) -> object:
        a: Any = left(scope, frame)
        b = right(scope, frame)
        kind = type(a)
        if kind is type(b) and kind in kinds and (kind is not str or len(a) < _SHORT):
            return compare(a, b)
        return apply(a, b, frame, span)

    return run


def _pair_spans(node: Comparison) -> list[Span]:
    left: Node = node.first
    spans: list[Span] = []
    for _, right in node.rest:
        spans.append((left.span[0], right.span[1]))
        left = right
    return spans


def _not_boolean(value: object, where: str, span: Span) -> EvaluationError:
    hint = "Compare it, such as value != null or len(value) > 0. For a default, write value ?? other."
    return refuse(value, f"true or false {where}", span, hint)


def logic(node: Logic, operands: Sequence[Run]) -> Run:
    """`a and b and c`, `a or b or c`"""
    decides = node.operator == "or"
    undecided = not decides
    where = f"beside '{node.operator}'"
    plan = tuple(zip(operands, (operand.span for operand in node.operands), strict=True))

    def run(scope: object, frame: Frame) -> object:
        for operand, span in plan:
            value = operand(scope, frame)
            if value is decides:
                return value
            if value is not undecided:
                raise _not_boolean(value, where, span)
        return undecided

    return run


def negation(node: Not, operand: Run) -> Run:
    """`not a`"""
    span = node.operand.span

    def run(scope: object, frame: Frame) -> object:
        value = operand(scope, frame)
        if value is True:
            return False
        if value is False:
            return True
        raise _not_boolean(value, "after 'not'", span)

    return run


def unary(node: Unary, operand: Run) -> Run:
    """`-a`, `+a`"""
    sign, span = node.operator, node.span

    def run(scope: object, frame: Frame) -> object:
        return negate(sign, operand(scope, frame), span)

    return run


def coalesce(first: Sequence[Run], last: Run) -> Run:
    """`a ?? b ?? c`"""

    def run(scope: object, frame: Frame) -> object:
        for operand in first:
            value = operand(scope, frame)
            if value is not None and value is not MISSING:
                return value
        return last(scope, frame)

    return run


def conditional(node: Conditional, test: Run, then: Run, otherwise: Run) -> Run:
    """`then if test else otherwise`"""
    span = node.test.span

    def run(scope: object, frame: Frame) -> object:
        value = test(scope, frame)
        if value is True:
            return then(scope, frame)
        if value is False:
            return otherwise(scope, frame)
        raise _not_boolean(value, "after 'if'", span)

    return run


def presence(path: Run) -> Run:
    """`has(path)`"""

    def run(scope: object, frame: Frame) -> object:
        return path(scope, frame) is not MISSING

    return run
