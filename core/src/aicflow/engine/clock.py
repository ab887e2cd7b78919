"""The real clock."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import StoreUnavailable
from aicflow.kernel.ports.store import Store

_logger = logging.getLogger("aicflow.engine")
_LOOK_EVERY: Final = 5.0
_SAME: Final = 0.05
_WORTH_SAYING: Final = 1.0


class SystemClock:
    """Wall-clock time of this machine, or of the store that hosts share once it follows that: their clocks differ, and
    what one of them makes due, another finds."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        """How far the store's clock is ahead of this machine's monotonic one, which nobody sets."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time() if self._ahead is None else time.monotonic() + self._ahead

    async def look(self, store: Store) -> None:
        """Take over the store's time. Raises StoreUnavailable."""
        asked = time.monotonic()
        there = await store.now()
        took = time.monotonic() - asked
        ahead = there - asked - took / 2
        if self._ahead is None:
            wrong = time.time() - time.monotonic() - ahead
            if abs(wrong) > took + _WORTH_SAYING:
                _logger.warning("The clock of this machine is %.0f s off the database's, by which hosts go", wrong)
        if self._ahead is None or abs(ahead - self._ahead) > took + _SAME:
            self._ahead = ahead


async def follow(clock: Clock, store: Store) -> asyncio.Task[None] | None:
    """Let a host's clock follow the store, if others may share that; the task that keeps doing so. Raises
    StoreUnavailable."""
    if store.exclusive or not isinstance(clock, SystemClock):
        return None
    await clock.look(store)
    return asyncio.get_running_loop().create_task(_keep_following(clock, store), name="aicflow-clock")


async def _keep_following(clock: SystemClock, store: Store) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        try:
            await clock.look(store)
        except StoreUnavailable:
            _logger.info("The store's clock cannot be read now; the last reading holds.")
        except Exception:
            _logger.exception("Reading the store's clock failed; it is tried again")
