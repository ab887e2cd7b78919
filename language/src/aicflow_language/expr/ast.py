"""The syntax tree: frozen nodes, each with its span in the source. Operators of one rank are kept flat, so that a
long sum or a long path is wide and not deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aicflow_language.expr.errors import Span
from aicflow_language.records import record


@record
class Literal:
    """A number, a text, true, false or null."""

    value: bool | int | float | str | None
    span: Span


@record
class Name:
    """A root such as `input`, or the variable of a comprehension around it."""

    name: str
    span: Span


@record
class ListDisplay:
    """`[a, b]`"""

    items: tuple[Node, ...]
    span: Span


@record
class DictDisplay:
    """`{"a": 1}`"""

    items: tuple[tuple[Node, Node], ...]
    span: Span


@record
class Comprehension:
    """`[element for variable in iterable if condition]`"""

    element: Node
    variable: str
    iterable: Node
    condition: Node | None
    span: Span


@record
class Call:
    """`function(arguments)`"""

    function: str
    arguments: tuple[Node, ...]
    span: Span


@record
class Field:
    """The step `.name` or `?.name`."""

    name: str
    optional: bool
    span: Span


@record
class Index:
    """The step `[index]` or `?[index]`."""

    index: Node
    optional: bool
    span: Span


@record
class Slice:
    """The step `[lower:upper]` or `?[lower:upper]`."""

    lower: Node | None
    upper: Node | None
    optional: bool
    span: Span


@record
class Method:
    """The step `.name(arguments)` or `?.name(arguments)`."""

    name: str
    arguments: tuple[Node, ...]
    optional: bool
    span: Span


type Step = Field | Index | Slice | Method


@record
class Chain:
    """A value and the steps that lead on from it."""

    base: Node
    steps: tuple[Step, ...]
    span: Span


@record
class Unary:
    """`-a` or `+a`"""

    operator: str
    operand: Node
    span: Span


@record
class Arithmetic:
    """`a + b - c`, or `a * b / c // d % e`"""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    span: Span


@record
class Comparison:
    """`a < b <= c`, also `in` and `not in`; chained as in Python: each neighbouring pair must hold."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    span: Span


@record
class Not:
    """`not a`"""

    operand: Node
    span: Span


@record
class Logic:
    """`a and b and c`, or `a or b`; the operator is spelled `and` or `or`."""

    operator: str
    operands: tuple[Node, ...]
    span: Span


@record
class Coalesce:
    """`a ?? b ?? c`: the first that is neither missing nor null, else the last."""

    operands: tuple[Node, ...]
    span: Span


@record
class Conditional:
    """`then if test else otherwise`"""

    test: Node
    then: Node
    otherwise: Node
    span: Span


type Node = (
    Literal
    | Name
    | ListDisplay
    | DictDisplay
    | Comprehension
    | Call
    | Chain
    | Unary
    | Arithmetic
    | Comparison
    | Not
    | Logic
    | Coalesce
    | Conditional
)


_CHILDREN: Final[dict[type, Callable[[Any], list[Node]]]] = {
    Literal: lambda node: [],
    Name: lambda node: [],
    ListDisplay: lambda node: [*node.items],
    DictDisplay: lambda node: [part for pair in node.items for part in pair],
    Comprehension: lambda node: [node.element, node.iterable, *([] if node.condition is None else [node.condition])],
    Call: lambda node: [*node.arguments],
    Chain: lambda node: [node.base, *(child for step in node.steps for child in children(step))],
    Unary: lambda node: [node.operand],
    Arithmetic: lambda node: [node.first, *(right for _, right in node.rest)],
    Comparison: lambda node: [node.first, *(right for _, right in node.rest)],
    Not: lambda node: [node.operand],
    Logic: lambda node: [*node.operands],
    Coalesce: lambda node: [*node.operands],
    Conditional: lambda node: [node.then, node.test, node.otherwise],
    Field: lambda step: [],
    Index: lambda step: [step.index],
    Slice: lambda step: [bound for bound in (step.lower, step.upper) if bound is not None],
    Method: lambda step: [*step.arguments],
}


def children(node: Node | Step) -> list[Node]:
    """The expressions directly inside this one, in the order in which they are written."""
    return _CHILDREN[type(node)](node)
