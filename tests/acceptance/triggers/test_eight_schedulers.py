"""Eight hosts on one database, all of them minding the same schedule: each of its moments is one execution."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aicflow import Binding
from aicflow.engine import EngineOptions, Executions, Secrets
from aicflow.engine.plugin import aicflow_engines
from aicflow.host.audit import Auditor
from aicflow.host.audit_chain import AuditKey
from aicflow.host.trigger_runtime import HostTriggerRuntime
from aicflow.host.wiring import installed_plugins
from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.store.sqlite import SQLiteStore
from aicflow_trigger.cron import CronParams, CronTrigger

SCHEDULERS, SLOTS, STEP = 8, 200, 25
NOON = 1_780_315_200.0  # 2026-06-01T12:00Z
WHERE = ExecutionFilter(workflow_id="wf_tick")
DOCUMENT = {
    "aicflow": 1,
    "name": "tick",
    "triggers": [{"id": "clock", "type": "trigger.cron", "params": {"schedule": "* * * * * *", "overlap": "allow"}}],
    "nodes": [{"id": "say", "type": "webhook.respond", "params": {"body": "${{ trigger.scheduled_for }}"}}],
    "output": "${{ nodes.say.output.body }}",
}


class SteppedClock:
    """One clock for all hosts, moved by the test."""

    def __init__(self) -> None:
        self.at = NOON + 0.5

    def now(self) -> float:
        return self.at

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        until = self.at + seconds
        while self.at < until and not event.is_set():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def scheduler(path: Path, clock: SteppedClock) -> AsyncIterator[SQLiteStore]:
    """What a host has of schedules: its own handle of the database, its own worker, its own timer."""
    registry = installed_plugins(["agent", "http", "python"]).registry
    store = SQLiteStore(path, shared=True, busy_seconds=30)
    await store.open()
    engines: dict[str, Any] = {engine.name: engine.create for engine in aicflow_engines()}
    executions = Executions(store, registry, engines=engines, options=EngineOptions(engine="native"))
    await executions.open()
    trigger = CronTrigger(clock.wait)
    auditor = Auditor(store.audit, AuditKey(b"k" * 32), clock)
    await trigger.start(
        HostTriggerRuntime(executions, store, Secrets(), clock, 1_000_000, auditor),
    )
    binding = Binding("wf_tick:clock", "wf_tick", "clock", "trigger.cron", 1)
    await trigger.activate(binding, CronParams(schedule="* * * * * *", overlap="allow", catchup="all"))
    try:
        yield store
    finally:
        await trigger.stop()
        await executions.close()
        await store.close()


async def test_two_hundred_moments_are_two_hundred_executions(tmp_path: Path) -> None:
    path, clock = tmp_path / "shared.db", SteppedClock()
    first = SQLiteStore(path, shared=True)
    await first.open()
    await first.workflows.create("wf_tick", json.loads(json.dumps(DOCUMENT)), now=NOON)
    async with AsyncExitStack() as hosts:
        for _ in range(SCHEDULERS - 1):
            await hosts.enter_async_context(scheduler(path, clock))
        for number in range(SLOTS // STEP):
            # the eighth comes and goes, and finds each time what the others have done
            async with scheduler(path, clock):
                clock.at += STEP
                async with asyncio.timeout(60):
                    while sum((await first.executions.count(WHERE)).values()) < STEP * (number + 1):
                        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            while (await first.executions.count(WHERE)).get("succeeded", 0) < SLOTS:
                await asyncio.sleep(0.01)
    page = await first.executions.list(WHERE, limit=200)
    assert page.next_cursor is None
    due = Counter(execution.trigger.scheduled_for for execution in page.items)
    assert due == Counter(NOON + number for number in range(1, SLOTS + 1))
    assert await first.executions.count(WHERE) == {"succeeded": SLOTS}
    deliveries = await first.triggers.deliveries("wf_tick:clock", limit=200)
    assert deliveries.next_cursor is None
    assert len(deliveries.items) == SLOTS
    await first.close()
