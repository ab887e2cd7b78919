"""Executions that start executions: sub-workflows, failure workflows, reruns."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aicflow import node
from aicflow.kernel.errors import Conflict, PermanentError
from aicflow.kernel.node import StartChild
from aicflow.kernel.ports.executions import ExecutionFilter, Idempotency

ADD = {"id": "a", "type": "lab.add", "params": {"n": "${{ input.n }}"}}


def call(workflow: str, **more: Any) -> dict[str, Any]:
    return {"id": "call", "type": "workflow.call", "params": {"workflow": workflow, **more}}


async def test_a_called_workflow_gives_its_output(lab: Any) -> None:
    child = await lab.workflow([ADD])
    execution = await lab.run([call(child, input={"n": 1})], output="${{ nodes.call.output.output }}")
    assert execution.output == 2


async def test_a_failed_child_fails_the_step_unless_told_otherwise(lab: Any) -> None:
    child = await lab.workflow([{"id": "f", "type": "lab.fail"}])
    failed = await lab.run([call(child)])
    assert failed.error.code == "child-failed"
    assert "not yet" in failed.error.message
    calm = await lab.run([call(child, on_child_failure="continue")], output="${{ nodes.call.output.status }}")
    assert calm.output == "failed"


async def test_the_params_of_a_call_show_what_the_workflow_takes(lab: Any) -> None:
    city = {"$ref": "#/$defs/City"}
    wanted = {"type": "object", "properties": {"city": city}, "required": ["city"], "$defs": {"City": {"minLength": 2}}}
    for input_schema, shown in (
        (wanted, {"type": "object", "properties": {"city": city}, "required": ["city"]}),
        ({"type": "integer"}, {"type": "integer"}),
    ):
        child = await lab.workflow([ADD], input_schema=input_schema)
        execution = await lab.run([{"id": "s", "type": "lab.schema_of", "params": {"workflow": child}}])
        assert execution.output["properties"]["input"] == shown
        assert execution.output["required"] == ["workflow", "input"]
        assert "properties" not in shown or execution.output["$defs"]["City"] == {"minLength": 2}
    for unknown in ("nowhere", await lab.workflow([ADD])):
        execution = await lab.run([{"id": "s", "type": "lab.schema_of", "params": {"workflow": unknown}}])
        assert execution.output["required"] == ["workflow"]


async def test_a_detached_child_is_not_waited_for(lab: Any) -> None:
    child = await lab.workflow([{"id": "h", "type": "lab.hold"}])
    execution = await lab.run([call(child, wait=False)])
    assert execution.status == "succeeded"
    running = execution.output["execution_id"]
    assert (await lab.executions.get(running)).status in ("queued", "running")
    lab.ledger.gates["hold"].set()
    assert (await lab.end(running)).status == "succeeded"


async def test_cancelling_the_parent_cancels_the_child(lab: Any) -> None:
    child = await lab.workflow([{"id": "h", "type": "lab.hold"}])
    parent = await lab.start([call(child)])
    await lab.ledger.entered["hold"].wait()
    page = await lab.store.executions.list(ExecutionFilter(workflow_id=child), limit=5)
    await lab.executions.cancel(parent)
    assert (await lab.end(parent)).status == "cancelled"
    assert (await lab.end(page.items[0].id)).status == "cancelled"


async def test_a_parent_waits_through_a_crash_and_starts_one_child(lab: Any) -> None:
    child = await lab.workflow([{"id": "h", "type": "lab.hold"}])
    parent = await lab.start([call(child)])
    await lab.ledger.entered["hold"].wait()
    await lab.until(parent, "waiting")
    await lab.crash()
    lab.ledger.gates["hold"].set()
    assert (await lab.end(parent)).status == "succeeded"
    assert len((await lab.store.executions.list(ExecutionFilter(workflow_id=child), limit=5)).items) == 1


async def children_of(lab: Any, parent: str) -> list[Any]:
    return list((await lab.store.executions.list(ExecutionFilter(parent_execution_id=parent), limit=50)).items)


def calls(workflow: str, **more: Any) -> dict[str, Any]:
    params = {"workflow": workflow, "inputs": [{"n": 9}, {"n": 19}, {"n": 29}], **more}
    return {"id": "calls", "type": "lab.calls", "params": params}


async def test_each_call_is_a_child_of_its_own(lab: Any) -> None:
    execution = await lab.run([calls(await lab.workflow([ADD]))])
    assert execution.output == [10, 20, 30]
    assert len(await children_of(lab, execution.id)) == 3


async def test_detached_calls_are_children_of_their_own(lab: Any) -> None:
    execution = await lab.run([calls(await lab.workflow([ADD]), detach=True)])
    assert execution.output == [child.id for child in reversed(await children_of(lab, execution.id))]
    assert len(set(execution.output)) == 3


@pytest.mark.parametrize("detach", [False, True])
async def test_calls_are_exact_over_crashes(lab: Any, detach: bool) -> None:
    """A crash while the node runs with all results, one while it waits for a child, and one at each child's start."""
    child = await lab.workflow([{"id": "h", "type": "lab.hold"}, {**ADD, "id": "a"}], ["h > a"])
    lab.ledger.gates["calls"].clear()
    parent = await lab.start([calls(child, detach=detach)])

    async def reached(number: int, statuses: set[str]) -> bool:
        return sum(one.status in statuses for one in await children_of(lab, parent)) >= number

    for number in (1, 2, 3):
        wanted = 3 if detach else number
        await lab.eventually(lambda wanted=wanted: reached(wanted, {"queued", "running", "succeeded"}))
        await lab.crash()
        lab.ledger.gates["hold"].set()
        if not detach:
            await lab.eventually(lambda number=number: reached(number, {"succeeded"}))
        if number < 3:
            lab.ledger.gates["hold"].clear()
    await lab.ledger.entered["calls"].wait()
    await lab.crash()
    lab.ledger.gates["calls"].set()
    execution = await lab.end(parent)
    assert len(await children_of(lab, parent)) == 3
    assert execution.output == [one.id for one in reversed(await children_of(lab, parent))] if detach else [10, 20, 30]


