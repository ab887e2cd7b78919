"""Limits: of the worker, of a workflow, of a key; and starting once for a key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aicflow.engine import EngineOptions
from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.executions import Fire, Idempotency

HOLD = {"id": "h", "type": "lab.hold", "params": {"name": "${{ input.name }}"}}


async def start(lab: Any, workflow: str, name: str, **more: Any) -> str:
    return str((await lab.executions.start(workflow, {"name": name}, **more)).execution_id)


async def test_a_workflow_limit_queues_and_tells_why(lab: Any) -> None:
    workflow = await lab.workflow([HOLD], settings={"max_concurrency": 2})
    ids = [await start(lab, workflow, f"h{i}") for i in range(4)]
    for i in range(2):
        await lab.ledger.entered[f"h{i}"].wait()
    assert [(await lab.executions.get(one)).status for one in ids] == ["running", "running", "queued", "queued"]
    assert "its workflow allows 2 at once" in await lab.executions.why(ids[3])
    lab.ledger.gates["h0"].set()
    await lab.ledger.entered["h2"].wait()
    for i in range(4):
        lab.ledger.gates[f"h{i}"].set()
    assert {(await lab.end(one)).status for one in ids} == {"succeeded"}


async def test_a_key_limits_each_value_by_itself(lab: Any) -> None:
    workflow = await lab.workflow([HOLD], settings={"concurrency": {"key": "${{ input.name[0] }}", "limit": 1}})
    first, second, other = [await start(lab, workflow, name) for name in ("a1", "a2", "b1")]
    await lab.ledger.entered["a1"].wait()
    await lab.ledger.entered["b1"].wait()
    assert (await lab.executions.get(second)).status == "queued"
    assert "the concurrency key 'a' allows 1" in await lab.executions.why(second)
    for name in ("a1", "a2", "b1"):
        lab.ledger.gates[name].set()
    for one in (first, second, other):
        await lab.end(one)


async def test_when_full_skip_starts_nothing(lab: Any) -> None:
    workflow = await lab.workflow([HOLD], settings={"concurrency": {"key": "k", "limit": 1, "when_full": "skip"}})
    first = await start(lab, workflow, "h")
    await lab.ledger.entered["h"].wait()
    with pytest.raises(Conflict, match="its rule is to skip"):
        await lab.executions.start(workflow, {"name": "h"})
    lab.ledger.gates["h"].set()
    await lab.end(first)
    await lab.end((await lab.executions.start(workflow, {"name": "h"})).execution_id)


async def test_when_full_cancel_oldest_makes_room(lab: Any) -> None:
    workflow = await lab.workflow(
        [HOLD], settings={"concurrency": {"key": "k", "limit": 1, "when_full": "cancel_oldest"}}
    )
    first = await start(lab, workflow, "old")
    await lab.ledger.entered["old"].wait()
    second = await start(lab, workflow, "new")
    assert (await lab.end(first)).status == "cancelled"
    await lab.ledger.entered["new"].wait()
    lab.ledger.gates["new"].set()
    assert (await lab.end(second)).status == "succeeded"


@pytest.mark.parametrize("how", ["succeeded", "failed", "cancelled", "timeout", "crash"])
async def test_slots_are_released_however_it_ends(lab: Any, how: str) -> None:
    node = {"id": "x", "type": "lab.fail"} if how == "failed" else HOLD
    settings: dict[str, Any] = {"max_concurrency": 1} | ({"timeout": 0.1} if how == "timeout" else {})
    workflow = await lab.workflow([node], settings=settings)
    first, second = await start(lab, workflow, "h"), await start(lab, workflow, "h")
    if how in ("cancelled", "crash"):
        await lab.ledger.entered["h"].wait()
    if how == "cancelled":
        await lab.executions.cancel(first)
    if how == "crash":
        await lab.crash()
    if how in ("succeeded", "cancelled", "crash"):
        lab.ledger.gates["h"].set()
    await lab.end(first)
    await lab.end(second)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> EngineOptions:
    full = 2 if "worker" in request.node.name else 2000
    return EngineOptions(engine="native", cancel_grace=0.1, park_after=0.05, grace=0.2, max_running=full)


async def test_a_full_worker_queues_by_priority(lab: Any) -> None:
    workflow = await lab.workflow([HOLD])
    ids = [await start(lab, workflow, f"h{i}") for i in range(2)]
    low = await start(lab, workflow, "low")
    high = await start(lab, workflow, "high", priority=5)
    assert "the worker is full" in await lab.executions.why(low)
    lab.ledger.gates["h0"].set()
    await lab.ledger.entered["high"].wait()
    assert not lab.ledger.entered["low"].is_set()
    for name in ("h1", "high", "low"):
        lab.ledger.gates[name].set()
    for one in (*ids, low, high):
        assert (await lab.end(one)).status == "succeeded"


async def test_the_same_idempotency_key_starts_once(lab: Any) -> None:
    workflow = await lab.workflow([HOLD])
    key = Idempotency("test", "k1", "fingerprint")
    started = await asyncio.gather(*[lab.executions.start(workflow, {"name": "h"}, idempotency=key) for _ in range(20)])
    assert len({one.execution_id for one in started}) == 1
    assert [one.duplicate for one in started].count(False) == 1
    assert started[-1].fingerprint in (None, "fingerprint")
    lab.ledger.gates["h"].set()
    await lab.end(started[0].execution_id)
    assert lab.ledger.calls["h"] == 1


async def test_a_fire_key_starts_once(lab: Any) -> None:
    trigger = {"id": "t", "type": "lab.trigger", "params": {}}
    workflow = await lab.workflow([HOLD], triggers=[trigger])
    fire = Fire(f"{workflow}:t", "2027-01-01T00:00:00Z", scheduled_for=1798761600.0)
    started = await asyncio.gather(*[lab.executions.fire(workflow, "t", {"name": "h"}, fire) for _ in range(8)])
    assert len({one.execution_id for one in started}) == 1
    lab.ledger.gates["h"].set()
    await lab.end(started[0].execution_id)


async def test_what_cannot_start_is_refused(lab: Any) -> None:
    workflow = await lab.workflow([HOLD])
    with pytest.raises(NotFound):
        await lab.executions.start("nowhere")
    with pytest.raises(NotFound):
        await lab.executions.start(workflow, version=7)
    with pytest.raises(NotFound, match="warp") as unknown:
        await lab.executions.start(workflow, engine="warp")
    assert unknown.value.hint == "Installed engines: auto, langgraph, native."
    await lab.store.workflows.update(workflow, now=1.0, enabled=False)
    with pytest.raises(Conflict, match="disabled"):
        await lab.executions.start(workflow)
