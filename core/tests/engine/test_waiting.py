"""Waiting for a time or a person holds nothing and survives restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aicflow.kernel.errors import Conflict, InputInvalid
from aicflow.kernel.ports.executions import StoredAnswer

ASK = {"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}, "message": "How many?"}}
USE = {"id": "use", "type": "lab.add", "params": {"n": "${{ nodes.ask.output.answer }}"}}


@pytest.mark.parametrize("crash", [False, True])
async def test_an_answer_belongs_to_one_wait(lab: Any, crash: bool) -> None:
    execution_id = await lab.start([{"id": "ask", "type": "lab.asks_twice"}])
    await lab.until(execution_id, "waiting")
    for call, value in enumerate(("first", "second"), 1):
        await lab.waits(execution_id, call)
        if crash:
            await lab.crash()
        await lab.executions.resume(execution_id, value=value)
    assert (await lab.end(execution_id)).output == [1, "second"]


async def test_a_late_answer_is_not_taken_for_the_next_wait(lab: Any) -> None:
    execution_id = await lab.start([{"id": "ask", "type": "lab.asks_twice"}])
    await lab.until(execution_id, "waiting")
    await lab.executions.resume(execution_id, value="first")
    await lab.waits(execution_id, 2)
    await lab.store.executions.answer(execution_id, StoredAnswer("ask", "answered", b'"late"', 1))
    lab.executions.wake()
    await lab.until(execution_id, "waiting")
    await lab.executions.resume(execution_id, value="second")
    assert (await lab.end(execution_id)).output == [1, "second"]


@pytest.mark.parametrize("crash", [False, True])
async def test_a_late_answer_is_taken_for_the_same_question_asked_again(lab: Any, crash: bool) -> None:
    execution_id = await lab.start([{"id": "ask", "type": "lab.reminds", "params": {"seconds": 0.05}}])
    await lab.waits(execution_id, 2)
    if crash:
        await lab.crash()
    await lab.store.executions.answer(execution_id, StoredAnswer("ask", "answered", b'"late"', 1))
    lab.executions.wake()
    assert (await lab.end(execution_id)).output == [1, "late"]


async def test_a_question_asked_again_has_one_answer(lab: Any) -> None:
    execution_id = await lab.start([{"id": "ask", "type": "lab.reminds", "params": {"seconds": 0.05}}])
    await lab.waits(execution_id, 2)
    await lab.store.executions.answer(execution_id, StoredAnswer("ask", "answered", b'"first"', 1))
    with pytest.raises(Conflict):
        await lab.executions.resume(execution_id, value="second")
    lab.executions.wake()
    assert (await lab.end(execution_id)).output == [1, "first"]


async def test_retry_answers_a_step_that_waits_in_this_process(lab: Any) -> None:
    """Beside a branch that runs, so that nothing is parked."""
    nodes = [{"id": "ask", "type": "lab.asks_twice"}, {"id": "h", "type": "lab.hold"}]
    execution_id = await lab.start(nodes, output="${{ nodes.ask.output }}")
    await lab.ledger.entered["hold"].wait()
    for call, (action, value) in enumerate((("retry", None), ("answered", "first"), ("answered", "second")), 1):
        await lab.waits(execution_id, call)
        await lab.executions.resume(execution_id, "ask", action=action, value=value)
    lab.ledger.gates["hold"].set()
    assert (await lab.end(execution_id)).output == [2, "second"]


async def test_a_person_answers(lab: Any) -> None:
    execution_id = await lab.start([ASK, USE], ["ask > use"])
    waiting = await lab.until(execution_id, "waiting")
    assert waiting.wake_at is None
    await lab.idle()
    assert "ask waits for an answer" in await lab.executions.why(execution_id)
    with pytest.raises(InputInvalid, match="integer"):
        await lab.executions.resume(execution_id, value="many")
    await lab.executions.resume(execution_id, value=41)
    assert (await lab.end(execution_id)).output == 42


async def test_an_answer_after_a_restart(lab: Any) -> None:
    execution_id = await lab.start([ASK, USE], ["ask > use"])
    await lab.until(execution_id, "waiting")
    await lab.crash()
    await lab.executions.resume(execution_id, "ask", value=1)
    assert (await lab.end(execution_id)).output == 2


async def test_an_answer_while_other_branches_run(lab: Any) -> None:
    execution_id = await lab.start([ASK, USE, {"id": "h", "type": "lab.hold"}], ["ask > use"])
    await lab.ledger.entered["hold"].wait()
    await asyncio.sleep(0.05)
    await lab.executions.resume(execution_id, value=1)
    await asyncio.sleep(0.05)
    assert "step.succeeded use" in await lab.types(execution_id)
    lab.ledger.gates["hold"].set()
    assert (await lab.end(execution_id)).status == "succeeded"


async def test_no_answer_in_time_leaves_by_the_timeout_port(lab: Any) -> None:
    ask = {**ASK, "params": {**ASK["params"], "seconds": 0.2}}
    late = {"id": "late", "type": "lab.effect", "params": {"name": "too late"}}
    execution = await lab.run([ask, USE, late], ["ask > use", "ask timeout> late"])
    assert execution.status == "succeeded"
    assert lab.ledger.effects == ["too late"]


async def test_a_time_comes_by_itself(lab: Any) -> None:
    execution = await lab.run([{"id": "w", "type": "wait", "params": {"seconds": 0.2}}])
    assert execution.output == {"answered": False, "answer": None}
    types = await lab.types(execution.id)
    assert types.index("execution.waiting") < types.index("execution.resumed") < types.index("step.succeeded w")


async def test_a_time_that_has_passed_does_not_wait(lab: Any) -> None:
    execution = await lab.run([{"id": "w", "type": "wait", "params": {"until": "2020-01-01T00:00:00Z"}}])
    assert execution.status == "succeeded"
    bad = await lab.run([{"id": "w", "type": "wait", "params": {"until": "tomorrow"}}])
    assert bad.error.pointer == "/until"


async def test_what_does_not_wait_cannot_be_answered(lab: Any) -> None:
    execution_id = await lab.start([ASK])
    await lab.until(execution_id, "waiting")
    with pytest.raises(Conflict, match="does not wait"):
        await lab.executions.resume(execution_id, "nobody", value=1)
    await lab.executions.resume(execution_id, value=1)
    await lab.end(execution_id)
    with pytest.raises(Conflict, match="no waiting step"):
        await lab.executions.resume(execution_id, value=1)


async def test_two_waiting_steps_must_be_told_apart(lab: Any) -> None:
    execution_id = await lab.start([ASK, {**ASK, "id": "ask2"}])
    await lab.until(execution_id, "waiting")
    with pytest.raises(Conflict, match="Several steps wait"):
        await lab.executions.resume(execution_id, value=1)
    await lab.executions.resume(execution_id, "ask2", value=1)
    await lab.until(execution_id, "waiting")
    await lab.executions.resume(execution_id, "ask", value=2)
    execution = await lab.end(execution_id)
    assert {name: out["answer"] for name, out in execution.output.items()} == {"ask": 2, "ask2": 1}


@pytest.mark.parametrize(("action", "status"), [("skip", "succeeded"), ("fail", "failed")])
async def test_a_waiting_step_can_be_skipped_or_failed(lab: Any, action: str, status: str) -> None:
    execution_id = await lab.start([ASK])
    await lab.until(execution_id, "waiting")
    await lab.executions.resume(execution_id, action=action, value="not needed")
    execution = await lab.end(execution_id)
    assert execution.status == status


async def test_cancel_while_waiting(lab: Any) -> None:
    execution_id = await lab.start([ASK])
    await lab.until(execution_id, "waiting")
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    assert "step.cancelled ask" in await lab.types(execution_id)
