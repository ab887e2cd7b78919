"""“Did you mean …?”: the nearest known name to a misspelt one, at bounded cost whatever the data holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Final

_MOST_NAMES: Final = 400
_LONGEST_NAME: Final = 100
_LEFT: Final[ContextVar[list[int] | None]] = ContextVar("names left to compare", default=None)


@contextmanager
def bounded_suggestions(names: int = 20_000) -> Iterator[None]:
    """Inside, so many names are compared altogether; after that, there are no suggestions."""
    token = _LEFT.set([names])
    try:
        yield
    finally:
        _LEFT.reset(token)


def nearest(name: str, known: Iterable[object]) -> str | None:
    """The known name that looks most like this one, or None. Looks at a bounded number of names."""
    from difflib import get_close_matches  # only mistakes pay for it

    left = _LEFT.get()
    if len(name) > _LONGEST_NAME or (left is not None and left[0] <= 0):
        return None
    names = [candidate for candidate in islice(known, _MOST_NAMES) if isinstance(candidate, str)]
    if left is not None:
        left[0] -= len(names)
    lowered = {candidate.lower(): candidate for candidate in names if len(candidate) <= _LONGEST_NAME}
    found = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[object]) -> str | None:
    """A hint that names the nearest known name, or None."""
    best = nearest(name, known)
    return f"Did you mean {best!r}?" if best is not None else None
