"""The nearest known word to a misspelt one, at bounded cost whatever the data holds."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

__all__ = ["did_you_mean"]

_MOST_WORDS = 400
_LONGEST_WORD = 64


def did_you_mean(word: str, known: Iterable[object]) -> str | None:
    """A sentence that names the nearest of the known words, or None. Looks at a bounded number of them."""
    if len(word) > _LONGEST_WORD:
        return None
    lowered: dict[str, str] = {}
    for candidate in islice(known, _MOST_WORDS):
        if isinstance(candidate, str) and abs(len(candidate) - len(word)) <= 3 and candidate != word:
            lowered.setdefault(candidate.lower(), candidate)
    found = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"Did you mean '{lowered[found[0]]}'?" if found else None
