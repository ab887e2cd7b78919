"""What a condition tells of paths: behind `has(input.a)` or `input.a != null` the path is known to lead somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aicflow_language.expr import Node
from aicflow_language.expr.ast import (
    Call,
    Chain,
    Coalesce,
    Comparison,
    ListDisplay,
    Literal,
    Logic,
    Method,
    Name,
    Not,
)
from aicflow_language.expr.references import constant_key

from aicflow.language.schema import SchemaView

type Key = tuple[Any, ...]
"""A root or a loop variable's own mark, and the constant keys that follow."""
type Fact = bool | SchemaView
"""The path leads to something: False when it may be null, True when it is not, a view when it is one of few values."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The variable of a loop: a mark of its own, for names may come again, and the type of its values."""

    mark: object
    view: SchemaView


@dataclass(frozen=True, slots=True)
class Environment:
    """Where an expression stands: the variables around it, and what is known of paths there."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    facts: Mapping[Key, Fact] = field(default_factory=dict)

    def when(self, condition: Node, truth: bool) -> Environment:
        """The same place, once the condition has turned out true or false."""
        found = dict(self.facts)
        _learn(condition, truth, self, found)
        return Environment(self.variables, found) if found != self.facts else self

    def binding(self, name: str, variable: Variable) -> Environment:
        """The same place inside a loop."""
        return Environment({**self.variables, name: variable}, self.facts)


def path_of(node: Node, environment: Environment) -> Key | None:
    """The path that an expression is, when it is nothing else."""
    if isinstance(node, Name):
        variable = environment.variables.get(node.name)
        return (node.name if variable is None else variable.mark,)
    if not isinstance(node, Chain):
        return None
    start = path_of(node.base, environment)
    keys = [constant_key(step) for step in node.steps]
    return None if start is None or None in keys else (*start, *keys)


def _learn(node: Node, truth: bool, around: Environment, found: dict[Key, Fact]) -> None:
    match node:
        case Not():
            _learn(node.operand, not truth, around, found)
        case Logic() if truth == (node.operator == "and"):
            for operand in node.operands:
                _learn(operand, truth, around, found)
        case Comparison(rest=((operator, right),)):
            _compared(node.first, operator, right, truth, around, found)
        case Call(function="has", arguments=(path,)):
            if truth:
                _add(path_of(path, around), False, found)
        case Call(function="has", arguments=(owner, Literal(value=str() as name))):
            _owns(path_of(owner, around), name, truth, found)
        case Chain(steps=(*_, Method(name="has", arguments=(Literal(value=str() as name),)))):
            owner_path = path_of(Chain(node.base, node.steps[:-1], node.span), around)
            _owns(owner_path, name, truth, found)
        case Coalesce(operands=(path, Literal(value=bool() as default))):
            if truth != default:
                _add(path_of(path, around), True, found)
        case Name() | Chain():
            _add(path_of(node, around), True, found)  # it was a boolean
        case _:
            pass


def _compared(left: Node, operator: str, right: Node, truth: bool, around: Environment, found: dict[Key, Fact]) -> None:
    if operator in ("in", "not in"):
        inside = truth == (operator == "in")
        if isinstance(left, Literal) and isinstance(left.value, str):
            _owns(path_of(right, around), left.value, inside, found)
        if inside and isinstance(right, ListDisplay):
            _one_of(path_of(left, around), right.items, found)
        return
    if operator not in ("==", "!="):
        for side in (left, right):  # what has an order is not null
            _add(path_of(side, around), True, found)
        return
    equal = truth == (operator == "==")
    for side, other in ((left, right), (right, left)):
        if isinstance(other, Literal) and equal == (other.value is not None):
            _add(path_of(side, around), True, found)
            if equal:
                _one_of(path_of(side, around), [other], found)


def _one_of(path: Key | None, items: Sequence[Node], found: dict[Key, Fact]) -> None:
    values = [item.value for item in items if isinstance(item, Literal) and item.value is not None]
    if values and len(values) == len(items):
        _add(path, SchemaView.of({"enum": values} if len(values) > 1 else {"const": values[0]}), found)


def _owns(owner: Key | None, name: str, truth: bool, found: dict[Key, Fact]) -> None:
    _add(owner, True, found)
    if owner is not None and truth:
        _add((*owner, name), False, found)


def _add(path: Key | None, fact: Fact, found: dict[Key, Fact]) -> None:
    if path is None:
        return
    known = found.get(path, False)
    found[path] = known if known and isinstance(fact, bool) else fact or known
    for length in range(1, len(path)):
        found[path[:length]] = found.get(path[:length]) or True
