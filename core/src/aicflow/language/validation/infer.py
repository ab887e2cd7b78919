"""The static type of an expression, and everything in it that cannot work or may not.

Nothing is evaluated. What is not known is silent; what is provably wrong is an error; what may be wrong, as far as the
schemas tell, is a warning.
"""

from __future__ import annotations

from typing import Final

from aicflow_language.expr import Node
from aicflow_language.expr.ast import (
    Arithmetic,
    Call,
    Chain,
    Coalesce,
    Comparison,
    Comprehension,
    Conditional,
    DictDisplay,
    ListDisplay,
    Literal,
    Logic,
    Name,
    Not,
    Unary,
)

from aicflow.language.schema import SchemaView
from aicflow.language.validation import operators
from aicflow.language.validation.calls import returned
from aicflow.language.validation.chains import follow
from aicflow.language.validation.facts import Environment, Variable
from aicflow.language.validation.rules import Typing
from aicflow.language.validation.views import (
    ALL,
    ANYTHING,
    BOOLEAN,
    NUMERIC,
    OBJECT,
    STRING,
    constant,
    fixed_list,
    item_of,
    kinds_of,
    merged,
    merged_some,
    object_with,
    sequence_of,
    truth_of,
    unnull,
)

_CONDITION: Final = "Compare it, such as value != null or len(value) > 0. For a default, write value ?? other."

_BUILDING: Final = 25
"""What making a schema of others costs, in parts."""


class Inference(Typing):
    """One expression's types."""

    def type_of(self, node: Node, at: Environment, soft: bool = False) -> SchemaView:
        """The type of a value; `soft` is what stands left of `??` or inside `has`, where nothing may be missing or
        null. Raises TooCostly."""
        self.effort.parts.charge(1)
        match node:
            case Literal():
                return constant(node.value)
            case Chain():
                return follow(self, node, at, soft)
            case Name():
                return follow(self, Chain(node, (), node.span), at, soft)
            case Comparison():
                return self._comparison(node, at)
            case Arithmetic():
                return self._arithmetic(node, at)
            case Logic():
                return self._logic(node, at)
            case Not():
                truth = truth_of(self.condition(node.operand, at, "after 'not'"))
                return BOOLEAN if truth is None else constant(not truth)
            case Unary():
                view = self.type_of(node.operand, at)
                self.need(view, NUMERIC, node.operand.span, f"'{node.operator}' takes a number")
                return operators.number_like([view])
            case Coalesce():
                return self._coalesce(node, at, soft)
            case Conditional():
                truth = truth_of(self.condition(node.test, at, "after 'if'"))
                then = self.type_of(node.then, at.when(node.test, True), soft)
                otherwise = self.type_of(node.otherwise, at.when(node.test, False), soft)
                return merged([then, otherwise]) if truth is None else then if truth else otherwise
            case ListDisplay():
                self.effort.parts.charge(_BUILDING)
                return fixed_list([self.type_of(item, at) for item in node.items])
            case DictDisplay():
                self.effort.parts.charge(_BUILDING)
                return self._object(node, at)
            case Comprehension():
                self.effort.parts.charge(_BUILDING)
                return self._loop(node, at)
            case Call():
                return self._call(node, at)

    # What values must be

    def condition(self, node: Node, at: Environment, where: str) -> SchemaView:
        """The type of an expression that must be true or false; tells when it is not."""
        view = self.type_of(node, at)
        self.need(view, frozenset(("boolean",)), node.span, f"The value {where} must be true or false", _CONDITION)
        return view

    # Each sort of expression

    def _logic(self, node: Logic, at: Environment) -> SchemaView:
        deciding = node.operator == "or"
        truths: set[bool | None] = set()
        for operand in node.operands:
            truths.add(truth_of(self.condition(operand, at, f"beside '{node.operator}'")))
            at = at.when(operand, not deciding)
        if deciding in truths:
            return constant(deciding)
        return BOOLEAN if None in truths else constant(not deciding)

    def _comparison(self, node: Comparison, at: Environment) -> SchemaView:
        left, left_span = self.type_of(node.first, at), node.first.span
        truth: bool | None = None
        for sign, operand in node.rest:
            right = self.type_of(operand, at)
            truth = operators.compare(self, sign, left, right, left_span, operand.span)
            left, left_span = right, operand.span
        return BOOLEAN if truth is None or len(node.rest) > 1 else constant(truth)

    def _arithmetic(self, node: Arithmetic, at: Environment) -> SchemaView:
        left, span = self.type_of(node.first, at), node.first.span
        for sign, operand in node.rest:
            right = self.type_of(operand, at)
            left = operators.compute(self, sign, left, right, span, operand.span)
            span = (span[0], operand.span[1])
        return left

    def _coalesce(self, node: Coalesce, at: Environment, soft: bool) -> SchemaView:
        parts: list[SchemaView] = []
        for operand in node.operands[:-1]:
            view = self.type_of(operand, at, soft=True)
            if kinds_of(view) != {"null"}:
                parts.append(unnull(view))
        return merged([*parts, self.type_of(node.operands[-1], at, soft)])

    def _object(self, node: DictDisplay, at: Environment) -> SchemaView:
        fields: dict[str, SchemaView] = {}
        plain = True
        for key, value in node.items:
            view = self.type_of(key, at)
            self.need(view, frozenset(("string",)), key.span, "Keys of an object are texts")
            item = self.type_of(value, at)
            if isinstance(key, Literal) and isinstance(key.value, str):
                fields[key.value] = item
            else:
                plain = False
        return object_with(fields) if plain else OBJECT

    def _loop(self, node: Comprehension, at: Environment) -> SchemaView:
        view = self.type_of(node.iterable, at)
        kinds = kinds_of(view)
        hint = "Write text.split() for its words." if "string" in kinds else None
        self.need(view, frozenset(("array", "object")), node.iterable.span, "A loop goes over a list or object", hint)
        items: list[SchemaView] = []
        if kinds == ALL:
            items.append(ANYTHING)
        else:
            if "array" in kinds:
                items.append(item_of(view))
            if "object" in kinds:
                items.append(STRING)
        inside = at.binding(node.variable, Variable(object(), merged_some(items)))
        if node.condition is not None:
            self.condition(node.condition, inside, "after 'if'")
            inside = inside.when(node.condition, True)
        return sequence_of(self.type_of(node.element, inside))

    def _call(self, node: Call, at: Environment) -> SchemaView:
        if node.function == "has" and len(node.arguments) == 1:
            self.type_of(node.arguments[0], at, soft=True)
            return BOOLEAN
        given = [(self.type_of(argument, at), argument.span) for argument in node.arguments]
        return returned(self, node.function, given, node.arguments)