async def test_a_retry_calls_anew(lab: Any) -> None:
    child = await lab.workflow([{"id": "f", "type": "lab.fail", "params": {"times": 1}}])
    retry = {"max_attempts": 3, "initial_delay": 0, "on": ["child-failed"]}
    execution = await lab.run([{**call(child), "retry": retry}], output="${{ nodes.call.output.output }}")
    assert execution.output == "attempt 1"
    assert [one.status for one in await children_of(lab, execution.id)] == ["succeeded", "failed"]


async def test_a_call_that_cannot_start_follows_retry(lab: Any) -> None:
    retry = {"max_attempts": 2, "initial_delay": 0, "on": ["permanent"]}
    execution = await lab.run([{**call("nowhere"), "retry": retry}])
    assert execution.error.attempt == 2


async def test_a_workflow_that_calls_itself_ends_at_the_depth_limit(lab: Any) -> None:
    workflow = await lab.workflow([call("wf1")])
    assert workflow == "wf1"
    execution = await lab.end((await lab.executions.start(workflow)).execution_id)
    assert execution.status == "failed"
    deepest = (await lab.store.executions.list(ExecutionFilter(workflow_id=workflow), limit=200)).items
    assert len(deepest) == lab.options.max_depth
    # the cause is told once, however many calls are between
    assert execution.error.message.count("deep") == 1
    assert "AICFLOW_MAX_CALL_DEPTH" in execution.error.hint
    assert execution.error.details["failed"] == deepest[0].id
    assert execution.error.details["error"]["code"] == "too-deep"
    assert len(str(execution.error)) < 2_000


async def test_twenty_items_by_nested_calls(lab: Any) -> None:
    pick = {"id": "more", "type": "lab.pick", "params": {"port": "${{ 'left' if len(input.rest) > 0 else 'right' }}"}}
    rest = {"rest": "${{ input.rest[1:] }}", "done": "${{ input.done + [input.rest[0]] }}"}
    workflow = await lab.workflow(
        [pick, call("wf1", input=rest)], ["more left> call"], output="${{ nodes.call?.output.output ?? input.done }}"
    )
    started = await lab.executions.start(workflow, {"rest": list(range(20)), "done": []})
    assert (await lab.end(started.execution_id)).output == list(range(20))


