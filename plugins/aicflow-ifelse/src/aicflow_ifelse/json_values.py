"""JSON values as conditions see them: their type names, and equality that keeps true apart from 1."""

from __future__ import annotations

from typing import Any

__all__ = ["JSON_TYPES", "has_type", "is_number", "json_equal", "show", "type_name"]

JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_SHOWN = 40


def is_number(value: Any) -> bool:
    """Whether the value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def type_name(value: Any) -> str:
    """The JSON type of the value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if is_number(value):
        return "number"
    return "array" if isinstance(value, list | tuple) else "object"


def has_type(value: Any, name: str) -> bool:
    """Whether the value is of the JSON type. As in JSON Schema, 2.0 is an integer too."""
    if name == "integer":
        return is_number(value) and (isinstance(value, int) or value.is_integer())
    return type_name(value) == name


def json_equal(left: Any, right: Any) -> bool:
    """Deep equality of JSON values: 1 equals 1.0, but neither equals true."""
    waiting = [(left, right)]
    while waiting:
        a, b = waiting.pop()
        if type_name(a) != type_name(b):
            return False
        if isinstance(a, dict):
            if a.keys() != b.keys():
                return False
            waiting.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list | tuple):
            if len(a) != len(b):
                return False
            waiting.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True


def show(value: Any) -> str:
    """The value's type, with the value itself where it is short enough to help."""
    kind = type_name(value)
    if kind == "null":
        return "null"
    if kind in ("array", "object"):
        return f"{'an' if kind[0] in 'ao' else 'a'} {kind}"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return f"the {kind} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
