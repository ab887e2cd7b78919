"""Following a path through data: fields, subscripts, slices and methods, with `?.` and `??` in mind.

A step returns MISSING where there is nothing. Missing and null stop a path; whether that is an error, null or a reason
to take the other side of `??` is decided in one place, `compile_chain`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aicflow_language.expr.ast import Chain, Field, Index, Literal, Method, Name, Slice, Step
from aicflow_language.expr.calls import Site
from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.limits import MISSING, Frame, Run
from aicflow_language.expr.references import ROOTS
from aicflow_language.expr.values import name_of, not_json, refuse
from aicflow_language.suggest import did_you_mean

type Apply = Callable[[object, object, Frame], object]
"""Takes one step from a value that is neither null nor missing: (value, scope, frame) to value or MISSING."""


def compile_chain(chain: Chain, base: Run, steps: tuple[Apply, ...], soft: bool) -> Run:
    """The closure for a path. A soft one returns MISSING where a strict one raises because there is nothing."""
    plan = tuple(zip(steps, (step.optional for step in chain.steps), range(len(steps)), strict=True))

    def walk(scope: object, frame: Frame) -> object:
        receiver: object = None
        value = base(scope, frame)
        for apply, optional, position in plan:
            if value is None or value is MISSING:
                if soft:
                    return MISSING
                if optional:
                    return None
                raise _nothing(chain, position, receiver, value)
            receiver = value
            value = apply(value, scope, frame)
            if optional and value is MISSING and not soft:
                value = None
        if value is MISSING and not soft:
            raise _nothing(chain, len(plan), receiver, value)
        return value

    return walk


def root(name: str) -> Run:
    """The closure for a root of the scope."""

    def run(scope: Mapping[str, object], frame: Frame) -> object:
        return scope.get(name, MISSING)

    return run


def field(step: Field) -> Apply:
    """`.name`"""
    name, span = step.name, step.span

    def apply(value: object, scope: object, frame: Frame) -> object:
        if isinstance(value, dict):
            return value.get(name, MISSING)
        if isinstance(value, Mapping):  # a root that looks things up as they are asked for
            return _looked_up(value, name)
        raise _no_field(name, value, span)

    return apply


def index(step: Index, key_of: Run) -> Apply:
    """`[key]`"""
    span = step.index.span

    def apply(value: object, scope: object, frame: Frame) -> object:
        key = key_of(scope, frame)
        if isinstance(value, dict):
            if type(key) is not str:
                raise refuse(key, "a text as the key of an object", span)
            frame.charge(len(key) >> 4, span)
            return value.get(key, MISSING)
        if isinstance(value, list | str):
            if not isinstance(key, int) or type(key) is not int:
                raise refuse(key, f"a whole number as the index of {name_of(value)}", span)
            return value[key] if -len(value) <= key < len(value) else MISSING
        if isinstance(value, Mapping) and type(key) is str:
            return _looked_up(value, key)
        raise refuse(value, "a list, an object or text before '['", step.span)

    return apply


def slice_of(step: Slice, lower_of: Run | None, upper_of: Run | None) -> Apply:
    """`[lower:upper]`"""
    span = step.span

    def apply(value: object, scope: object, frame: Frame) -> object:
        lower = _bound(lower_of(scope, frame), span) if lower_of is not None else None
        upper = _bound(upper_of(scope, frame), span) if upper_of is not None else None
        if isinstance(value, list):
            part = value[lower:upper]
            frame.charge(2 * len(part), span)
            return part
        if isinstance(value, str):
            text = value[lower:upper]
            frame.charge(len(text), span)
            return text
        raise refuse(value, "a list or text before '['", span)

    return apply


def _bound(value: object, span: Span) -> int | None:
    if value is None or (isinstance(value, int) and type(value) is int):
        return value
    raise refuse(value, "whole numbers in a slice", span)


def _looked_up(values: Mapping[str, object], key: str) -> object:
    try:
        return values[key]
    except KeyError:
        return MISSING


def _no_field(name: str, value: object, span: Span) -> EvaluationError:
    hint = None
    if isinstance(value, list):
        hint = f"Take one item, such as [0], or each: [x.{name} for x in list]."
    elif isinstance(value, str):
        hint = "If the text is JSON, write parse_json(text)."
    foreign = not_json(value, span)
    return foreign or EvaluationError("eval.type", f"{name_of(value).capitalize()} has no field '{name}'", span, hint)


def missing_root(name: str, span: Span, more: Sequence[str] = ()) -> EvaluationError:
    """The error for a name that is not in the scope; `more` are names that may be, besides the roots."""
    if name in ROOTS:
        hint = f"If it may be missing, write {name}?. or a default: ?? value."
        return EvaluationError("eval.missing-key", f"There is no '{name}' here", span, hint)
    return EvaluationError(
        "ref.unknown-name",
        f"There is nothing called '{name}'",
        span,
        lambda: did_you_mean(name, (*more, *ROOTS)) or f"Available names: {', '.join((*ROOTS, *more))}.",
    )


def _nothing(chain: Chain, position: int, receiver: object, value: object) -> EvaluationError:
    """Why the path cannot go on at `position`: what came before it is missing or null."""
    base = chain.base
    if position == 0:
        name = base.name if isinstance(base, Name) else "the value"
        return missing_root(name, base.span) if value is MISSING else _null(name, chain.steps[0], base.span)
    before = chain.steps[position - 1]
    if value is None:
        return _null(_written(before), chain.steps[position], before.span)
    if isinstance(receiver, Mapping):
        key = _key(before)
        owner = _written(chain.steps[position - 2]) if position > 1 else (base.name if isinstance(base, Name) else None)
        return EvaluationError("eval.missing-key", _lacks(owner, key), before.span, lambda: _for_missing(key, receiver))
    size = len(receiver) if isinstance(receiver, list | str) else 0
    what = "characters" if isinstance(receiver, str) else "items"
    message = f"The index is out of range: there are {size:,} {what}"
    return EvaluationError("eval.index", message, before.span, "For a default, write value[index] ?? default.")


def _lacks(owner: str | None, key: str | None) -> str:
    if key is None:
        return "There is no such key"
    if owner == "nodes":
        return f"Node '{key}' has not run"
    if owner == "secrets":
        return f"There is no secret '{key}'"
    return f"There is no key '{key}' in '{owner}'" if owner else f"There is no key '{key}'"


def _for_missing(key: str | None, receiver: Mapping[str, object]) -> str:
    default = "If it may be missing, write ?. after it, or a default: ?? value."
    nearest = did_you_mean(key, receiver) if key is not None else None
    return f"{nearest} {default}" if nearest else default


def _null(what: str, step: Step, span: Span) -> EvaluationError:
    sign = {Field: f".{_written(step)}", Method: f".{_written(step)}(…)"}.get(type(step), "[…]")
    hint = f"If it may be null, write ?{sign}, or a default: (… ?? value){sign}."
    return EvaluationError("eval.type", f"'{what}' is null, so '{sign}' cannot follow it", span, hint)


def _key(step: Step) -> str | None:
    """The key that the step asks for, when the source says it."""
    if isinstance(step, Field):
        return step.name
    if isinstance(step, Index) and isinstance(step.index, Literal) and isinstance(step.index.value, str):
        return step.index.value[:100]
    return None


def _written(step: Step) -> str:
    return step.name if isinstance(step, Field | Method) else _key(step) or "the item"


def method(implementation: Callable[..., object], site: Site, arguments: Sequence[Run]) -> Apply:
    """`.name(arguments)`"""

    def apply(value: object, scope: object, frame: Frame) -> object:
        return implementation(site, frame, value, *[argument(scope, frame) for argument in arguments])

    return apply


def local(name: str, span: Span) -> Run:
    """The closure for a name that is no root: where it is not known it is misspelt, and what is misspelt has no
    default."""

    def run(scope: object, frame: Frame) -> object:
        if not isinstance(scope, Mapping) or name not in scope:
            raise missing_root(name, span)
        return scope[name]

    return run


def no_secret(span: Span) -> Run:
    """The closure for secrets in a place where they may not be."""

    def run(scope: object, frame: Frame) -> object:
        raise EvaluationError(
            "secret.not-allowed",
            "A secret can only be the whole value of an expression",
            span,
            "Write ${{ secrets.NAME }} by itself, or inside the text of a param that takes secrets.",
        )

    return run


def path(keys: tuple[str | int, ...], careful: Callable[[], Run]) -> Run:
    """A closure that follows the keys from the scope on, and leaves failures to `careful`, which is made for them."""
    match keys:
        case (a, b):

            def two(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b]
                except Exception:
                    return careful()(scope, frame)

            return two
        case (a, b, c):

            def three(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c]
                except Exception:
                    return careful()(scope, frame)

            return three
        case (a, b, c, d):

            def four(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c][d]
                except Exception:
                    return careful()(scope, frame)

            return four
        case (a, b, c, d, e):

            def five(scope: Any, frame: Frame) -> object:
                try:
                    return scope[a][b][c][d][e]
                except Exception:
                    return careful()(scope, frame)

            return five
        case _:

            def many(scope: Any, frame: Frame) -> object:
                value = scope
                try:
                    for key in keys:
                        value = value[key]
                except Exception:
                    return careful()(scope, frame)
                return value

            return many


def variable(slot: int) -> Run:
    """The closure for a loop variable."""

    def run(scope: Any, frame: Frame) -> object:
        return frame.variables[slot]

    return run


def variable_path(slot: int, keys: tuple[str | int, ...], careful: Callable[[], Run]) -> Run:
    """As `path`, from a loop variable on."""

    def follow(scope: Any, frame: Frame) -> object:
        value: Any = frame.variables[slot]
        try:
            for key in keys:
                value = value[key]
        except Exception:
            return careful()(scope, frame)
        return value

    return follow
