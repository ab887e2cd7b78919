"""JSON values: pointers into them."""

from __future__ import annotations

__all__ = ["escape_pointer", "pointer"]


def escape_pointer(key: str) -> str:
    """One key as a reference token of an RFC 6901 JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def pointer(*path: str | int) -> str:
    """The JSON pointer (RFC 6901) of a path: `pointer("a/b", 0)` is `/a~1b/0`, the root is the empty text."""
    return "".join(f"/{part}" if isinstance(part, int) else "/" + escape_pointer(part) for part in path)
