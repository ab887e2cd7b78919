"""JSON values: their types, and reading and writing them."""

from __future__ import annotations

import codecs
from typing import Any, Final

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
    "JsonError", "JsonObject", "JsonValue", "decode_text", "dumps", "escape_pointer", "json_equal", "json_type",
    "loads", "pointer", "pointer_keys", "read_json",
]  # fmt: skip

type JsonValue = bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None
type JsonObject = dict[str, JsonValue]


# Python can decode by these, but they are no charsets of text, or need quadratic time.
_NO_CHARSETS: Final = frozenset(
    ("idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined", "utf_7", "mbcs", "oem")
)


def decode_text(data: bytes, charset: str | None = None) -> str:
    """The text, decoded by any charset that Python knows, UTF-8 unless named, without its byte order mark. Nothing is
    replaced: raises LookupError for an unknown charset, UnicodeDecodeError for bytes that do not fit."""
    try:
        info = codecs.lookup(charset or "utf-8")
    except (LookupError, ValueError):
        raise LookupError(f"the charset {str(charset)[:40]!a} is not known") from None
    if info.name.replace("-", "_") in _NO_CHARSETS or not getattr(info, "_is_text_encoding", True):
        raise LookupError(f"the charset {str(charset)[:40]!a} is no charset of text")
    return str(data, info.name).removeprefix("\ufeff")


def dumps(value: Any) -> bytes:
    """The value as compact UTF-8 JSON. Raises ValueError for what JSON cannot hold (NaN, foreign objects)."""
    data = to_json(value, inf_nan_mode="constants")
    if b"NaN" in data or b"Infinity" in data:
        from_json(data, allow_inf_nan=False)  # raises unless the word stands inside a string
    return data


def loads(data: bytes | str) -> Any:
    """The value that the JSON text holds. Raises ValueError with line and column; NaN and Infinity are refused."""
    return from_json(data, allow_inf_nan=False)
