"""What engines on one shared store must do for each other, though every second signal is lost.

Subclass it and say how to open one empty store twice, as two hosts would:

    class TestMyStore(SharedStoreSuite):
        @pytest_asyncio.fixture
        async def stores(self, tmp_path):
            stores = [MyStore(tmp_path), MyStore(tmp_path)]
            ...
            yield stores
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aicflow.engine import EngineOptions, Executions
from aicflow.host.wiring import installed_plugins, make_executions
from aicflow.kernel.ports.executions import SlotLimit
from aicflow.kernel.ports.signals import Signal, SignalBus
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import NOW, claim, create, end, numbers

_MANY = 6
_SOON = 20.0
_ASKS = {
    "aicflow": 1,
    "name": "asks",
    "nodes": [{"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}],
    "output": "${{ nodes.ask.output.answer }}",
}
_SLEEPS = {"aicflow": 1, "name": "sleeps", "nodes": [{"id": "nap", "type": "wait", "params": {"seconds": 600}}]}
_PASSES = {"aicflow": 1, "name": "passes", "nodes": [{"id": "nap", "type": "wait", "params": {"seconds": 0}}]}


class _LosesEverySecond:
    """A signal bus on a bad day."""

    def __init__(self, bus: SignalBus) -> None:
        self._bus = bus
        self._count = 0

    def hint(self, signal: Signal) -> None:
        self._count += 1
        if self._count % 2:
            self._bus.hint(signal)

    async def changes(self) -> int | None:
        return await self._bus.changes()

    def signals(self) -> AsyncIterator[Signal]:
        return self._bus.signals()


class _Lossy:
    """A store that other hosts share, with such a bus."""

    exclusive = False

    def __init__(self, store: Store) -> None:
        self._store = store
        self.signals = _LosesEverySecond(store.signals)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@asynccontextmanager
async def _engine(store: Store, **options: Any) -> AsyncIterator[Executions]:
    lossy: Any = _Lossy(store)
    executions = make_executions(installed_plugins(), lossy, EngineOptions(engine="native", grace=0.5, **options))
    await executions.open()
    try:
        yield executions
    finally:
        await executions.close()


async def _until(executions: Executions, ids: list[str], status: str) -> None:
    async with asyncio.timeout(_SOON):
        while {(await executions.get(id)).status for id in ids} != {status}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
class SharedStoreSuite:
    """A host that only takes requests (`front`) and one that runs executions. Each test is given two open stores over
    the same empty data by the fixture `stores`."""

    async def _start(self, front: Executions, document: dict[str, Any]) -> list[str]:
        await front.store.workflows.create("wf", document, now=NOW)
        started = await asyncio.gather(*(front.start("wf") for _ in range(_MANY)))
        return [one.execution_id for one in started]

    async def test_what_one_host_accepts_another_runs(self, stores: list[Store]) -> None:
        async with _engine(stores[0], max_running=0) as front, _engine(stores[1]):
            ids = await self._start(front, _PASSES)
            ended = await asyncio.gather(*(front.wait(id, _SOON) for id in ids))
            assert [one and one.status for one in ended] == ["succeeded"] * _MANY

    async def test_a_host_streams_what_another_runs(self, stores: list[Store]) -> None:
        async with _engine(stores[0], max_running=0) as front, _engine(stores[1]):

            async def read(execution_id: str) -> list[int]:
                return [number async for batch in front.watch(execution_id) for number in numbers(batch)]

            async with asyncio.timeout(_SOON):
                streams = await asyncio.gather(*(read(id) for id in await self._start(front, _PASSES)))
            assert all(seen == list(range(1, len(seen) + 1)) and len(seen) > 2 for seen in streams)

    async def test_a_host_answers_what_another_waits_for(self, stores: list[Store]) -> None:
        async with _engine(stores[0], max_running=0) as front, _engine(stores[1], park_after=0.01):
            ids = await self._start(front, _ASKS)
            await _until(front, ids, "waiting")
            for number, id in enumerate(ids):
                await front.resume(id, value=number)
            ended = await asyncio.gather(*(front.wait(id, _SOON) for id in ids))
            assert [one and one.output for one in ended] == list(range(_MANY))

    async def test_a_host_cancels_what_another_runs(self, stores: list[Store]) -> None:
        async with _engine(stores[0], max_running=0) as front, _engine(stores[1], park_after=600.0):
            ids = await self._start(front, _SLEEPS)
            await _until(front, ids, "running")
            for id in ids:
                await front.cancel(id)
            await _until(front, ids, "cancelled")

    async def test_two_hosts_keep_one_limit(self, stores: list[Store]) -> None:
        ids = [f"ex_{number}" for number in range(20)]
        running: set[str] = set()
        ended: list[str] = []

        async def work(store: Store, worker: str) -> None:
            while len(ended) < len(ids):
                for one in await claim(store.executions, worker=worker):
                    running.add(one.execution.id)
                    assert len(running) <= 2
                    await asyncio.sleep(0)
                    running.remove(one.execution.id)
                    await end(store.executions, one.execution.id)
                    ended.append(one.execution.id)
                await asyncio.sleep(0.005)

        async with asyncio.timeout(_SOON), asyncio.TaskGroup() as tasks:
            for number, id in enumerate(ids):
                tasks.create_task(create(stores[number % 2].executions, id, limits=(SlotLimit("hot", 2),)))
            for number in range(4):
                tasks.create_task(work(stores[number % 2], f"w{number}"))
        assert sorted(ended) == sorted(ids)
        assert await stores[0].executions.slot_holders("hot") == []
