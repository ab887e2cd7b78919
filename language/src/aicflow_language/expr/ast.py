"""The syntax tree: frozen nodes, each with its span in the source. Operators of one rank are kept flat, so that a
long sum or a long path is wide and not deep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aicflow_language.expr.errors import Span

__all__ = [
    "Arithmetic",
    "Call",
    "Chain",
    "Coalesce",
    "Comparison",
    "Comprehension",
    "Conditional",
    "DictDisplay",
    "Field",
    "Index",
    "ListDisplay",
    "Literal",
    "Logic",
    "Method",
    "Name",
    "Node",
    "Not",
    "Slice",
    "Step",
    "Unary",
    "children",
    "children_of_step",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true, false or null."""

    value: bool | int | float | str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    """A root such as `input`, or the variable of a comprehension around it."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class ListDisplay:
    """`[a, b]`"""

    items: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class DictDisplay:
    """`{"a": 1}`"""

    items: tuple[tuple[Node, Node], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`[element for variable in iterable if condition]`"""

    element: Node
    variable: str
    iterable: Node
    condition: Node | None
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`"""

    function: str
    arguments: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """The step `.name` or `?.name`."""

    name: str
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Index:
    """The step `[index]` or `?[index]`."""

    index: Node
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Slice:
    """The step `[lower:upper]` or `?[lower:upper]`."""

    lower: Node | None
    upper: Node | None
    optional: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Method:
    """The step `.name(arguments)` or `?.name(arguments)`."""

    name: str
    arguments: tuple[Node, ...]
    optional: bool
    span: Span


type Step = Field | Index | Slice | Method


@dataclass(frozen=True, slots=True)
class Chain:
    """A value and the steps that lead on from it."""

    base: Node
    steps: tuple[Step, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a` or `+a`"""

    operator: str
    operand: Node
    span: Span


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`a + b - c`, or `a * b / c // d % e`"""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a < b <= c`, also `in` and `not in`; chained as in Python: each neighbouring pair must hold."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """`not a`"""

    operand: Node
    span: Span


@dataclass(frozen=True, slots=True)
class Logic:
    """`a and b and c`, or `a or b`; the operator is spelled `and` or `or`."""

    operator: str
    operands: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Coalesce:
    """`a ?? b ?? c`: the first that is neither missing nor null, else the last."""

    operands: tuple[Node, ...]
    span: Span


@dataclass(frozen=True, slots=True)
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


def children(node: Node) -> Iterator[Node]:
    """The expressions directly inside this one, in the order in which they are written."""
    match node:
        case Literal() | Name():
            return
        case ListDisplay(items=items) | Call(arguments=items) | Logic(operands=items) | Coalesce(operands=items):
            yield from items
        case DictDisplay(items=pairs):
            for key, value in pairs:
                yield key
                yield value
        case Comprehension():
            yield node.element
            yield node.iterable
            if node.condition is not None:
                yield node.condition
        case Chain():
            yield node.base
            for step in node.steps:
                yield from children_of_step(step)
        case Unary(operand=operand) | Not(operand=operand):
            yield operand
        case Arithmetic(first=first, rest=rest) | Comparison(first=first, rest=rest):
            yield first
            for _, operand in rest:
                yield operand
        case Conditional():
            yield node.then
            yield node.test
            yield node.otherwise


def children_of_step(step: Step) -> Iterator[Node]:
    """The expressions inside of a step."""
    match step:
        case Field():
            return
        case Index():
            yield step.index
        case Slice():
            if step.lower is not None:
                yield step.lower
            if step.upper is not None:
                yield step.upper
        case Method():
            yield from step.arguments
