"""The operators of conditions: what each compares, and which types it takes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from aicflow import json_equal, json_type

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

type Side = Literal["left", "right"]

Operator = Literal[
    "equals", "not_equals", "greater", "greater_or_equal", "less", "less_or_equal", "contains", "not_contains", "in",
    "not_in", "starts_with", "ends_with", "like", "not_like", "matches", "not_matches", "before", "after", "has_key",
    "type_is", "is_true", "is_false", "is_null", "exists", "is_empty", "is_not_empty",
]  # fmt: skip

PATTERNS: frozenset[str] = frozenset({"matches", "not_matches"})
UNARY: frozenset[str] = frozenset({"is_true", "is_false", "is_null", "exists", "is_empty", "is_not_empty"})


_JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_SHOWN = 40


class CannotCompare(Exception):
    """The operator does not take values of these types. `side` is the one to look at first."""

    def __init__(self, message: str, *, side: Side, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.side = side
        self.hint = hint


def compare(name: Operator, left: Any, right: Any, *, ignore_case: bool = False) -> bool:
    """Whether `left name right` holds. Raises CannotCompare."""
    if ignore_case and name in PATTERNS:
        right = f"(?i){right}" if isinstance(right, str) else right
    elif ignore_case:
        left, right = _folded(left), _folded(right)
    return _OPERATORS[name](left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _show(value: Any) -> str:
    """The value's type, with the value itself where it is short enough to help."""
    kind = "number" if _is_number(value) else json_type(value)
    if kind in ("null", "array", "object"):
        return {"null": "null", "array": "an array", "object": "an object"}[kind]
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return f"the {kind} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"


def _folded(value: Any) -> Any:
    """Texts without regard to case; lists of texts too, for `in` and `contains`."""
    if isinstance(value, str):
        return value.casefold()
    return [_folded(item) for item in value] if isinstance(value, list) else value


