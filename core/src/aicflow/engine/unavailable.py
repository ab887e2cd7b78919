"""Waiting for a store that cannot be reached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aicflow.kernel.errors import StoreUnavailable

_logger = logging.getLogger("aicflow.engine")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


async def retry_while_unavailable[T](call: Callable[[], Awaitable[T]], who: str = "The engine") -> T:
    """The result of `call`, however long the store is full or locked: an execution waits, it does not fail."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            _logger.warning("%s waits for the store: %s", who, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
