"""“Did you mean …?”: the nearest known name to a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

__all__ = ["did_you_mean", "nearest"]

_MOST_NAMES = 500


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, or None. Looks at a bounded number of names."""
    names = list(islice(known, _MOST_NAMES))
    lowered = {candidate.lower(): candidate for candidate in names}
    found = get_close_matches(name[:100].lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known name, or None."""
    best = nearest(name, known)
    return f"Did you mean {best!r}?" if best is not None else None
