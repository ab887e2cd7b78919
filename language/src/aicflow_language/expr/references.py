"""What an expression refers to: each root it reads, and how far the path is known without data."""

from __future__ import annotations

from typing import Final

from aicflow_language.expr.ast import (
    Call,
    Chain,
    Coalesce,
    Comprehension,
    Conditional,
    Field,
    Index,
    Literal,
    Name,
    Node,
    Step,
    children,
)
from aicflow_language.expr.errors import Span
from aicflow_language.records import record

ROOTS: Final = ("input", "trigger", "nodes", "vars", "secrets", "execution")
"""The names that a scope may hold."""


@record
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
    walk = _Walk()
    walk.visit(tree, frozenset(), defaulted=False, is_value=True)
    if len(walk.found) > 1:
        walk.found.sort(key=lambda reference: reference.span)
    return tuple(walk.found)


class _Walk:
    def __init__(self) -> None:
        self.found: list[Reference] = []

    def visit(self, node: Node, bound: frozenset[str], defaulted: bool = False, is_value: bool = False) -> None:
        match node:
            case Literal():
                return
            case Name():
                if node.name not in bound:
                    self.found.append(Reference(node.name, (), (), node.span, True, defaulted, is_value))
            case Chain():
                self._chain(node, bound, defaulted, is_value)
            case Coalesce():
                last = len(node.operands) - 1
                for position, operand in enumerate(node.operands):
                    self.visit(operand, bound, defaulted or position < last, is_value)
            case Conditional():
                self.visit(node.then, bound, defaulted, is_value)
                self.visit(node.test, bound)
                self.visit(node.otherwise, bound, defaulted, is_value)
            case Comprehension():
                inner = bound | {node.variable}
                self.visit(node.iterable, bound)
                self.visit(node.element, inner)
                if node.condition is not None:
                    self.visit(node.condition, inner)
            case Call(function="has", arguments=(path,)):
                self.visit(path, bound, defaulted=True)
            case _:
                for child in children(node):
                    self.visit(child, bound)

    def _chain(self, chain: Chain, bound: frozenset[str], defaulted: bool, is_value: bool) -> None:
        base, steps = chain.base, chain.steps
        if not isinstance(base, Name):
            self.visit(base, bound, defaulted)
        elif base.name not in bound:
            path: list[str | int] = []
            for step in steps:
                key = constant_key(step)
                if key is None:
                    break
                path.append(key)
            known = len(path)
            self.found.append(
                Reference(
                    base.name,
                    tuple(path),
                    tuple([step.optional for step in steps[:known]]),
                    (base.span[0], steps[known - 1].span[1] if known else base.span[1]),
                    known == len(steps),
                    defaulted,
                    is_value,
                )
            )
        for step in steps:
            if constant_key(step) is None:
                for inside in children(step):
                    self.visit(inside, bound)


def constant_key(step: Step) -> str | int | None:
    """The key that a step asks for, when it is written down."""
    if isinstance(step, Field):
        return step.name
    if isinstance(step, Index) and isinstance(step.index, Literal):
        value = step.index.value
        if isinstance(value, str) or type(value) is int:
            return value
    return None
