"""JSON values: their types, and reading and writing them."""

from __future__ import annotations

from typing import Any

from aicflow_language.json_values import (
    JsonError,
    escape_pointer,
    json_equal,
    json_type,
    pointer,
    pointer_keys,
    read_json,
)
from pydantic_core import from_json, to_json

__all__ = [
    "JsonError", "JsonObject", "JsonValue", "dumps", "escape_pointer", "json_equal", "json_type",
    "loads", "pointer", "pointer_keys", "read_json",
]  # fmt: skip

type JsonValue = bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None
type JsonObject = dict[str, JsonValue]


def dumps(value: Any) -> bytes:
    """The value as compact UTF-8 JSON. Raises ValueError for what JSON cannot hold (NaN, foreign objects)."""
    data = to_json(value, inf_nan_mode="constants")
    if b"NaN" in data or b"Infinity" in data:
        from_json(data, allow_inf_nan=False)  # raises unless the word stands inside a string
    return data


def loads(data: bytes | str) -> Any:
    """The value that the JSON text holds. Raises ValueError with line and column; NaN and Infinity are refused."""
    return from_json(data, allow_inf_nan=False)
