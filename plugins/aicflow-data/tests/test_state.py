"""What workflows keep between executions, by nodes: cursors, counters, and the same over failures and crashes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aicflow import Context, PermanentError, TransientError, node
from aicflow.engine import EngineOptions, Executions
from aicflow.engine.native import NativeEngine
from aicflow.kernel.registry import Registry
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing import RecordingContext, run_node
from aicflow_data.state import NODES, StateAdd, StateDelete, StateGet, StateSet


async def test_nodes_read_and_write() -> None:
    ctx = RecordingContext()
    assert await run_node(StateGet, {"key": "a", "default": 7}, context=ctx) == {
        "value": 7, "version": 0, "exists": False,
    }  # fmt: skip
    assert await run_node(StateSet, {"key": "a", "value": 1, "version": 0}, context=ctx) == {"value": 1, "version": 1}
    assert await run_node(StateAdd, {"key": "a", "by": 2.5}, context=ctx) == {"value": 3.5, "version": 2}
    with pytest.raises(PermanentError) as changed:
        await run_node(StateSet, {"key": "a", "value": 1, "version": 1}, context=ctx)
    assert changed.value.code == "state-changed"
    assert await run_node(StateDelete, {"key": "a"}, context=ctx) == {"deleted": True}
    assert await run_node(StateDelete, {"key": "a"}, context=ctx) == {"deleted": False}


class Lab:
    def __init__(self, store: SQLiteStore) -> None:
        self.store, self.failures, self.seen = store, 0, asyncio.Event()
        lab = self

        @node("lab.counts_and_fails")
        async def counts(ctx: Context) -> float:
            entry = await ctx.state.add("n", 1)
            if lab.failures:
                lab.failures -= 1
                raise TransientError("not yet")
            return float(entry.value)

        @node("lab.counts_and_hangs")
        async def hangs(ctx: Context) -> None:
            await ctx.state.add("n", 1)
            if ctx.attempt == 1:
                lab.seen.set()
                await asyncio.Event().wait()

        registry = Registry()
        for cls in (*NODES, counts, hangs):
            registry.register(cls)
        self.registry = registry
        self.executions = self.engine()

    def engine(self) -> Executions:
        options = EngineOptions(engine="native", cancel_grace=0.1, grace=0.1)
        return Executions(self.store, self.registry, engines={"native": NativeEngine}, options=options)

    async def start(self, *nodes: dict[str, Any]) -> str:
        try:
            await self.store.workflows.get("wf")
        except Exception:
            document = {"aicflow": 1, "name": "counts", "nodes": list(nodes)}
            await self.store.workflows.create("wf", document, now=1.0)
        return (await self.executions.start("wf")).execution_id


@pytest.fixture
async def lab(tmp_path: Path) -> Any:
    store = SQLiteStore(tmp_path / "a.db")
    await store.open()
    made = Lab(store)
    await made.executions.open()
    yield made
    await made.executions.close()
    await store.close()


async def test_executions_that_count_at_once_lose_nothing(lab: Any) -> None:
    ids = [await lab.start({"id": "a", "type": "state.add", "params": {"key": "n"}}) for _ in range(40)]
    for one in ids:
        assert (await lab.executions.wait(one, 20)).status == "succeeded"
    assert (await lab.store.state.get("wf", "n")).value == 40


async def test_a_step_that_is_retried_counts_once(lab: Any) -> None:
    lab.failures = 2
    retry = {"max_attempts": 3, "initial_delay": 0, "jitter": False}
    one = await lab.start({"id": "a", "type": "lab.counts_and_fails", "retry": retry})
    assert (await lab.executions.wait(one, 20)).status == "succeeded"
    assert (await lab.store.state.get("wf", "n")).value == 1


async def test_a_step_that_a_crash_interrupts_counts_once(lab: Any) -> None:
    one = await lab.start({"id": "a", "type": "lab.counts_and_hangs"})
    await lab.seen.wait()
    await lab.executions.close()
    await lab.store.state.put("wf", "n", 10)  # somebody else, meanwhile
    lab.executions = lab.engine()
    await lab.executions.open()
    assert (await lab.executions.wait(one, 20)).status == "succeeded"
    assert (await lab.store.state.get("wf", "n")).value == 10
