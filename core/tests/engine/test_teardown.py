"""Nodes that always run: however the rest ended, and the execution's result stays what it was."""

from __future__ import annotations

from typing import Any

import pytest


def effect(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "lab.effect", "params": {"name": name}, **more}


CLEANUP = effect("cleanup", run="always")
BOOM = {"id": "boom", "type": "lab.fail", "params": {"kind": "permanent"}}
HOLD = {"id": "hold", "type": "lab.hold"}


@pytest.fixture(params=["native", "langgraph"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def run(lab: Any, engine: str, nodes: list[dict[str, Any]], edges: list[str], **more: Any) -> Any:
    started = await lab.executions.start(await lab.workflow(nodes, edges, **more), None, engine=engine)
    return await lab.end(started.execution_id)


async def test_it_runs_after_success_and_is_not_the_output(lab: Any, engine: str) -> None:
    execution = await run(lab, engine, [effect("work"), CLEANUP], ["work > cleanup"])
    assert (execution.status, execution.output) == ("succeeded", "work")
    assert lab.ledger.effects == ["work", "cleanup"]


async def test_a_failure_stays_the_result(lab: Any, engine: str) -> None:
    nodes = [effect("setup"), BOOM, effect("never"), CLEANUP, effect("after")]
    edges = ["setup > boom", "boom > never", "never > cleanup", "cleanup > after"]
    execution = await run(lab, engine, nodes, edges)
    assert (execution.status, execution.error.node_id) == ("failed", "boom")
    assert lab.ledger.effects == ["setup", "cleanup", "after"]


async def test_an_edge_by_error_to_it_does_not_catch(lab: Any, engine: str) -> None:
    cleanup = {**CLEANUP, "params": {"name": "${{ nodes.boom?.error?.message ?? 'no error' }}"}}
    execution = await run(lab, engine, [BOOM, cleanup], ["boom error> cleanup"])
    assert (execution.status, execution.error.message) == ("failed", "never")
    assert lab.ledger.effects == ["never"]


async def test_it_runs_though_everything_before_it_is_skipped(lab: Any, engine: str) -> None:
    pick = {"id": "pick", "type": "lab.pick", "params": {"port": "left"}}
    execution = await run(lab, engine, [pick, effect("right"), CLEANUP], ["pick right> right", "right > cleanup"])
    assert execution.status == "succeeded"
    assert lab.ledger.effects == ["cleanup"]


async def test_it_runs_after_the_first_failure(lab: Any, engine: str) -> None:
    nodes = [BOOM, HOLD, CLEANUP, effect("after")]
    execution = await run(lab, engine, nodes, ["hold > cleanup", "cleanup > after"], settings={"fail_fast": True})
    assert (execution.status, execution.error.node_id) == ("failed", "boom")
    assert lab.ledger.effects == ["cleanup"]
    assert (await lab.types(execution.id))[-4:] == [
        "step.started cleanup",
        "step.succeeded cleanup",
        "step.cancelled hold",
        "execution.failed",
    ]


async def test_it_runs_after_the_time_is_over(lab: Any, engine: str) -> None:
    execution = await run(lab, engine, [HOLD, CLEANUP], ["hold > cleanup"], settings={"timeout": 0.05})
    assert (execution.status, execution.error.code) == ("failed", "execution-timeout")
    assert lab.ledger.effects == ["cleanup"]


@pytest.mark.parametrize("holding", [HOLD, {"id": "hold", "type": "lab.deaf", "params": {"name": "hold"}}])
async def test_it_runs_after_a_cancel(lab: Any, holding: dict[str, Any]) -> None:
    """Also when a node does not stop, whose late result counts for nothing."""
    last = effect("last", run="always")
    nodes = [holding, effect("never"), CLEANUP, last]
    execution_id = await lab.start(nodes, ["hold > never", "never > cleanup", "cleanup > last"])
    await lab.ledger.entered["hold"].wait()
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["cleanup", "last"]


async def test_it_may_retry_and_call_workflows_after_a_cancel(lab: Any) -> None:
    child = await lab.workflow([effect("child")])
    retry = {"max_attempts": 3, "initial_delay": 0.06, "jitter": False}
    nodes = [
        HOLD,
        {"id": "flaky", "type": "lab.fail", "params": {"times": 1}, "retry": retry, "run": "always"},
        {"id": "call", "type": "workflow.call", "params": {"workflow": child}, "run": "always"},
    ]
    execution_id = await lab.start(nodes, ["hold > flaky", "flaky > call"])
    await lab.ledger.entered["hold"].wait()
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["child"]
    steps = {step.node_id: step.status for step in await lab.executions.steps(execution_id)}
    assert steps == {"hold": "cancelled", "flaky": "succeeded", "call": "succeeded"}


async def test_a_cancel_does_not_interrupt_one_that_runs(lab: Any) -> None:
    cleanup = {"id": "cleanup", "type": "lab.hold", "params": {"name": "cleanup"}, "run": "always"}
    execution_id = await lab.start([BOOM, cleanup, effect("never")], ["boom > cleanup", "cleanup > never"])
    await lab.ledger.entered["cleanup"].wait()
    await lab.executions.cancel(execution_id)
    lab.ledger.gates["cleanup"].set()
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["cleanup"]
    assert lab.ledger.calls["cleanup"] == 1


async def test_nothing_is_torn_down_before_anything_began(lab: Any) -> None:
    workflow = await lab.workflow([HOLD, CLEANUP], ["hold > cleanup"], settings={"max_concurrency": 1})
    first = (await lab.executions.start(workflow)).execution_id
    second = (await lab.executions.start(workflow)).execution_id
    await lab.executions.cancel(second)
    assert (await lab.end(second)).status == "cancelled"
    assert lab.ledger.effects == []
    lab.ledger.gates["hold"].set()
    assert (await lab.end(first)).status == "succeeded"


async def test_a_cancelled_wait_is_torn_down(lab: Any) -> None:
    wait = {"id": "wait", "type": "wait", "params": {"answer_schema": True}}
    execution_id = await lab.start([wait, CLEANUP], ["wait > cleanup"])
    await lab.until(execution_id, "waiting")
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["cleanup"]


async def test_a_teardown_goes_on_after_a_crash(lab: Any) -> None:
    cleanup = {"id": "cleanup", "type": "lab.hold", "params": {"name": "cleanup"}, "run": "always"}
    nodes = [HOLD, effect("first", run="always"), cleanup, effect("last", run="always")]
    execution_id = await lab.start(nodes, ["hold > first", "first > cleanup", "cleanup > last"])
    await lab.ledger.entered["hold"].wait()
    await lab.executions.cancel(execution_id)
    await lab.ledger.entered["cleanup"].wait()
    await lab.crash()
    lab.ledger.gates["cleanup"].set()
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["first", "cleanup", "last"]


async def test_a_shutdown_hands_the_teardown_over(lab: Any) -> None:
    cleanup = {"id": "cleanup", "type": "lab.hold", "params": {"name": "cleanup"}, "run": "always"}
    execution_id = await lab.start([HOLD, cleanup], ["hold > cleanup"])
    await lab.ledger.entered["hold"].wait()
    await lab.executions.cancel(execution_id)
    await lab.ledger.entered["cleanup"].wait()
    await lab.executions.close()
    lab.ledger.gates["cleanup"].set()
    lab.executions = lab.make()
    await lab.executions.open()
    assert (await lab.end(execution_id)).status == "cancelled"
    assert lab.ledger.effects == ["cleanup"]


class TestBounds:
    @pytest.fixture
    def options(self, options: Any) -> Any:
        from dataclasses import replace

        return replace(options, teardown=0.1)

    @pytest.mark.parametrize("kind", ["lab.hold", "lab.deaf"])
    async def test_a_teardown_that_takes_too_long_is_left(self, lab: Any, kind: str) -> None:
        cleanup = {"id": "cleanup", "type": kind, "params": {"name": "cleanup"}, "run": "always"}
        execution_id = await lab.start([HOLD, cleanup], ["hold > cleanup"])
        await lab.ledger.entered["hold"].wait()
        await lab.executions.cancel(execution_id)
        assert (await lab.end(execution_id)).status == "cancelled"
        steps = {step.node_id: step.status for step in await lab.executions.steps(execution_id)}
        assert steps == {"hold": "cancelled", "cleanup": "cancelled"}
