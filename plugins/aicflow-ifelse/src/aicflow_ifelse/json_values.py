"""JSON values as conditions see them: their types, and how a message shows them."""

from __future__ import annotations

from typing import Any

from aicflow import json_type

__all__ = ["JSON_TYPES", "has_type", "is_number", "show", "type_name"]

JSON_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_SHOWN = 40


def is_number(value: Any) -> bool:
    """Whether the value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def type_name(value: Any) -> str:
    """The JSON type of the value, for messages: every number is a `number`."""
    return "number" if is_number(value) else json_type(value)


def has_type(value: Any, name: str) -> bool:
    """Whether the value is of the JSON type. As in JSON Schema, 2.0 is an integer too."""
    if name == "integer":
        return is_number(value) and (isinstance(value, int) or value.is_integer())
    return type_name(value) == name


def show(value: Any) -> str:
    """The value's type, with the value itself where it is short enough to help."""
    kind = type_name(value)
    if kind == "null":
        return "null"
    if kind in ("array", "object"):
        return f"{'an' if kind[0] in 'ao' else 'a'} {kind}"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return f"the {kind} {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
