"""Asking a store that cannot answer now again until it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aicflow.kernel.errors import StoreUnavailable

__all__ = ["patient"]

_logger = logging.getLogger("aicflow.engine")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


async def patient[T](ask: Callable[[], Awaitable[T]], what: str = "The engine") -> T:
    """What `ask` gives, however long the store is full or locked: an execution waits, it does not fail of it."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await ask()
        except StoreUnavailable as error:
            _logger.warning("%s waits for the store: %s", what, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
