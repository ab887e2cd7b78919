"""Requests counted in memory, for one process. A store that hosts share is another `RateStore`.

The package `limits` was measured first (5.8, in memory): 38 µs for the two rates of a request, and 195 µs with 2,000
other addresses, for each hit walks all of them. This takes 2 µs, however many there are.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from aicflow.rates import Rate, Taken, Wanted

_MOST: Final = 200_000
"""Clients that are remembered; beyond that the oldest half is forgotten."""


class MemoryRates:
    """Rates of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._counts: dict[tuple[str, str], _Window | _Moving] = {}

    async def take(self, wanted: Sequence[Wanted], *, test: bool = False) -> Taken:
        """As `RateStore.take`. Never waits, so that no other request comes between testing and taking."""
        now = self._clock()
        found: list[tuple[Rate, _Window | _Moving]] = []
        refused = 0.0
        for rate, whose in wanted:
            count = self._counts.get((rate.name, whose))
            if count is None:
                count = _Moving() if rate.exact else _Window(now)
                if not test:
                    self._counts[rate.name, whose] = count
            found.append((rate, count))
            refused = max(refused, count.wait(rate, now))
        if not refused and not test:
            for _, count in found:
                count.add(now)
            if len(self._counts) > self._most:
                self._forget(now)
        return Taken([(rate, *count.left(rate, now)) for rate, count in found], refused or None)

    def _forget(self, now: float) -> None:
        self._counts = {key: count for key, count in self._counts.items() if count.until > now}
        if len(self._counts) > self._most // 2:
            for key in list(self._counts)[: len(self._counts) - self._most // 2]:
                del self._counts[key]


class _Window:
    """A window that begins with the first request, and the one before it."""

    __slots__ = ("before", "count", "since", "until")

    def __init__(self, now: float) -> None:
        self.since = self.until = now
        self.count = self.before = 0

    def wait(self, rate: Rate, now: float) -> float:
        """Seconds until one more may come."""
        passed = now - self.since
        if passed >= rate.window:
            if passed >= 2 * rate.window:
                self.since, self.before = now, 0
            else:
                self.since, self.before = self.since + rate.window, self.count
            self.count = 0
        self.until = self.since + 2 * rate.window
        if self._used(rate, now) + 1 <= rate.quota:
            return 0.0
        end = self.since + rate.window
        free = rate.quota - 1 - self.count
        if free >= 0:  # once enough of the window before lies too far back
            return end - rate.window * free / self.before - now
        return end + rate.window * (1 - (rate.quota - 1) / self.count) - now

    def add(self, now: float) -> None:
        self.count += 1

    def left(self, rate: Rate, now: float) -> tuple[int, float]:
        """After `wait`: how many more may come, and when the window ends."""
        return max(0, int(rate.quota - self._used(rate, now))), self.since + rate.window - now

    def _used(self, rate: Rate, now: float) -> float:
        return self.count + self.before * (1 - (now - self.since) / rate.window) if self.before else self.count


class _Moving:
    """The times of the requests in the last window."""

    __slots__ = ("times", "until")

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        self.until = 0.0

    def wait(self, rate: Rate, now: float) -> float:
        """Seconds until one more may come."""
        while self.times and self.times[0] <= now - rate.window:
            self.times.popleft()
        self.until = now + rate.window
        more = len(self.times) - rate.quota
        return 0.0 if more < 0 else self.times[more] + rate.window - now

    def add(self, now: float) -> None:
        self.times.append(now)

    def left(self, rate: Rate, now: float) -> tuple[int, float]:
        """After `wait`: how many more may come, and when the oldest is forgotten."""
        return max(0, rate.quota - len(self.times)), self.times[0] + rate.window - now if self.times else rate.window
