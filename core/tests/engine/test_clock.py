"""The clock of hosts that share a store: the store's, whatever is done to this machine's."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from aicflow.engine.clock import SystemClock, follow

HOUR = 3_600.0


class There:
    """A store whose clock is off from this machine's."""

    exclusive = False

    def __init__(self, off: float) -> None:
        self.off = off

    async def now(self) -> float:
        return time.monotonic() + 1_000_000_000 + self.off


async def test_the_clock_of_a_shared_store_counts(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    store: Any = There(0)
    clock = SystemClock()
    with caplog.at_level(logging.WARNING):
        await clock.look(store)
    assert "off the database's" in caplog.text
    shown = clock.now()
    assert shown - (await store.now()) < 1
    monkeypatch.setattr(time, "time", lambda: 0.0)  # somebody sets the machine's
    assert clock.now() >= shown
    store.off = HOUR  # somebody sets the store's
    await clock.look(store)
    assert HOUR - 1 < clock.now() - shown < HOUR + 10


async def test_a_store_of_one_host_leaves_the_clock_alone() -> None:
    store: Any = There(HOUR)
    store.exclusive = True
    clock = SystemClock()
    assert await follow(clock, store) is None
    assert abs(clock.now() - time.time()) < 1
