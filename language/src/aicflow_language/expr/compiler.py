"""From the syntax tree to closures: each node becomes a function of the scope and the frame."""

from __future__ import annotations

from typing import Final

from aicflow_language.expr import chains, combine, displays
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
from aicflow_language.expr.errors import EvaluationError
from aicflow_language.expr.frame import MISSING, Frame
from aicflow_language.expr.functions import IMPLEMENTATIONS
from aicflow_language.expr.paths import Run, path, variable_path
from aicflow_language.expr.references import ROOTS
from aicflow_language.expr.site import Site
from aicflow_language.expr.values import SCALARS

__all__ = ["Compiler"]

_FOLDABLE: Final = (Unary, Arithmetic, Comparison, Not, Logic)
_LONGEST_FOLDED: Final = 4_096


class Compiler:
    """Compiles one expression. Afterwards `slots` says how many loop variables are alive at once at most."""

    def __init__(self) -> None:
        self.slots = 0
        self._bound: dict[str, int] = {}
        self._depth = 0
        self._constants: dict[int, object] = {}

    def compile(self, node: Node, soft: bool = False, is_value: bool = False) -> Run:
        """The closure of a node. A soft one may give MISSING. `is_value` says that the value of the node is the
        value of the whole expression, the only place where a secret may stand."""
        run = self._compile(node, soft, is_value)
        if isinstance(node, _FOLDABLE) and all(id(child) in self._constants for child in children(node)):
            return self._folded(node, run)
        return run

    def _compile(self, node: Node, soft: bool, is_value: bool) -> Run:
        match node:
            case Literal():
                self._constants[id(node)] = node.value
                return combine.constant(node.value)
            case Name():
                return self._name(node, soft)
            case Chain():
                return self._chain(node, soft, is_value)
            case Comparison():
                operands = [self.compile(node.first), *(self.compile(operand) for _, operand in node.rest)]
                return combine.comparison(node, operands)
            case Arithmetic():
                operands = [self.compile(node.first), *(self.compile(operand) for _, operand in node.rest)]
                return combine.arithmetic(node, operands)
            case Logic():
                return combine.logic(node, [self.compile(operand) for operand in node.operands])
            case Not():
                return combine.negation(node, self.compile(node.operand))
            case Unary():
                return combine.unary(node, self.compile(node.operand))
            case Coalesce():
                first = [self.compile(operand, True, is_value) for operand in node.operands[:-1]]
                return combine.coalesce(first, self.compile(node.operands[-1], soft, is_value))
            case Conditional():
                return combine.conditional(
                    node,
                    self.compile(node.test),
                    self.compile(node.then, soft, is_value),
                    self.compile(node.otherwise, soft, is_value),
                )
            case ListDisplay():
                return displays.list_display([self.compile(item) for item in node.items])
            case DictDisplay():
                pairs = [(self.compile(key), self.compile(value), key.span) for key, value in node.items]
                return displays.dict_display(pairs)
            case Comprehension():
                return self._comprehension(node)
            case Call():
                return self._call(node)

    def _folded(self, node: Node, run: Run) -> Run:
        """A constant in place of an operator between constants, unless it fails: then it fails when it is evaluated."""
        try:
            value = run({}, Frame())
        except EvaluationError:
            return run
        if type(value) not in SCALARS and type(value) is not float:
            return run
        if isinstance(value, str) and len(value) > _LONGEST_FOLDED:
            return run
        self._constants[id(node)] = value
        return combine.constant(value)

    def _name(self, node: Name, soft: bool) -> Run:
        if node.name in self._bound:
            return variable_path(self._bound[node.name], (), None)
        if node.name == "secrets":
            return chains.no_secret(node.span)
        if node.name not in ROOTS:
            return chains.unknown(node.name, node.span)
        lookup, name, span = chains.root(node.name), node.name, node.span
        if soft:
            return lookup

        def run(scope: object, frame: Frame) -> object:
            value = lookup(scope, frame)
            if value is MISSING:
                raise chains.missing_root(name, span)
            return value

        return run

    def _chain(self, node: Chain, soft: bool, is_value: bool) -> Run:
        base = node.base
        is_root = isinstance(base, Name) and base.name not in self._bound
        if is_root and isinstance(base, Name) and base.name == "secrets" and not (is_value and _is_secret(node)):
            return chains.no_secret(node.span)
        if is_root and isinstance(base, Name):
            start = chains.root(base.name) if base.name in ROOTS else chains.unknown(base.name, base.span)
        else:
            # without a question mark behind it, a base that leads nowhere is an error of its own
            start = self.compile(base, soft=soft or node.steps[0].optional)
        careful = chains.compile_chain(node, start, tuple(self._step(step) for step in node.steps), soft)
        keys = [step.name for step in node.steps if isinstance(step, Field) and not step.optional]
        if soft or len(keys) < len(node.steps) or not isinstance(base, Name):
            return careful
        if is_root and base.name in ROOTS:
            return path((base.name, *keys), careful)
        return careful if is_root else variable_path(self._bound[base.name], tuple(keys), careful)

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
            return combine.presence(self.compile(node.arguments[0], soft=True))
        site = Site(node.function, node.span, tuple(argument.span for argument in node.arguments))
        return displays.call(
            IMPLEMENTATIONS[node.function], site, [self.compile(argument) for argument in node.arguments]
        )

    def _comprehension(self, node: Comprehension) -> Run:
        iterable = self.compile(node.iterable)
        slot, hidden = self._depth, self._bound.get(node.variable)
        self._depth += 1
        self.slots = max(self.slots, self._depth)
        self._bound[node.variable] = slot
        element = self.compile(node.element)
        condition = self.compile(node.condition) if node.condition is not None else None
        self._depth -= 1
        if hidden is None:
            del self._bound[node.variable]
        else:
            self._bound[node.variable] = hidden
        return displays.comprehension(node, slot, iterable, element, condition)


def _is_secret(chain: Chain) -> bool:
    """Whether the chain is `secrets.NAME` and nothing more."""
    step = chain.steps[0]
    named = isinstance(step, Field) or (
        isinstance(step, Index) and isinstance(step.index, Literal) and isinstance(step.index.value, str)
    )
    return named and len(chain.steps) == 1
