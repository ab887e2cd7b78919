"""Expressions as trees, and their source: the smallest text that reads back as the same tree."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from aicflow_sdk.errors import BuildError

__all__ = [
    "Binary", "Call", "Chain", "Conditional", "Field", "Index", "ListDisplay", "Literal", "Loop", "Method", "Not",
    "ObjectDisplay", "Root", "Slice", "Step", "Tree", "Unary", "source",
]  # fmt: skip

(
    _CONDITIONAL, _COALESCE, _OR, _AND, _NOT, _COMPARE, _ADD, _MULTIPLY, _UNARY, _PRIMARY,
) = range(1, 11)  # fmt: skip
RANKS: Final = {
    "??": _COALESCE, "or": _OR, "and": _AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), _COMPARE),
    "+": _ADD, "-": _ADD, "*": _MULTIPLY, "/": _MULTIPLY, "//": _MULTIPLY, "%": _MULTIPLY,
}  # fmt: skip
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LARGEST: Final = 2**128
_UNSEEN: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufdd0-\ufdef\ufeff]")


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true, false or null."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Root:
    """A name: `input`, or the variable of a loop around it."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """`.name` or `?.name`"""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`[index]` or `?[index]`"""

    index: Tree
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """`[lower:upper]` or `?[lower:upper]`"""

    lower: Tree | None
    upper: Tree | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """`.name(arguments)` or `?.name(arguments)`"""

    name: str
    arguments: tuple[Tree, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """A value and the steps that lead on from it. What stands behind an optional step is skipped with it."""

    base: Tree
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`-a` or `+a`"""

    operator: str
    operand: Tree


@dataclass(frozen=True, slots=True)
class Not:
    """`not a`; of `a in b` it is written `a not in b`."""

    operand: Tree


@dataclass(frozen=True, slots=True)
class Binary:
    """`a + b`, `a < b`, `a and b`, `a ?? b`"""

    operator: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Conditional:
    """`then if test else otherwise`"""

    then: Tree
    test: Tree
    otherwise: Tree


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`"""

    function: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class ListDisplay:
    """`[a, b]`"""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class ObjectDisplay:
    """`{"a": 1}`"""

    items: tuple[tuple[Tree, Tree], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`[element for variable in items if condition]`"""

    element: Tree
    variable: str
    items: Tree
    condition: Tree | None = None


type Step = Field | Index | Slice | Method
type Tree = Literal | Root | Chain | Unary | Not | Binary | Conditional | Call | ListDisplay | ObjectDisplay | Loop


def source(tree: Tree) -> str:
    """The expression as it stands in a document. Raises BuildError for values that it cannot say."""
    return _source(tree)[0]


def _source(tree: Tree) -> tuple[str, int]:
    """The text and how tightly it binds."""
    match tree:
        case Literal(value):
            return _literal(value)
        case Root(name):
            return name, _PRIMARY
        case Chain(base, steps):
            inner = _within(base, _PRIMARY)
            if isinstance(base, Chain) or (isinstance(base, Literal) and isinstance(base.value, int | float)):
                inner = f"({inner})"
            return inner + "".join(map(_step, steps)), _PRIMARY
        case Unary(operator, operand):
            return operator + _within(operand, _UNARY), _UNARY
        case Not(Binary("in", left, right)):
            return f"{_within(left, _COMPARE + 1)} not in {_within(right, _COMPARE + 1)}", _COMPARE
        case Not(operand):
            return "not " + _within(operand, _NOT), _NOT
        case Binary(operator, left, right):
            rank = RANKS[operator]
            # a comparison beside a comparison would be a chain of comparisons
            own = rank + 1 if rank == _COMPARE else rank
            return f"{_within(left, own)} {operator} {_within(right, rank + 1)}", rank
        case Conditional(then, test, otherwise):
            text = f"{_within(then, _COALESCE)} if {_within(test, _COALESCE)} else {_within(otherwise, _CONDITIONAL)}"
            return text, _CONDITIONAL
        case Call(function, arguments):
            return f"{function}({_list(arguments)})", _PRIMARY
        case ListDisplay(items):
            return f"[{_list(items)}]", _PRIMARY
        case ObjectDisplay(items):
            return "{" + ", ".join(f"{source(key)}: {source(value)}" for key, value in items) + "}", _PRIMARY
        case Loop(element, variable, items, condition):
            text = f"{source(element)} for {variable} in {_within(items, _COALESCE)}"
            return f"[{text}{'' if condition is None else f' if {_within(condition, _COALESCE)}'}]", _PRIMARY


def _within(tree: Tree, rank: int) -> str:
    """The text, in parentheses unless it binds as tightly as `rank` asks."""
    text, own = _source(tree)
    return text if own >= rank else f"({text})"


def _list(trees: tuple[Tree, ...]) -> str:
    return ", ".join(map(source, trees))


def _step(step: Step) -> str:
    match step:
        case Field(name, optional):
            return f"{'?' if optional else ''}.{name}"
        case Index(index, optional):
            return f"{'?' if optional else ''}[{source(index)}]"
        case Slice(lower, upper, optional):
            return f"{'?' if optional else ''}[{source(lower) if lower else ''}:{source(upper) if upper else ''}]"
        case Method(name, arguments, optional):
            return f"{'?' if optional else ''}.{name}({_list(arguments)})"


def _literal(value: bool | int | float | str | None) -> tuple[str, int]:
    if isinstance(value, str):
        return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False)), _PRIMARY
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value], _PRIMARY
    if isinstance(value, float) and not math.isfinite(value):
        raise BuildError(f"{value} is not a JSON number.", hint="Expressions have no infinity and no NaN.")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise BuildError("The integer is too large.", hint="Integers of expressions are below 2^128.")
    return repr(value), _UNARY if str(value).startswith("-") else _PRIMARY
