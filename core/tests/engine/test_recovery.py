"""After a crash, every accepted execution comes to its right end, and nothing finished runs again."""

from __future__ import annotations

import asyncio
from typing import Any

from aicflow.kernel.ports.access import NodeSetting


async def test_a_finished_step_does_not_run_again(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "e", "type": "lab.effect", "params": {"name": "once"}}, {"id": "h", "type": "lab.hold"}], ["e > h"]
    )
    await lab.ledger.entered["hold"].wait()
    lab.ledger.entered["hold"].clear()
    await lab.crash()
    await lab.ledger.entered["hold"].wait()
    lab.ledger.gates["hold"].set()
    execution = await lab.end(execution_id)
    assert execution.status == "succeeded"
    assert lab.ledger.effects == ["once", "hold"]
    assert [(event.type, event.attempt) for event in await lab.events(execution_id) if event.node_id == "h"] == [
        ("step.started", 1),
        ("step.started", 2),
        ("step.succeeded", 2),
    ]
    assert "execution.resumed" in await lab.types(execution_id)


async def test_on_recovery_fail_tells_that_the_outcome_is_unknown(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold", "on_recovery": "fail"}])
    await lab.ledger.entered["hold"].wait()
    await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.error.code == "outcome-unknown"
    assert lab.ledger.calls["hold"] == 1


async def test_on_recovery_wait_asks_a_person(lab: Any) -> None:
    nodes = [{"id": "h", "type": "lab.hold", "on_recovery": "wait"}]
    for action, status in (("retry", "succeeded"), ("skip", "succeeded"), ("fail", "failed")):
        lab.ledger.gates["hold"].clear()
        lab.ledger.entered["hold"].clear()
        execution_id = await lab.start(nodes)
        await lab.ledger.entered["hold"].wait()
        await lab.crash()
        await lab.until(execution_id, "waiting")
        assert "interrupted by a crash" in await lab.executions.why(execution_id)
        lab.ledger.gates["hold"].set()
        await lab.executions.resume(execution_id, "h", action=action)
        assert (await lab.end(execution_id)).status == status
    assert lab.ledger.calls["hold"] == 4


async def test_a_cancel_that_a_crash_overtook_is_kept(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    await lab.store.executions.request_cancel(execution_id)
    await lab.crash()
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.calls["hold"] == 1


async def test_queued_executions_go_on(lab: Any) -> None:
    workflow = await lab.workflow([{"id": "h", "type": "lab.hold"}], settings={"max_concurrency": 1})
    ids = [(await lab.executions.start(workflow)).execution_id for _ in range(3)]
    await lab.ledger.entered["hold"].wait()
    await lab.crash()
    lab.ledger.gates["hold"].set()
    assert [(await lab.end(one)).status for one in ids] == ["succeeded"] * 3


async def test_a_shutdown_hands_back_and_loses_nothing(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "e", "type": "lab.effect", "params": {"name": "once"}}, {"id": "h", "type": "lab.hold"}], ["e > h"]
    )
    await lab.ledger.entered["hold"].wait()
    await lab.executions.close()
    assert (await lab.store.executions.get(execution_id)).status in ("running", "queued")
    lab.executions = lab.make()
    await lab.executions.open()
    lab.ledger.gates["hold"].set()
    assert (await lab.end(execution_id)).status == "succeeded"
    assert lab.ledger.effects == ["once", "hold"]


async def test_a_shutdown_lets_short_steps_finish(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    closing = asyncio.create_task(lab.executions.close())
    await asyncio.sleep(0.02)
    lab.ledger.gates["hold"].set()
    await closing
    assert (await lab.store.executions.get(execution_id)).status == "succeeded"
    lab.executions = lab.make()
    await lab.executions.open()


async def test_a_node_type_that_went_away_fails_the_execution(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    del lab.registry._nodes["lab.hold"]
    lab.registry.configure(NodeSetting("lab.add"))
    await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.status == "failed"
    assert execution.error.code == "cannot-run"
    assert "lab.hold" in execution.error.message


async def test_a_stale_worker_writes_nothing(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "h", "type": "lab.hold"}, {"id": "e", "type": "lab.effect", "params": {"name": "after"}}], ["h > e"]
    )
    await lab.ledger.entered["hold"].wait()
    stale = lab.executions
    lab.ledger.entered["hold"].clear()
    lab.executions = lab.make()
    await lab.store.executions.reclaim(lab.executions.worker.id)
    await lab.executions.open()
    await lab.ledger.entered["hold"].wait()
    lab.ledger.gates["hold"].set()
    execution = await lab.end(execution_id)
    await stale.close()
    assert execution.status == "succeeded"
    assert lab.ledger.effects.count("after") == 1
    await lab.events(execution_id)
