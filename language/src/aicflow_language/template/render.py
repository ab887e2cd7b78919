"""From values to text, where an expression stands inside text; and what a header may hold."""

from __future__ import annotations

from collections.abc import Iterator

from aicflow_language.expr.limits import MAX_INTEGER

__all__ = ["breaks_header", "render"]


def render(value: object) -> str | None:
    """A text as it is, numbers and booleans as JSON; None for null, lists and objects, which have no place in text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -MAX_INTEGER < value < MAX_INTEGER else f"{value:x}"
    return repr(value) if isinstance(value, float) else None


def breaks_header(value: object) -> bool:
    """Whether a line break or NUL stands anywhere in the value: either would end the header it is put in."""
    return any("\r" in text or "\n" in text or "\0" in text for text in _texts(value))


def _texts(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