async def test_a_child_that_does_not_exist(lab: Any) -> None:
    execution = await lab.run([call("nowhere")])
    assert "nowhere" in execution.error.message


async def test_on_failure_starts_a_workflow_with_the_report(lab: Any) -> None:
    nodes = [{"id": "e", "type": "lab.effect", "params": {"name": "${{ input.error.message }}"}}]
    handler = await lab.workflow(nodes)
    execution = await lab.run([{"id": "f", "type": "lab.fail"}], settings={"on_failure": handler})
    assert execution.status == "failed"
    handled = (await lab.store.executions.list(ExecutionFilter(workflow_id=handler), limit=5)).items
    assert len(handled) == 1
    await lab.end(handled[0].id)
    assert lab.ledger.effects == ["not yet"]


async def test_a_failing_failure_workflow_does_not_start_itself(lab: Any) -> None:
    workflow = await lab.workflow([{"id": "f", "type": "lab.fail"}], settings={"on_failure": "wf1"})
    assert workflow == "wf1"
    await lab.end((await lab.executions.start(workflow)).execution_id)
    await asyncio.sleep(0.1)
    assert len((await lab.store.executions.list(ExecutionFilter(workflow_id=workflow), limit=9)).items) == 2


async def test_rerun_with_the_same_and_with_another_input(lab: Any) -> None:
    first = await lab.run([ADD], input={"n": 1})
    again = await lab.executions.rerun(first.id)
    assert (await lab.end(again.execution_id)).output == 2
    other = await lab.executions.rerun(first.id, input={"n": 10})
    ended = await lab.end(other.execution_id)
    assert ended.output == 11
    assert ended.rerun_of == first.id
    assert ended.trigger.kind == "rerun"


async def test_rerun_from_a_node_takes_over_what_is_not_downstream(lab: Any) -> None:
    nodes = [
        {"id": "e", "type": "lab.effect", "params": {"name": "once"}},
        {"id": "big", "type": "lab.big", "params": {"size": 100_000}},
        {"id": "f", "type": "lab.fail", "params": {"times": 1}},
        {"id": "last", "type": "lab.add", "params": {"n": "${{ len(nodes.big.output) }}"}},
    ]
    first = await lab.run(nodes, ["e > f", "big > f", "f > last"])
    assert first.status == "failed"
    again = await lab.executions.rerun(first.id, from_node="f")
    ended = await lab.end(again.execution_id)
    assert ended.output == 100_001
    assert lab.ledger.effects == ["once"]
    with pytest.raises(Conflict, match="no node 'g'"):
        await lab.executions.rerun(first.id, from_node="g")


async def test_a_rerun_keeps_large_outputs_outside_of_its_events_too(lab: Any) -> None:
    await lab.executions.close()
    lab.options = replace(lab.options, inline_output=100)
    lab.executions = lab.make()
    await lab.executions.open()
    nodes = [
        {"id": "big", "type": "lab.big", "params": {"size": 500}},
        {"id": "f", "type": "lab.fail", "params": {"times": 1}},
    ]
    first = await lab.run(nodes, ["big > f"])
    again = await lab.executions.rerun(first.id, from_node="f")
    assert (await lab.end(again.execution_id)).status == "succeeded"
    assert set(await lab.store.executions.outputs(again.execution_id)) == {"big"}


async def test_rerun_of_the_latest_version(lab: Any) -> None:
    workflow = await lab.workflow([ADD])
    first = await lab.end((await lab.executions.start(workflow, {"n": 1})).execution_id)
    document = (await lab.store.workflows.get(workflow)).document
    document = {**document, "nodes": [{**ADD, "params": {"n": "${{ input.n }}", "by": 100}}]}
    await lab.store.workflows.update(workflow, now=1.0, document=document)
    pinned = await lab.executions.rerun(first.id)
    latest = await lab.executions.rerun(first.id, version="latest")
    assert (await lab.end(pinned.execution_id)).output == 2
    assert (await lab.end(latest.execution_id)).output == 101


