"""Cancel and timeouts stop the work, not only the label."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest


async def test_cancel_interrupts_a_running_node_and_what_it_planned(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "h", "type": "lab.hold"}, {"id": "e", "type": "lab.effect", "params": {"name": "after"}}], ["h > e"]
    )
    await lab.ledger.entered["hold"].wait()
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    lab.ledger.gates["hold"].set()
    await asyncio.sleep(0.05)
    assert lab.ledger.effects == []
    assert (await lab.types(execution_id))[-2:] == ["step.cancelled h", "execution.cancelled"]


@pytest.mark.parametrize("node", [{"id": "x", "type": "lab.deaf"}, {"id": "x", "type": "lab.deaf", "timeout": 60}])
async def test_a_node_that_does_not_stop_is_left_behind(lab: Any, node: dict[str, Any]) -> None:
    execution_id = await lab.start([node, {"id": "e", "type": "lab.effect", "params": {"name": "after"}}], ["x > e"])
    await lab.ledger.entered["deaf"].wait()
    began = time.monotonic()
    await lab.executions.cancel(execution_id)
    execution = await lab.end(execution_id)
    assert execution.status == "cancelled"
    assert time.monotonic() - began < 2
    before = await lab.types(execution_id)
    lab.ledger.gates["deaf"].set()
    await asyncio.sleep(0.05)
    assert "after" not in lab.ledger.effects
    assert await lab.types(execution_id) == before


async def test_cancel_ends_a_pending_backoff(lab: Any) -> None:
    execution_id = await lab.start(
        [{"id": "f", "type": "lab.fail", "retry": {"initial_delay": 0.04, "jitter": False, "max_attempts": 1000}}]
    )
    await asyncio.sleep(0.02)
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"


async def test_cancelling_twice_or_after_the_end_changes_nothing(lab: Any) -> None:
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    await asyncio.gather(*[lab.executions.cancel(execution_id) for _ in range(5)])
    ended = await lab.end(execution_id)
    again = await lab.executions.cancel(execution_id)
    assert again.status == "cancelled"
    assert again.last_seq == ended.last_seq


async def test_an_attempt_that_takes_too_long_times_out_and_is_tried_again(lab: Any) -> None:
    execution = await lab.run(
        [{"id": "h", "type": "lab.hold", "timeout": 0.05, "retry": {"max_attempts": 2, "initial_delay": 0.001}}]
    )
    assert execution.status == "failed"
    assert execution.error.code == "timeout"
    assert lab.ledger.calls["hold"] == 2


async def test_a_step_timeout_bounds_all_attempts(lab: Any) -> None:
    execution = await lab.run(
        [{"id": "h", "type": "lab.hold", "step_timeout": 0.1, "retry": {"max_attempts": 1000, "initial_delay": 0.001}}]
    )
    assert execution.error.code == "timeout"


async def test_an_execution_timeout_ends_everything(lab: Any) -> None:
    execution = await lab.run(
        [{"id": "h", "type": "lab.hold"}, {"id": "d", "type": "lab.deaf"}], settings={"timeout": 0.1}
    )
    assert execution.status == "failed"
    assert execution.error.code == "execution-timeout"
    types = await lab.types(execution.id)
    assert {"step.cancelled h", "step.cancelled d"} <= set(types)


async def test_an_execution_timeout_counts_while_waiting(lab: Any) -> None:
    execution = await lab.run([{"id": "w", "type": "wait", "params": {"seconds": 300}}], settings={"timeout": 0.3})
    assert execution.error.code == "execution-timeout"


async def test_cancel_of_a_queued_execution(lab: Any) -> None:
    workflow = await lab.workflow([{"id": "h", "type": "lab.hold"}], settings={"max_concurrency": 1})
    first = (await lab.executions.start(workflow)).execution_id
    second = (await lab.executions.start(workflow)).execution_id
    await lab.ledger.entered["hold"].wait()
    assert (await lab.executions.get(second)).status == "queued"
    await lab.executions.cancel(second)
    assert (await lab.end(second)).status == "cancelled"
    lab.ledger.gates["hold"].set()
    assert (await lab.end(first)).status == "succeeded"
    assert lab.ledger.calls["hold"] == 1


async def test_a_cancel_between_the_claim_and_the_first_step(lab: Any) -> None:
    """The claim has read the row, the execution is not held yet, and just then its cancel is asked for."""
    execution_id = await lab.start([{"id": "h", "type": "lab.hold"}])
    await lab.ledger.entered["hold"].wait()
    launched = asyncio.Event()
    await lab.executions.close()
    lab.executions = lab.make()
    real = lab.store.workflows.version

    async def slow(workflow_id: str, version: int) -> Any:
        launched.set()
        await asyncio.sleep(0.05)
        return await real(workflow_id, version)

    lab.store.workflows.version = slow
    await lab.executions.open()
    await launched.wait()
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id, 5)).status == "cancelled"


async def test_a_cancel_that_comes_while_the_execution_is_being_parked(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = lab.store.executions.append

    async def slow_to_tell(execution_id: str, epoch: int, batch: Any, projection: Any = None, *more: Any) -> Any:
        appended = await append(execution_id, epoch, batch, projection, *more)
        if projection is not None and projection.status == "waiting":
            await lab.executions.cancel(execution_id)
            await asyncio.sleep(0.1)  # it is claimed again before this turn knows that it has parked
        return appended

    monkeypatch.setattr(lab.store.executions, "append", slow_to_tell)
    execution_id = await lab.start([{"id": "w", "type": "wait", "params": {"seconds": 300}}])
    assert (await lab.end(execution_id, timeout=5)).status == "cancelled"
