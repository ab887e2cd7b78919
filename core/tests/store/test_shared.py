"""Two hosts on one store: over one file in two processes' manner, which only poll, and over one bus of signals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aicflow.engine.hub import Hub
from aicflow.events import encode_delta
from aicflow.kernel.ports.signals import Signal
from aicflow.kernel.ports.store import Store
from aicflow.store import MemoryStore, SQLiteStore
from aicflow.store.signals import LocalSignals
from aicflow.testing.shared_suite import SharedStoreSuite
from aicflow.testing.store_samples import create


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


async def test_deltas_reach_other_hosts_while_somebody_watches() -> None:
    store = MemoryStore()
    await store.open()
    bus = LocalSignals()
    front, back = (Hub(store.executions, signals=bus, poll=0.02) for _ in range(2))
    await create(store.executions, "ex_1")
    back.delta("ex_1", "n", 1, "nobody")
    seen: list[bytes] = []

    async def listen(hub: Hub) -> None:
        async for signal in bus.signals():
            hub.hear(signal)

    async def watch(hub: Hub) -> None:
        async for batch in hub.watch("ex_1", 1):
            seen.extend(batch)

    tasks = [asyncio.create_task(one) for one in (listen(front), listen(back), watch(front))]
    async with asyncio.timeout(10):
        while not seen:
            back.delta("ex_1", "n", 1, "early")
            await asyncio.sleep(0.01)
        seen.clear()
        for text in ("ha", "ha", "x" * 10_000, "end"):
            back.delta("ex_1", "n", 1, text)
        while not seen or b'"end"' not in seen[-1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    # equal ones are two, one that is too large is left out
    assert [one for one in seen if b"early" not in one] == [
        encode_delta("ex_1", "n", 1, text) for text in ("ha", "ha", "end")
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()
