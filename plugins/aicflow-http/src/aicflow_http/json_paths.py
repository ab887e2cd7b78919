"""Finding a value in JSON by `data.items.0` or by the JSON pointer `/data/items/0`."""

from __future__ import annotations

from typing import Any

from aicflow import pointer_keys

__all__ = ["ABSENT", "find"]

ABSENT: Any = object()


def find(value: Any, path: str) -> Any:
    """The value at the path, ABSENT when there is none. The empty path is the whole; `-1` is a list's last item."""
    for part in pointer_keys(path) if path.startswith("/") else path.split(".") if path else []:
        if isinstance(value, dict):
            value = value.get(part, ABSENT)
        elif isinstance(value, list):
            value = _at(value, part)
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
    return value


def _at(items: list[Any], part: str) -> Any:
    digits = part.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return ABSENT
    try:
        return items[int(part)]
    except IndexError:
        return ABSENT
