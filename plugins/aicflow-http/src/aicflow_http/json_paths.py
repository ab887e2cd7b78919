"""Finding a value in JSON by `data.items.0` or by the JSON pointer `/data/items/0`."""

from __future__ import annotations

from typing import Any

__all__ = ["ABSENT", "find"]

ABSENT: Any = object()


def find(value: Any, path: str) -> Any:
    """The value at the path, ABSENT when there is none. The empty path is the whole; `-1` is a list's last item."""
    if path.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    else:
        parts = path.split(".") if path else []
    for part in parts:
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
