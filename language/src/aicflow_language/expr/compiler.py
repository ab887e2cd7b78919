"""From the syntax tree to closures: each node becomes a function of the scope and the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aicflow_language.expr import chains, operators
from aicflow_language.expr.ast import (
    Arithmetic,
    Call,
    Chain,
    Coalesce,
    Comparison,
    Comprehension,
    Conditional,
    DictDisplay,
    Field,
    Index,
    ListDisplay,
    Literal,
    Logic,
    Method,
    Name,
    Node,
    Not,
    Slice,
    Step,
    Unary,
    children,
)
from aicflow_language.expr.calls import Site
from aicflow_language.expr.chains import path, variable_path
from aicflow_language.expr.errors import Span
from aicflow_language.expr.functions import IMPLEMENTATIONS
from aicflow_language.expr.limits import Frame, Run
from aicflow_language.expr.references import ROOTS, constant_key
from aicflow_language.expr.values import check_keys, refuse


class Compiler:
    """Compiles one expression. Afterwards `slots` says how many loop variables are alive at once at most, and `builds`
    whether it may put values into new lists or objects, and so make something huge out of little."""

    def __init__(self) -> None:
        self.slots = 0
        self.builds = False
        self._bound: dict[str, int] = {}
        self._depth = 0

    def compile(self, node: Node, soft: bool = False, is_value: bool = False) -> Run:
        """The closure of a node. A soft one may return MISSING. `is_value` says that the value of the node is the
        value of the whole expression, the only place where a secret may stand."""
        match node:
            case Literal():
                return operators.constant(node.value)
            case Name():
                return self._name(node, soft)
            case Chain():
                return self._chain(node, soft, is_value)
            case Comparison():
                return operators.comparison(node, [self.compile(operand) for operand in children(node)])
            case Arithmetic():
                self.builds = self.builds or any(sign == "+" for sign, _ in node.rest)
                return operators.arithmetic(node, [self.compile(operand) for operand in children(node)])
            case Logic():
                return operators.logic(node, [self.compile(operand) for operand in node.operands])
            case Not():
                return operators.negation(node, self.compile(node.operand))
            case Unary():
                return operators.unary(node, self.compile(node.operand))
            case Coalesce():
                first = [self.compile(operand, True, is_value) for operand in node.operands[:-1]]
                return operators.coalesce(first, self.compile(node.operands[-1], soft, is_value))
            case Conditional():
                return operators.conditional(
                    node,
                    self.compile(node.test),
                    self.compile(node.then, soft, is_value),
                    self.compile(node.otherwise, soft, is_value),
                )
            case ListDisplay():
                self.builds = True
                items = [self.compile(item) for item in node.items]
                return lambda scope, frame: [item(scope, frame) for item in items]
            case DictDisplay():
                self.builds = True
                return _object([(self.compile(key), self.compile(value), key.span) for key, value in node.items])
            case Comprehension():
                self.builds = True
                return self._comprehension(node)
            case Call():
                return self._call(node)

    def _name(self, node: Name, soft: bool) -> Run:
        if node.name in self._bound:
            return chains.variable(self._bound[node.name])
        if node.name == "secrets":
            return chains.no_secret(node.span)
        if node.name not in ROOTS:
            return chains.local(node.name, node.span)
        return chains.compile_chain(Chain(node, (), node.span), chains.root(node.name), (), soft)

    def _chain(self, node: Chain, soft: bool, is_value: bool) -> Run:
        base = node.base
        is_root = isinstance(base, Name) and base.name not in self._bound
        if is_root and isinstance(base, Name) and base.name == "secrets" and not (is_value and _is_secret(node)):
            return chains.no_secret(node.span)
        if is_root and isinstance(base, Name):
            start = chains.root(base.name) if base.name in ROOTS else chains.local(base.name, base.span)
        else:
            # without a question mark behind it, a base that leads nowhere is an error of its own
            start = self.compile(base, soft=soft or node.steps[0].optional)
        keys = tuple([key for step in node.steps if not step.optional and (key := constant_key(step)) is not None])

        def careful() -> Run:
            return chains.compile_chain(node, start, tuple(map(self._step, node.steps)), soft)

        if soft or len(keys) < len(node.steps) or not isinstance(base, Name):
            return careful()
        if is_root:
            return path((base.name, *keys), careful)
        return variable_path(self._bound[base.name], keys, careful)

    def _step(self, step: Step) -> chains.Apply:
        match step:
            case Field():
                return chains.field(step)
            case Index():
                return chains.index(step, self.compile(step.index))
            case Slice():
                lower = self.compile(step.lower) if step.lower is not None else None
                upper = self.compile(step.upper) if step.upper is not None else None
                return chains.slice_of(step, lower, upper)
            case Method():
                arguments = [self.compile(argument) for argument in step.arguments]
                spans = (step.span, *(argument.span for argument in step.arguments))
                return chains.method(IMPLEMENTATIONS[step.name], Site(step.name, step.span, spans), arguments)

    def _call(self, node: Call) -> Run:
        if node.function == "has" and len(node.arguments) == 1:
            return operators.presence(self.compile(node.arguments[0], soft=True))
        site = Site(node.function, node.span, tuple(argument.span for argument in node.arguments))
        return _called(IMPLEMENTATIONS[node.function], site, [self.compile(argument) for argument in node.arguments])

    def _comprehension(self, node: Comprehension) -> Run:
        iterable = self.compile(node.iterable)
        slot, outer = self._depth, self._bound
        self._depth += 1
        self.slots = max(self.slots, self._depth)
        self._bound = {**outer, node.variable: slot}
        element = self.compile(node.element)
        condition = self.compile(node.condition) if node.condition is not None else None
        self._depth, self._bound = slot, outer
        return _loop(node, slot, iterable, element, condition)


def _is_secret(chain: Chain) -> bool:
    """Whether the chain is `secrets.NAME` and nothing more."""
    step = chain.steps[0]
    named = isinstance(step, Field) or (
        isinstance(step, Index) and isinstance(step.index, Literal) and isinstance(step.index.value, str)
    )
    return named and len(chain.steps) == 1


def _object(pairs: Sequence[tuple[Run, Run, Span]]) -> Run:
    """`{"a": 1}`"""

    def run(scope: object, frame: Frame) -> object:
        made: dict[str, object] = {}
        for key_of, value_of, span in pairs:
            key = key_of(scope, frame)
            if not isinstance(key, str) or type(key) is not str:
                raise refuse(key, "text as a key", span)
            made[key] = value_of(scope, frame)
        return made

    return run


def _called(implementation: Callable[..., object], site: Site, arguments: Sequence[Run]) -> Run:
    """`function(arguments)`"""
    if len(arguments) == 1:
        (only,) = arguments

        def one(scope: object, frame: Frame) -> object:
            return implementation(site, frame, only(scope, frame))

        return one

    def many(scope: object, frame: Frame) -> object:
        return implementation(site, frame, *[argument(scope, frame) for argument in arguments])

    return many


def _loop(node: Comprehension, slot: int, iterable: Run, element: Run, condition: Run | None) -> Run:
    """`[element for variable in iterable if condition]`"""
    span, source_span = node.span, node.iterable.span
    condition_span = node.condition.span if node.condition is not None else span
    cost = 16 + _weight(node.element) + (_weight(node.condition) if node.condition is not None else 0)

    def run(scope: object, frame: Frame) -> object:
        made: list[object] = []
        variables = frame.variables
        for item in _items(iterable(scope, frame), frame, source_span):
            frame.turn(cost, span)
            variables[slot] = item
            if condition is not None:
                chosen = condition(scope, frame)
                if chosen is False:
                    continue
                if chosen is not True:
                    raise refuse(chosen, "true or false after 'if'", condition_span, "Compare it, such as x > 0.")
            made.append(element(scope, frame))
        return made

    return run


def _items(value: object, frame: Frame, span: Span) -> Iterable[object]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        check_keys(value, frame, span)
        return value
    hint = None
    if value is None:
        hint = "For no turns at all instead of null, write (value ?? [])."
    elif isinstance(value, str):
        hint = 'To loop over lines, write split(text, "\\n").'
    raise refuse(value, "a list or an object to loop over", span, hint)


def _weight(node: Node) -> int:
    """Fuel for evaluating the node once, its own loops apart: time for its operators, memory for what it makes."""
    own = 10
    if isinstance(node, ListDisplay):
        own += 14 + 2 * len(node.items)
    elif isinstance(node, DictDisplay):
        own += 16 + 26 * len(node.items)
    return own + sum(_weight(child) for child in children(node))
