"""Signals inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aicflow.kernel.ports.signals import Signal

_KEPT: Final = 10_000


class LocalSignals:
    """Signals between engines that use one store object; other processes are not reached, they look every second."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Event, dict[Signal, None]] = {}

    def hint(self, signal: Signal) -> None:
        """See the port."""
        for ready, waiting in self._listeners.items():
            if len(waiting) < _KEPT:  # a listener that falls behind loses some
                waiting[signal] = None
            ready.set()

    async def changes(self) -> int | None:
        """See the port."""
        return None

    async def signals(self) -> AsyncIterator[Signal]:
        """See the port."""
        ready, waiting = asyncio.Event(), dict[Signal, None]()
        self._listeners[ready] = waiting
        try:
            while True:
                await ready.wait()
                ready.clear()
                while waiting:
                    signal = next(iter(waiting))
                    del waiting[signal]
                    yield signal
        finally:
            del self._listeners[ready]
