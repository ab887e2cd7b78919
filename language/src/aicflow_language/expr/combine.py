"""Closures for operators: arithmetic, comparison, logic, choice."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from aicflow_language.expr.ast import Arithmetic, Comparison, Conditional, Logic, Node, Not, Unary
from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.frame import MISSING, Frame
from aicflow_language.expr.limits import MAX_INTEGER
from aicflow_language.expr.operators import ARITHMETIC, COMPARISON, negate
from aicflow_language.expr.paths import Run
from aicflow_language.expr.values import refuse

__all__ = [
    "arithmetic",
    "coalesce",
    "comparison",
    "conditional",
    "constant",
    "logic",
    "negation",
    "presence",
    "unary",
]

_SHORT: Final = 256
"""Texts below this length are compared without counting the work."""

_PYTHON: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    }
)


def constant(value: object) -> Run:
    """The closure of a literal."""

    def run(scope: object, frame: Frame) -> object:
        return value

    return run


def arithmetic(node: Arithmetic, operands: Sequence[Run]) -> Run:
    """`a + b - c`"""
    first, rest = operands[0], operands[1:]
    signs = [sign for sign, _ in node.rest]
    if len(rest) == 1 and signs[0] in _PYTHON:
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
