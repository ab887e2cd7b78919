"""JSON values: their types, and reading and writing them."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

__all__ = ["JsonObject", "JsonValue", "dumps", "escape_pointer", "loads", "pointer"]

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


def escape_pointer(key: str) -> str:
    """One key as a reference token of an RFC 6901 JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def pointer(*parts: str | int) -> str:
    """A JSON pointer from its parts."""
    return "".join(f"/{escape_pointer(str(part))}" for part in parts)
