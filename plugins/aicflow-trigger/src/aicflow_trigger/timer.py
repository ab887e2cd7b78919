"""The one timer behind every schedule: a heap of instants and a task that sleeps until the first. Idle, it costs
nothing however many there are."""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

LONGEST_SLEEP: Final = 30.0
"""Seconds after which the wall clock is looked at again, since it may have been set."""

_BACK: Final = 1.0
_log = logging.getLogger("aicflow.triggers.cron")

type Wait = Callable[[asyncio.Event, float], Awaitable[Any]]
"""Waits for the event, at most so many seconds."""


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Timer:
    """Calls `due(key)` when the wall clock has reached the instant that a key is armed for, and `set_back(now)` when
    the clock was set back by more than a second. Neither may block. Instants are seconds since 1970 UTC."""

    def __init__(
        self,
        now: Callable[[], float],
        due: Callable[[str], None],
        set_back: Callable[[float], None],
        wait: Wait | None = None,
    ) -> None:
        self._now = now
        self._due = due
        self._set_back = set_back
        self._wait = wait or _wait
        self._heap: list[tuple[float, int, str]] = []
        self._armed: dict[str, int] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-cron")

    async def stop(self) -> None:
        """Nothing is due any more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def arm(self, key: str, at: float) -> None:
        """Make the key due at an instant, instead of the one it was armed for before."""
        number = self._armed[key] = next(self._numbers)
        if len(self._heap) > 64 + 2 * len(self._armed):
            # schedules that were changed or dropped leave entries behind
            self._heap = [entry for entry in self._heap if self._armed.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (at, number, key))
        if self._heap[0][1] == number:
            self._changed.set()

    def drop(self, key: str) -> None:
        """The key will not be due."""
        self._armed.pop(key, None)

    async def _run(self) -> None:
        seen = self._now()
        while True:
            self._changed.clear()
            now = self._now()
            try:
                if now < seen - _BACK:
                    _log.warning("The clock was set back by %.0f s", seen - now)
                    self._set_back(now)
                self._call_due(now)
            except Exception:
                _log.exception("The timer of schedules failed and continues")
            seen = now
            left = self._heap[0][0] - now if self._heap else LONGEST_SLEEP
            await self._wait(self._changed, min(max(left, 0.0), LONGEST_SLEEP))

    def _call_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            _, number, key = heapq.heappop(self._heap)
            if self._armed.get(key) == number:
                del self._armed[key]
                self._due(key)
