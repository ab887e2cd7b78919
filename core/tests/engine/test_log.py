"""Committing in batches: an end and its status are one, and nothing is left uncommitted."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aicflow.engine import EngineOptions
from aicflow.engine.clock import SystemClock
from aicflow.engine.hub import Hub
from aicflow.engine.log import ExecutionLog
from aicflow.engine.masking import Mask
from aicflow.engine.sealing import Seal
from aicflow.events import event_type
from aicflow.kernel.execution import Execution
from aicflow.kernel.ports.executions import Appended, EventBatch, Projection


class SlowStore:
    """A store whose commits wait until the test lets them go on."""

    def __init__(self) -> None:
        self.commits: list[tuple[list[str], str | None]] = []
        self.gate = asyncio.Semaphore(0)

    async def append(
        self, execution_id: str, epoch: int, batch: EventBatch, projection: Projection | None, *more: Any
    ) -> Appended:
        await self.gate.acquire()
        self.commits.append(([event_type(one) for one in batch.events], projection and projection.status))
        return Appended(admitted=("next",) if projection else ())


def log_on(store: SlowStore) -> ExecutionLog:
    env: Any = SimpleNamespace(
        store=SimpleNamespace(executions=store),
        hub=Hub(store),  # type: ignore[arg-type]
        clock=SystemClock(),
        options=EngineOptions(flush_after=0.001),
        seal=Seal(),
    )
    execution = Execution("ex_1", "wf", 1, "running", 0.0, last_seq=1, epoch=1)
    return ExecutionLog(env, execution, Mask())


async def test_whoever_commits_the_end_commits_the_status_with_it() -> None:
    store = SlowStore()
    log = log_on(store)
    log.add("step.started", "a", 1)
    first = asyncio.create_task(log.flush())
    await asyncio.sleep(0)
    log.add("step.succeeded", "a", 1)
    other = asyncio.create_task(log.flush())  # waits for the first, and goes on before the end does
    await asyncio.sleep(0)
    log.add("execution.succeeded")
    end = asyncio.create_task(log.flush(Projection("succeeded", finished_at=1.0)))
    await asyncio.sleep(0)
    log.add("step.log", "a", 1)  # from a node that was left behind
    for _ in range(4):
        store.gate.release()
    await asyncio.gather(first, other)
    appended = await end
    assert appended is not None
    assert appended.admitted == ("next",)
    assert store.commits == [
        (["step.started"], None),
        (["step.succeeded", "execution.succeeded"], "succeeded"),
    ]


async def test_what_comes_while_a_commit_is_under_way_is_committed_too() -> None:
    store = SlowStore()
    log = log_on(store)
    log.add("step.started", "a", 1)
    log.flush_soon()
    await asyncio.sleep(0.005)
    log.add("step.succeeded", "a", 1)
    log.flush_soon()
    await asyncio.sleep(0.005)
    store.gate.release()
    store.gate.release()
    async with asyncio.timeout(5):
        while len(store.commits) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [events for events, _ in store.commits] == [["step.started"], ["step.succeeded"]]
    log.close()
