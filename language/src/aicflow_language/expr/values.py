"""JSON values as the language sees them: what they are called, when they are equal, what a result may hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, final

from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.limits import MAX_VALUE_NESTING, Frame
from aicflow_language.json_values import json_equal


@final
class Secret:
    """An opaque secret. It holds no value; whoever resolves a param turns the name into text at the last moment."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"


SCALARS: Final = frozenset({str, int, bool, type(None)})
"""Scalar types whose every value is JSON; a float may be NaN and is looked at."""

JSON_TYPES: Final = SCALARS | {float, list, dict}

_NUMBERS: Final = frozenset({int, float})

_NAMES: Final = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
    list: "a list",
    dict: "an object",
    Secret: "a secret",
}

_WALK = 10
"""Fuel for looking at one value inside another."""

_ENTER = 70
"""Fuel for going into a list or object."""


def name_of(value: object) -> str:
    """What kind of value it is, as a message says it; never the value itself, which may be private."""
    return _NAMES.get(type(value)) or f"a Python {type(value).__name__}"


def not_json(value: object, span: Span) -> EvaluationError | None:
    """Why the value may not take part in an expression at all, or None when it may."""
    kind = type(value)
    if kind is float:
        assert isinstance(value, float)
        if math.isfinite(value):
            return None
        return EvaluationError("eval.foreign", f"The number {value} is not a JSON value", span)
    if kind in JSON_TYPES:
        return None
    if kind is Secret:
        return EvaluationError(
            "secret.not-allowed",
            "A secret cannot be computed with",
            span,
            "Use it as the whole value of a param that takes secrets, or inside the text of one.",
        )
    return EvaluationError("eval.foreign", f"A Python {kind.__name__} is not a JSON value", span)


def refuse(value: object, wanted: str, span: Span, hint: str | None = None) -> EvaluationError:
    """The error for a value that is not what an operator or function takes."""
    return not_json(value, span) or EvaluationError(
        "eval.type", f"Expected {wanted}, found {name_of(value)}", span, hint
    )


def equal(left: object, right: object, frame: Frame, span: Span) -> bool:
    """Whether two values are the same JSON value: numbers by amount, everything else by type and content."""
    kind = type(left)
    if kind in SCALARS and kind is type(right):
        if isinstance(left, str):
            frame.charge(len(left) >> 4, span)
        return left == right

    def visit(a: object, b: object, depth: int) -> None:
        kind = type(a)
        if isinstance(a, str):
            frame.charge(len(a) >> 4, span)
        elif isinstance(a, list | dict):
            frame.charge(_ENTER + _WALK * len(a), span)
            if depth > MAX_VALUE_NESTING:
                raise _too_deep(span)
        elif kind not in SCALARS and (error := not_json(a, span)) is not None:
            raise error
        if type(b) is not kind and (error := not_json(b, span)) is not None:
            raise error

    return json_equal(left, right, visit)


def contains(items: list[object], wanted: object, frame: Frame, span: Span) -> bool:
    """Whether a list holds the value, by the same rule as `equal`."""
    frame.charge(2 * len(items), span)
    kinds = set(map(type, items))
    if not kinds <= JSON_TYPES:
        return any(equal(item, wanted, frame, span) for item in items)
    kind = type(wanted)
    if kind is str:
        assert isinstance(wanted, str)
        if len(wanted) > 64:
            frame.charge(len(items) * (len(wanted) >> 4), span)
        return wanted in items
    if wanted is None:
        return type(None) in kinds
    if kind is bool:
        return any(item is wanted for item in items)
    if kind in _NUMBERS and bool not in kinds and (kind is int or not_json(wanted, span) is None):
        return wanted in items
    frame.charge(2 * _WALK * len(items), span)
    return any(equal(item, wanted, frame, span) for item in items)


def check_built(value: object, frame: Frame, span: Span) -> int:
    """Refuse a value made by an expression that is not JSON, is too deep, or is too large once written out.
    Returns how many characters it takes at least.

    A small expression can make a value that shares its parts and is astronomically large as text; this walk sees
    it as it would be written, and stops when the fuel is used up.
    """
    error = not_json(value, span)
    if error is not None:
        raise error
    characters = 0
    walks: list[Iterator[object]] = [iter((value,))]
    while walks:
        for item in walks[-1]:
            kind = type(item)
            characters += 1
            if kind in SCALARS:
                if isinstance(item, str):
                    characters += len(item)
                    frame.charge(_WALK + len(item), span)
                else:
                    frame.charge(_WALK, span)
                continue
            error = not_json(item, span)
            if error is not None:
                raise error
            if kind is float:
                frame.charge(_WALK, span)
                continue
            frame.charge(_ENTER, span)
            if len(walks) > MAX_VALUE_NESTING:
                raise _too_deep(span)
            if isinstance(item, dict):
                characters += check_keys(item, frame, span)
                walks.append(iter(item.values()))
            else:
                assert isinstance(item, list)
                walks.append(iter(item))
            break
        else:
            walks.pop()
    return characters


def _too_deep(span: Span) -> EvaluationError:
    message = f"The value is nested deeper than {MAX_VALUE_NESTING} levels"
    return EvaluationError("eval.limit", message, span, "Work on a part of it, or use a code node.")


def check_keys(value: dict[object, object], frame: Frame, span: Span) -> int:
    """Refuse an object with keys that are not text. Returns how many characters the keys take at least."""
    frame.charge(len(value) * 2, span)
    characters = 0
    for key in value:
        if type(key) is not str:
            raise EvaluationError("eval.foreign", f"A key of the object is {name_of(key)}, not text", span)
        frame.charge(len(key), span)
        characters += 1 + len(key)
    return characters
