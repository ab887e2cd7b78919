"""What an expression refers to: each root it reads, and how far the path is known without data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aicflow.kernel.expr.ast import (
    Call,
    Chain,
    Coalesce,
    Comprehension,
    Conditional,
    Field,
    Index,
    Literal,
    Method,
    Name,
    Node,
    Slice,
    Step,
    children,
)
from aicflow.kernel.expr.errors import Span

__all__ = ["ROOTS", "Reference", "references_of"]

ROOTS: Final = ("input", "trigger", "nodes", "vars", "secrets", "execution")
"""The names that a scope may hold."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a root.

    `path` is the part of the path that is written down as names and constant subscripts; `optional[i]` says whether
    step i has a question mark. `complete`: nothing else follows the path. `defaulted`: the value may be missing or
    null, because it stands left of `??` or inside `has(…)`. `is_value`: its value is the value of the expression.
    A root that nobody knows is a reference like any other.
    """

    root: str
    path: tuple[str | int, ...]
    optional: tuple[bool, ...]
    span: Span
    complete: bool
    defaulted: bool
    is_value: bool


def references_of(tree: Node) -> tuple[Reference, ...]:
    """Every reference of the expression, in the order of the source."""
    found = _Walk().visit(tree, frozenset(), defaulted=False, is_value=True)
    return tuple(sorted(found, key=lambda reference: reference.span))


class _Walk:
    def visit(self, node: Node, bound: frozenset[str], defaulted: bool, is_value: bool) -> Iterator[Reference]:
        match node:
            case Name():
                if node.name not in bound:
                    yield Reference(node.name, (), (), node.span, True, defaulted, is_value)
            case Chain():
                yield from self._chain(node, bound, defaulted, is_value)
            case Coalesce():
                last = len(node.operands) - 1
                for position, operand in enumerate(node.operands):
                    yield from self.visit(operand, bound, defaulted or position < last, is_value)
            case Conditional():
                yield from self.visit(node.then, bound, defaulted, is_value)
                yield from self.visit(node.test, bound, False, False)
                yield from self.visit(node.otherwise, bound, defaulted, is_value)
            case Comprehension():
                inner = bound | {node.variable}
                yield from self.visit(node.iterable, bound, False, False)
                yield from self.visit(node.element, inner, False, False)
                if node.condition is not None:
                    yield from self.visit(node.condition, inner, False, False)
            case Call(function="has", arguments=(path,)):
                yield from self.visit(path, bound, True, False)
            case _:
                for child in children(node):
                    yield from self.visit(child, bound, False, False)

    def _chain(self, chain: Chain, bound: frozenset[str], defaulted: bool, is_value: bool) -> Iterator[Reference]:
        base = chain.base
        if isinstance(base, Name) and base.name not in bound:
            path: list[str | int] = []
            for step in chain.steps:
                key = _constant_key(step)
                if key is None:
                    break
                path.append(key)
            known = len(path)
            end = chain.steps[known - 1].span[1] if known else base.span[1]
            yield Reference(
                base.name,
                tuple(path),
                tuple(step.optional for step in chain.steps[:known]),
                (base.span[0], end),
                known == len(chain.steps),
                defaulted,
                is_value,
            )
        elif not isinstance(base, Name):
            yield from self.visit(base, bound, defaulted, False)
        for step in chain.steps:
            for inside in _inside(step):
                yield from self.visit(inside, bound, False, False)


def _constant_key(step: Step) -> str | int | None:
    if isinstance(step, Field):
        return step.name
    if isinstance(step, Index) and isinstance(step.index, Literal):
        value = step.index.value
        if isinstance(value, str) or type(value) is int:
            return value
    return None


def _inside(step: Step) -> Iterator[Node]:
    match step:
        case Index():
            yield step.index
        case Slice():
            yield from (bound for bound in (step.lower, step.upper) if bound is not None)
        case Method():
            yield from step.arguments
        case Field():
            return