def _ordered(word: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(left: Any, right: Any) -> bool:
        if (_is_number(left) and _is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return holds(left, right)
        side: Side = "right" if isinstance(left, str) or _is_number(left) else "left"
        raise CannotCompare(
            f"cannot tell whether {_show(left)} is {word} than {_show(right)}; both must be numbers, or both strings",
            side=side,
            hint="Convert one side in its expression, for example ${{ float(input.total) }}.",
        )

    return check


def _contains(left: Any, right: Any) -> bool:
    if isinstance(left, str):
        return _text(right, "right", "contains", "a string can contain only a string") in left
    if isinstance(left, list):
        return any(json_equal(item, right) for item in left)
    raise CannotCompare(
        f"'contains' looks into a string or an array, not into {_show(left)}",
        side="left",
        hint="To ask whether an object has a key, use the operator 'has_key'." if isinstance(left, dict) else None,
    )


def _in(left: Any, right: Any) -> bool:
    if isinstance(right, str | list):
        try:
            return _contains(right, left)
        except CannotCompare:
            raise CannotCompare(
                f"only a string can be 'in' a string, not {_show(left)}", side="left", hint="Set 'right' to an array."
            ) from None
    raise CannotCompare(f"'in' needs an array or a string on the right, not {_show(right)}", side="right")


def _text(value: Any, side: Side, name: str, why: str = "it must be a string") -> str:
    if not isinstance(value, str):
        raise CannotCompare(f"'{name}' cannot take {_show(value)} as its {side} side; {why}", side=side)
    return value


def _starts(left: Any, right: Any) -> bool:
    return _text(left, "left", "starts_with").startswith(_text(right, "right", "starts_with"))


def _ends(left: Any, right: Any) -> bool:
    return _text(left, "left", "ends_with").endswith(_text(right, "right", "ends_with"))


def _like(left: Any, right: Any) -> bool:
    """`*` matches any text. Pieces are searched from left to right, so no pattern can take long."""
    text, pattern = _text(left, "left", "like"), _text(right, "right", "like")
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Draft202012Validator:
    """The pattern as JSON Schema has it, on an engine whose time grows with the text only. Raises ValueError."""
    from jsonschema_rs import Draft202012Validator, RegexOptions

    return Draft202012Validator({"pattern": pattern}, pattern_options=RegexOptions())


def pattern_problem(pattern: str) -> str | None:
    """Why the text is no pattern that `matches` takes, None when it is one."""
    try:
        _compiled(pattern)
    except ValueError:
        return f"{_show(pattern)} is not a regular expression, or one with look-around or back-references"
    return None


def _matches(left: Any, right: Any) -> bool:
    text, pattern = _text(left, "left", "matches"), _text(right, "right", "matches")
    problem = pattern_problem(pattern)
    if problem is not None:
        raise CannotCompare(problem, side="right", hint="Write it as for 'pattern' in a JSON Schema.")
    return _compiled(pattern).is_valid(text.encode("utf-8", "replace").decode())


def _moment(value: Any, side: Side, name: str) -> datetime:
    text = _text(value, side, name, "it must be a date-time such as '2026-03-01T09:30:00Z'")
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise CannotCompare(
            f"'{name}' cannot read {_show(value)} as a date-time",
            side=side,
            hint="Write it as ISO 8601, such as 2026-03-01T09:30:00Z or 2026-03-01.",
        ) from None


def _timed(name: str, holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def check(left: Any, right: Any) -> bool:
        a, b = _moment(left, "left", name), _moment(right, "right", name)
        if (a.tzinfo is None) != (b.tzinfo is None):
            side: Side = "left" if a.tzinfo is None else "right"
            raise CannotCompare(
                f"'{name}' cannot compare a date-time with an offset and one without: {left!r} and {right!r}",
                side=side,
                hint="Add the offset, such as Z or +02:00.",
            )
        return holds(a, b) if a.tzinfo is None else holds(a.astimezone(UTC), b.astimezone(UTC))

    return check


def _has_key(left: Any, right: Any) -> bool:
    if not isinstance(left, dict):
        raise CannotCompare(f"'has_key' looks into an object, not into {_show(left)}", side="left")
    return _text(right, "right", "has_key") in left


def _type_is(left: Any, right: Any) -> bool:
    if right not in _JSON_TYPES:
        raise CannotCompare(f"'type_is' needs one of {', '.join(_JSON_TYPES)}, not {_show(right)}", side="right")
    if right in ("integer", "number"):  # as in JSON Schema, 2.0 is an integer too
        return _is_number(left) and bool(right == "number" or left == left // 1)
    return bool(json_type(left) == right)


def _boolean(name: str, wanted: bool) -> Callable[[Any, Any], bool]:
    def check(left: Any, _: Any) -> bool:
        if not isinstance(left, bool):
            raise CannotCompare(
                f"'{name}' takes only true or false, not {_show(left)}",
                side="left",
                hint="Compare the value, for example with the operator 'equals' or 'exists'.",
            )
        return left is wanted

    return check


def _empty(left: Any, _: Any) -> bool:
    if left is None:
        return True
    if isinstance(left, str | list | dict):
        return not left
    raise CannotCompare(
        f"{_show(left)} is neither empty nor not empty", side="left", hint="To ask for null, use 'is_null'."
    )


def _not(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: not check(left, right)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": json_equal,
    "not_equals": _not(json_equal),
    "greater": _ordered("greater", operator.gt),
    "greater_or_equal": _ordered("greater", operator.ge),
    "less": _ordered("less", operator.lt),
    "less_or_equal": _ordered("less", operator.le),
    "contains": _contains,
    "not_contains": _not(_contains),
    "in": _in,
    "not_in": _not(_in),
    "starts_with": _starts,
    "ends_with": _ends,
    "like": _like,
    "not_like": _not(_like),
    "matches": _matches,
    "not_matches": _not(_matches),
    "before": _timed("before", operator.lt),
    "after": _timed("after", operator.gt),
    "has_key": _has_key,
    "type_is": _type_is,
    "is_true": _boolean("is_true", True),
    "is_false": _boolean("is_false", False),
    "is_null": lambda left, _: left is None,
    "exists": lambda left, _: left is not None,
    "is_empty": _empty,
    "is_not_empty": _not(_empty),
}
assert set(_OPERATORS) == set(get_args(Operator))
