"""How steps succeed and fail, and what becomes of the execution."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from aicflow.engine.run.execution_run import ExecutionRun

A = {"id": "a", "type": "lab.add", "params": {"n": "${{ input.n }}"}}
B = {"id": "b", "type": "lab.add", "params": {"n": "${{ nodes.a.output }}", "by": 10}}


async def test_outputs_flow_along_references(lab: Any) -> None:
    execution = await lab.run([A, B], ["a > b"], {"n": 1})
    assert execution.status == "succeeded"
    assert execution.output == 12
    assert await lab.types(execution.id) == [
        "execution.queued",
        "execution.started",
        "step.started a",
        "step.succeeded a",
        "step.started b",
        "step.succeeded b",
        "execution.succeeded",
    ]


async def test_the_output_is_what_the_document_says(lab: Any) -> None:
    execution = await lab.run([A, B], ["a > b"], {"n": 1}, output={"sum": "${{ nodes.b.output }}", "fixed": [1]})
    assert execution.output == {"sum": 12, "fixed": [1]}


async def test_without_an_output_the_last_nodes_speak(lab: Any) -> None:
    execution = await lab.run([A, {**B, "id": "b"}, {**B, "id": "c"}], ["a > b", "a > c"], {"n": 0})
    assert execution.output == {"b": 11, "c": 11}


async def test_an_output_that_cannot_be_resolved_fails_the_execution(lab: Any) -> None:
    execution = await lab.run([A], input={"n": 1}, output="${{ nodes.a.output.nothing }}")
    assert execution.status == "failed"
    assert execution.error.code == "output-failed"
    assert "output" in execution.error.message


async def test_a_missing_reference_names_its_place(lab: Any) -> None:
    execution = await lab.run([A], input={"m": 1})
    assert execution.status == "failed"
    assert execution.error.code == "reference-failed"
    assert execution.error.node_id == "a"
    assert execution.error.pointer == "/n"


async def test_params_that_do_not_fit_name_the_param_and_not_the_value(lab: Any) -> None:
    execution = await lab.run([A], input={"n": "hunter2"})
    assert execution.error.code == "params-invalid"
    assert execution.error.pointer == "/n"
    assert "hunter2" not in execution.error.message


async def test_a_failed_branch_skips_its_downstream_and_others_finish(lab: Any) -> None:
    execution = await lab.run(
        [A, {"id": "f", "type": "lab.fail", "params": {"kind": "permanent"}}, {**B, "id": "after"}, B],
        ["f > after", "a > b"],
        {"n": 1},
    )
    assert execution.status == "failed"
    assert execution.error.node_id == "f"
    assert execution.error.line == 3
    assert execution.error.excerpt == "boom()"
    assert execution.error.details == {"why": "because"}
    steps = {step.node_id: step.status for step in await lab.executions.steps(execution.id)}
    assert steps == {"a": "succeeded", "f": "failed", "after": "skipped", "b": "succeeded"}


async def test_an_unexpected_error_shows_where_it_came_from(lab: Any) -> None:
    execution = await lab.run([{"id": "f", "type": "lab.fail", "params": {"kind": "bug"}}])
    assert execution.error.code == "unexpected-error"
    assert execution.error.error_type == "KeyError"
    assert "conftest.py" in execution.error.details["traceback"][-1]
    assert not any("/aicflow/engine/" in frame for frame in execution.error.details["traceback"])


async def test_an_error_edge_catches_and_hands_over_the_report(lab: Any) -> None:
    handler = {"id": "h", "type": "lab.effect", "params": {"name": "${{ nodes.f.error.message }}"}}
    execution = await lab.run(
        [{"id": "f", "type": "lab.fail", "params": {"kind": "permanent"}}, handler], ["f error> h"]
    )
    assert execution.status == "succeeded"
    assert lab.ledger.effects == ["never"]


async def test_continue_settles_with_null(lab: Any) -> None:
    after = {"id": "after", "type": "lab.add", "params": {"n": "${{ nodes.f.output ?? 41 }}"}}
    execution = await lab.run([{"id": "f", "type": "lab.fail", "on_error": "continue"}, after], ["f > after"])
    assert execution.status == "succeeded"
    assert execution.output == 42


async def test_continue_never_chooses_among_several_ports(lab: Any) -> None:
    """Such a document is refused; one that was saved before is run, and fails instead of going a wrong way."""
    pick = {"id": "p", "type": "lab.pick", "params": {"port": "nowhere"}, "on_error": "continue"}
    effects = [{"id": side, "type": "lab.effect", "params": {"name": side}} for side in ("left", "right")]
    execution = await lab.run([pick, *effects], ["p left> left", "p right> right"])
    assert (execution.status, execution.error.code) == ("failed", "output-invalid")
    assert lab.ledger.effects == []


async def test_fail_fast_stops_the_others(lab: Any) -> None:
    execution = await lab.run(
        [{"id": "f", "type": "lab.fail", "params": {"kind": "permanent"}}, {"id": "h", "type": "lab.hold"}],
        settings={"fail_fast": True},
    )
    assert execution.status == "failed"
    assert "step.cancelled h" in await lab.types(execution.id)
    assert lab.ledger.effects == []


@pytest.mark.parametrize(
    ("what", "code"),
    [("type", "output-invalid"), ("exit", "permanent"), ("cancel", "permanent"), ("other", "unexpected-error")],
)
async def test_a_misbehaving_node_fails_its_step_only(lab: Any, what: str, code: str) -> None:
    execution = await lab.run([{"id": "x", "type": "lab.bad", "params": {"what": what}}, A], input={"n": 1})
    assert execution.status == "failed"
    assert execution.error.code == code
    assert [step.status for step in await lab.executions.steps(execution.id) if step.node_id == "a"] == ["succeeded"]


@pytest.mark.parametrize("nan", [True, False])
async def test_what_json_cannot_hold_is_refused(lab: Any, nan: bool) -> None:
    execution = await lab.run([{"id": "x", "type": "lab.anything", "params": {"nan": nan}}])
    assert execution.error.code == "output-invalid"


async def test_an_output_schema_is_checked(lab: Any) -> None:
    execution = await lab.run([{**A, "output_schema": {"type": "integer", "maximum": 5}}], input={"n": 7})
    assert execution.error.code == "output-invalid"
    assert (await lab.run([{**A, "output_schema": {"maximum": 5}}], input={"n": 1})).status == "succeeded"


async def test_large_outputs_are_kept_once_outside_the_events(lab: Any) -> None:
    execution = await lab.run(
        [
            {"id": "big", "type": "lab.big", "params": {"size": 200_000}},
            {"id": "len", "type": "lab.add", "params": {"n": "${{ len(nodes.big.output) }}"}},
        ],
        ["big > len"],
        output="${{ nodes.len.output }}",
    )
    assert execution.output == 200_001
    events = await lab.executions.events(execution.id)
    assert max(map(len, events)) < 5_000
    steps = await lab.executions.steps(execution.id)
    assert len(steps[0].output) == 200_000


async def test_an_input_that_does_not_fit_starts_nothing(lab: Any) -> None:
    from aicflow.kernel.errors import InputInvalid
    from aicflow.kernel.ports.executions import ExecutionFilter

    workflow = await lab.workflow([A], input_schema={"type": "object", "required": ["n"]})
    with pytest.raises(InputInvalid, match="'n'"):
        await lab.executions.start(workflow, {})
    assert (await lab.store.executions.list(ExecutionFilter(workflow_id=workflow), limit=10)).items == []


async def test_secrets_are_masked_wherever_they_might_show(lab: Any) -> None:
    execution = await lab.run([{"id": "t", "type": "lab.tell", "params": {"secret_name": "TOKEN"}}])
    assert execution.output == "I saw ***"
    everything = b"".join(await lab.executions.events(execution.id))
    assert b"s3cr3t-value" not in everything
    assert b"the value is ***" in everything


async def test_a_secret_that_does_not_exist_fails_with_what_to_do(lab: Any) -> None:
    execution = await lab.run([{"id": "t", "type": "lab.tell", "params": {"secret_name": "NOPE"}}])
    assert execution.error.code == "secret-missing"
    assert "AICFLOW_SECRET_NOPE" in execution.error.hint


async def test_ports_choose_the_branch(lab: Any) -> None:
    execution = await lab.run(
        [
            {"id": "p", "type": "lab.pick", "params": {"port": "${{ input }}"}},
            {**A, "params": {"n": 1}},
            {**A, "id": "z", "params": {"n": 2}},
        ],
        ["p left> a", "p right> z"],
        "right",
    )
    assert execution.output == 3
    wrong = await lab.run([{"id": "p", "type": "lab.pick", "params": {"port": "up"}}])
    assert wrong.error.code == "output-invalid"


async def test_a_blocking_node_does_not_hold_the_event_loop(lab: Any) -> None:
    slow = await lab.start([{"id": "s", "type": "lab.block", "params": {"seconds": 5}}])
    quick = await lab.run([A], input={"n": 1})
    assert quick.status == "succeeded"
    assert (await lab.executions.get(slow)).status == "running"
    await lab.executions.cancel(slow)
    assert (await lab.end(slow)).status == "cancelled"


async def test_a_disabled_node_type_refuses_the_start(lab: Any) -> None:
    from aicflow.kernel.errors import Conflict
    from aicflow.kernel.ports.access import NodeSetting

    workflow = await lab.workflow([A])
    lab.registry.configure(NodeSetting("lab.add", enabled=False))
    with pytest.raises(Conflict, match="disabled"):
        await lab.executions.start(workflow, {"n": 1})
    lab.registry.configure(NodeSetting("lab.add", default_params={"by": 5}))
    started = await lab.executions.start(workflow, {"n": 1})
    assert (await lab.end(started.execution_id)).output == 6


async def test_a_workflow_of_a_thousand_nodes_runs(lab: Any) -> None:
    nodes = [
        {"id": f"n{i}", "type": "lab.add", "params": {"n": f"${{{{ nodes.n{i - 1}.output }}}}" if i else 0}}
        for i in range(1000)
    ]
    execution = await lab.run(nodes, [f"n{i} > n{i + 1}" for i in range(999)])
    assert execution.output == 1000


async def test_two_hundred_at_once_all_succeed(lab: Any) -> None:
    import asyncio

    workflow = await lab.workflow([A, B], ["a > b"])
    started = await asyncio.gather(*[lab.executions.start(workflow, {"n": i}) for i in range(200)])
    ended = await asyncio.gather(*[lab.end(one.execution_id) for one in started])
    assert [one.output for one in ended] == [i + 11 for i in range(200)]


async def test_a_blocking_node_logs_from_its_thread(lab: Any) -> None:
    execution = await lab.run([{"id": "b", "type": "lab.block_and_tell", "params": {"lines": 300}}])
    assert execution.status == "succeeded"
    events = [event for event in await lab.events(execution.id) if event.node_id == "b"]
    assert [event.data["message"] for event in events[1:-1]] == [f"line {i}" for i in range(300)]
    assert events[-1].type == "step.succeeded"


async def test_what_an_execution_held_is_freed_with_its_end(lab: Any) -> None:
    failing = {"id": "f", "type": "lab.add", "params": {"n": "${{ nodes.a.output.missing }}"}}
    gc.collect()
    before = {id(one) for one in gc.get_objects() if isinstance(one, ExecutionRun)}  # of other tests, in one process
    gc.disable()
    try:
        await lab.run([A, B, {**B, "id": "c"}], ["a > b", "a > c"], {"n": 1})
        await lab.run([A, failing], ["a > f"], {"n": 1})
        waits = await lab.start([{"id": "w", "type": "wait", "params": {"seconds": 60}}])
        await lab.until(waits, "waiting")
        await lab.executions.cancel(waits)
        await lab.end(waits)
        await lab.idle()
        held = [one for one in gc.get_objects() if isinstance(one, ExecutionRun) and id(one) not in before]
        assert held == []
    finally:
        gc.enable()
