"""The syntax tree: frozen nodes, each with its span in the source. Operators of one rank are kept flat, so that a
long sum or a long path is wide and not deep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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


_INSIDE: Final[dict[type, tuple[str, ...]]] = {
    Literal: (),
    Name: (),
    ListDisplay: ("items",),
    DictDisplay: ("items",),
    Comprehension: ("element", "iterable", "condition"),
    Call: ("arguments",),
    Chain: ("base", "steps"),
    Unary: ("operand",),
    Arithmetic: ("first", "rest"),
    Comparison: ("first", "rest"),
    Not: ("operand",),
    Logic: ("operands",),
    Coalesce: ("operands",),
    Conditional: ("then", "test", "otherwise"),
    Field: (),
    Index: ("index",),
    Slice: ("lower", "upper"),
    Method: ("arguments",),
}
"""The fields that hold expressions, in the order in which they are written."""
_STEPS: Final = frozenset({Field, Index, Slice, Method})


def children(node: Node | Step) -> list[Node]:
    """The expressions directly inside this one, in the order in which they are written."""
    found: list[Node] = []
    for name in _INSIDE[type(node)]:
        _collect(getattr(node, name), found)
    return found


def _collect(part: Any, found: list[Node]) -> None:
    kind = type(part)
    if kind is tuple:
        for one in part:
            _collect(one, found)
    elif kind in _STEPS:
        found += children(part)
    elif kind in _INSIDE:
        found.append(part)
