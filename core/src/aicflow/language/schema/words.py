"""Small helpers for sentences that people read."""

from __future__ import annotations

from collections.abc import Sequence


def joined(parts: Sequence[str], last: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def a_or_an(noun: str) -> str:
    """`a string`, `an integer`, plain `null`."""
    if noun == "null":
        return noun
    return f"{'an' if noun[:1] in 'aeio' else 'a'} {noun}"
