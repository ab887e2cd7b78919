"""Telling observers of committed events, off the hot path."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from aicflow.kernel.events import decode_event
from aicflow.kernel.records import Observer

__all__ = ["Observers"]

_logger = logging.getLogger("aicflow.engine")
_MOST_WAITING = 100_000
_BATCH = 500


class Observers:
    """A queue between commits and observers. An observer that cannot keep up loses the oldest events, and the log
    says how many; executions never wait for it."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._queue: deque[bytes] = deque()
        self._signal = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost = 0

    def committed(self, events: Sequence[bytes]) -> None:
        """Take committed events; returns at once."""
        self._queue.extend(events)
        while len(self._queue) > _MOST_WAITING:
            self._queue.popleft()
            self._lost += 1
        self._signal.set()

    def start(self) -> None:
        """Begin to tell."""
        if self._observers:
            self._task = asyncio.get_running_loop().create_task(self._tell_all(), name="aicflow-observers")

    async def stop(self) -> None:
        """Tell what is left, then stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            while self._queue:
                self._tell()

    async def _tell_all(self) -> None:
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._queue:
                self._tell()
                await asyncio.sleep(0)

    def _tell(self) -> None:
        if self._lost:
            _logger.warning("Observers fell behind and lost %d events", self._lost)
            self._lost = 0
        batch = [decode_event(self._queue.popleft()) for _ in range(min(_BATCH, len(self._queue)))]
        for observer in self._observers:
            try:
                observer.events(batch)
            except Exception:
                _logger.exception("Observer %r failed", observer)