async def test_bulk_cancel_and_bulk_rerun(lab: Any) -> None:
    workflow = await lab.workflow([{"id": "h", "type": "lab.hold"}])
    ids = [(await lab.executions.start(workflow)).execution_id for _ in range(5)]
    outcome = await lab.executions.bulk_cancel(ExecutionFilter(workflow_id=workflow), limit=3)
    cancelled = [one.execution_id for one in outcome.items]
    assert (cancelled, outcome.has_more) == (ids[:1:-1], True)
    for one in cancelled:
        assert (await lab.end(one)).status == "cancelled"
    lab.ledger.gates["hold"].set()
    for one in set(ids) - set(cancelled):
        await lab.end(one)
    again = await lab.executions.bulk_rerun(
        ExecutionFilter(workflow_id=workflow, statuses=frozenset({"cancelled"})), limit=10
    )
    assert ([one.execution_id for one in again.items], again.has_more) == (cancelled, False)
    for one in again.items:
        assert (await lab.end(one.started)).status == "succeeded"


async def test_a_bulk_rerun_that_died_in_the_middle_goes_on_with_its_key(lab: Any, monkeypatch: Any) -> None:
    workflow = await lab.workflow([ADD])
    ids = [(await lab.executions.start(workflow, {"n": n})).execution_id for n in range(5)]
    for one in ids:
        await lab.end(one)
    where, key = ExecutionFilter(workflow_id=workflow), Idempotency("bulk-rerun:me", "k", "print")
    rerun, calls = lab.executions.rerun, iter(range(100))

    async def dying(*args: Any, **more: Any) -> Any:
        if next(calls) == 3:
            raise KeyError("the process died")
        return await rerun(*args, **more)

    monkeypatch.setattr(lab.executions, "rerun", dying)
    with pytest.raises(KeyError):
        await lab.executions.bulk_rerun(where, limit=10, idempotency=key)
    late = (await lab.executions.start(workflow, {"n": 9})).execution_id
    outcome = await lab.executions.bulk_rerun(where, limit=10, idempotency=key)
    assert [one.execution_id for one in outcome.items] == ids[::-1], "what was chosen first, not what ended since"
    made = {one.started for one in outcome.items}
    everything = {one.id for one in (await lab.store.executions.list(where, limit=50)).items}
    assert len(made) == 5
    assert everything == {*ids, late, *made}, "nothing twice"
    again = await lab.executions.bulk_rerun(where, limit=10, idempotency=key)
    assert (again.items, again.repeated) == (outcome.items, True)


async def test_a_child_that_was_started_is_found_though_it_could_not_start_today(lab: Any) -> None:
    workflow = await lab.workflow([ADD])
    parent = await lab.executions.get((await lab.executions.start(workflow, {"n": 1})).execution_id)
    children, start = lab.executions._worker._children, StartChild(workflow, {"n": 2}, detach=True)
    first = await children.start(parent, "call", 1, start)
    await lab.store.workflows.update(workflow, now=1.0, enabled=False)
    assert await children.start(parent, "call", 1, start) == first, "as after a crash"
    with pytest.raises(PermanentError, match="could not start"):
        await children.start(parent, "call", 2, start)
    await lab.end(first)
    await lab.end(parent.id)


async def test_what_a_parent_masked_is_masked_in_its_children_too(lab: Any) -> None:
    """The child works with the real value; what is kept of its input and output is masked, and a rerun asks for it."""

    @node("lab.length")
    async def length(text: str) -> dict[str, Any]:
        return {"length": len(text), "text": text}

    lab.registry.register(length)
    inner = [{"id": "n", "type": "lab.length", "params": {"text": "${{ input.t }}"}}]
    child = await lab.workflow(inner, output="${{ nodes.n.output }}")
    nodes = [{"id": "token", "type": "lab.token"}, call(child, input={"t": "${{ nodes.token.output }}"})]
    execution = await lab.run(nodes, ["token > call"], output="${{ nodes.call.output.output.length }}")
    assert execution.output == len("Bearer fetched-token"), execution.error
    started = (await lab.store.executions.list(ExecutionFilter(parent_execution_id=execution.id), limit=1)).items[0]
    kept = await lab.executions.get(started.id)
    assert (kept.input, kept.output["text"]) == ({"t": "Bearer ***"}, "Bearer ***")
    assert b"fetched-token" not in b"".join(await lab.executions.events(started.id))
    with pytest.raises(Conflict) as caught:
        await lab.executions.rerun(started.id)
    assert caught.value.code == "input-masked"
