"""Two hosts on one store: over one file in two processes' manner, which only poll, and over one bus of signals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aicflow.kernel.ports.signals import Signal
from aicflow.kernel.ports.store import Store
from aicflow.store import MemoryStore, SQLiteStore
from aicflow.store.signals import LocalSignals
from aicflow.testing.shared_suite import SharedStoreSuite


class TestSharedFile(SharedStoreSuite):
    @pytest.fixture
    async def stores(self, tmp_path: Path) -> AsyncIterator[list[Store]]:
        opened = [SQLiteStore(tmp_path / "a.db", shared=True) for _ in range(2)]
        for store in opened:
            await store.open()
        yield [*opened]
        for store in opened:
            await store.close()


class TestOneBus(SharedStoreSuite):
    @pytest.fixture
    async def stores(self) -> AsyncIterator[list[Store]]:
        store = MemoryStore()
        await store.open()
        yield [store, store]
        await store.close()


async def test_a_slow_listener_hears_the_same_signal_once_and_loses_what_is_too_much() -> None:
    bus = LocalSignals()
    bus.hint(Signal("work"))  # nobody listens
    heard = bus.signals()
    first = anext(heard)
    waiting = asyncio.ensure_future(first)
    await asyncio.sleep(0)
    for seq in range(30_000):
        bus.hint(Signal("work"))
        bus.hint(Signal("events", "ex_1", seq))
    assert await waiting == Signal("work")
    assert [(await anext(heard)).seq for _ in range(9_999)] == list(range(9_999))
    bus.hint(Signal("cancel", "ex_2"))
    assert await anext(heard) == Signal("cancel", "ex_2")
    await heard.aclose()
