"""How many executions of each starter (an API key, a token) are queued and were never claimed.

The rows are the truth. What is remembered is never less than they say, because only whoever asks here adds any: so they
are counted only where the limit may have been reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

_MOST: Final = 10_000


class QueuedByStarter:
    """For a store whose executions one process accepts."""

    def __init__(self) -> None:
        self._at_most: dict[str, int] = {}
        self._unwritten: Counter[str] = Counter()

    def written(self) -> None:
        """What was taken until now stands in the rows, or was rolled back."""
        self._unwritten.clear()

    def forget(self) -> None:
        """Another process may have accepted some."""
        self._at_most.clear()

    def take(self, starter: str, limit: int, count: Callable[[str], int]) -> bool:
        """Whether one more may be queued. `count` counts rows."""
        queued = self._at_most.get(starter)
        if queued is None or queued >= limit:
            queued = count(starter) + self._unwritten[starter]
        if len(self._at_most) >= _MOST:
            self._at_most.clear()
        self._at_most[starter] = queued + (queued < limit)
        self._unwritten[starter] += queued < limit
        return queued < limit
