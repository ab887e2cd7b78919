"""Maps with `isolate`: each item in an execution of its own."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.kernel.errors import Conflict
from aicflow.kernel.ports.executions import ExecutionFilter

FIRST = {"id": "first", "type": "lab.add", "params": {"n": 9}}


def each(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "each", "map": {"over": "${{ input.list }}", "isolate": True, "nodes": list(nodes), **more}}


async def _children(lab: Any, execution_id: str) -> list[Any]:
    page = await lab.store.executions.list(ExecutionFilter(parent_execution_id=execution_id), limit=100)
    return [await lab.store.executions.get(child.id) for child in reversed(page.items)]


@pytest.mark.parametrize("engine", ["native", "langgraph"])
async def test_each_item_is_an_execution_that_sees_what_is_outside(lab: Any, engine: str) -> None:
    sum_ = {"id": "sum", "type": "lab.add", "params": {"n": "${{ x + vars.v }}", "by": "${{ nodes.first.output }}"}}
    twice = {"id": "twice", "type": "lab.add", "params": {"n": "${{ nodes.sum.output }}", "by": "${{ input.more }}"}}
    output = {"i": "${{ index }}", "n": "${{ nodes.twice.output }}", "ten": "${{ nodes.first.output }}"}
    node = each(sum_, twice, edges=[{"from": "sum", "to": "twice"}], output=output, **{"as": "x"})
    execution = await lab.run(
        [FIRST, node],
        ["first > each"],
        input={"list": [1, 2, 3], "more": 100},
        vars={"v": 1000},
        input_schema={"type": "object"},
        settings={"engine": engine, "timeout": 60, "max_concurrency": 1, "subject": "${{ input.more }}"},
    )
    assert execution.status == "succeeded", execution.error
    assert execution.output["items"] == [{"i": i, "n": 1111 + i, "ten": 10} for i in range(3)]
    children = await _children(lab, execution.id)
    assert sorted(child.output["i"] for child in children) == [0, 1, 2]
    assert {(child.trigger.kind, child.workflow_id, child.version, child.engine) for child in children} == {
        ("item", execution.workflow_id, execution.version, engine)
    }
    [step] = await lab.executions.steps(execution.id, parent="each[1]")
    [child] = [child for child in children if child.trigger.parent_node_id == "each[1].item"]
    assert (step.node_id, step.output["execution_id"]) == ("each[1].item", child.id)
    assert [one.node_id for one in await lab.executions.steps(child.id)] == ["sum", "twice"]


async def test_an_item_that_fails_says_where_and_only_it_runs_again(lab: Any) -> None:
    effect = {"id": "do", "type": "lab.effect", "params": {"name": "${{ 'e' + str(item) }}"}}
    fail = {"id": "f", "type": "lab.fail", "params": {"name": "${{ 'f' + str(item) }}", "times": "${{ item }}"}}
    node = each(effect, fail, edges=[{"from": "do", "to": "f"}], on_item_error="continue")
    execution = await lab.run([node], input={"list": [0, 1, 0]})
    assert execution.output["succeeded"] == 2
    [failed] = execution.output["failed"]
    assert (failed["index"], failed["error"]["code"]) == (1, "child-failed")
    child = failed["error"]["details"]["execution_id"]
    assert failed["error"]["details"]["error"]["node_id"] == "f"
    with pytest.raises(Conflict, match="is an item of a map"):
        await lab.executions.rerun(child)
    again = await lab.executions.rerun(execution.id, from_node="each", reuse="succeeded")
    assert (await lab.end(again.execution_id)).output["succeeded"] == 3
    assert sorted(lab.ledger.effects) == ["e0", "e0", "e1", "e1"]


async def test_items_survive_crashes_and_start_once(lab: Any) -> None:
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ nodes.first.output + item }}"}}
    first = {"id": "first", "type": "lab.effect", "params": {"name": "first"}}
    execution_id = await lab.start([first, each(hold, concurrency=2)], ["first > each"], input={"list": list("abcdef")})
    await lab.ledger.entered["firstb"].wait()
    await lab.crash()
    for name in "abcdef":
        lab.ledger.gates["first" + name].set()
    execution = await lab.end(execution_id)
    assert execution.output["items"] == [f"first{name}" for name in "abcdef"]
    assert len(await _children(lab, execution_id)) == 6
    assert lab.ledger.effects.count("first") == 1


async def test_items_that_wait_hold_no_place_and_are_cancelled_with_their_map(lab: Any) -> None:
    ask = {"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}
    execution_id = await lab.start(
        [each(ask, concurrency=2, output="${{ nodes.ask.output.answer }}")], input={"list": [1] * 5}
    )

    async def all_wait() -> bool:
        return [child.status for child in await _children(lab, execution_id)] == ["waiting"] * 5

    await lab.eventually(all_wait)
    children = await _children(lab, execution_id)

    async def it_is_told() -> bool:
        return "executions" in await lab.executions.why(execution_id)

    await lab.eventually(it_is_told)
    for at, child in enumerate(children[:3]):
        await lab.executions.resume(child.id, "ask", value=at)
    for child in children[:3]:
        assert (await lab.end(child.id)).status == "succeeded"
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    for child in children[3:]:
        assert (await lab.end(child.id)).status == "cancelled"


async def test_secrets_of_what_is_outside_are_hidden_in_items_and_work(lab: Any) -> None:
    tell = {"id": "tell", "type": "lab.tell", "params": {"secret_name": "TOKEN"}}
    take = {"id": "take", "type": "lab.take", "params": {"value": "${{ nodes.tell.output + item }}"}}
    execution = await lab.run([tell, each(take)], ["tell > each"], input={"list": ["a", "b"]})
    assert execution.status == "succeeded", execution.error
    assert sorted(lab.ledger.taken) == ["I saw s3cr3t-valuea", "I saw s3cr3t-valueb"]
    for child in await _children(lab, execution.id):
        assert "s3cr3t" not in str(child.output)
        assert "s3cr3t" not in str(await lab.executions.events(child.id))


async def test_only_the_end_of_the_map_s_own_execution_is_announced(lab: Any) -> None:
    lab.executions.announce(lambda workflow_id: True, lambda: None)
    execution = await lab.run([each(FIRST)], input={"list": [1, 2]})
    assert [*await lab.store.executions.announced(limit=10)] == [execution.id]


async def test_a_secret_in_the_input_reaches_items_and_is_shown_in_none(lab: Any) -> None:
    tell = {"id": "tell", "type": "lab.tell", "params": {"secret_name": "TOKEN"}}
    take = {"id": "take", "type": "lab.take", "params": {"value": "${{ item + input.s }}"}}
    execution = await lab.run([tell, each(take)], ["tell > each"], input={"list": ["a"], "s": "s3cr3t-value"})
    assert execution.status == "succeeded", execution.error
    assert lab.ledger.taken == ["as3cr3t-value"]
    assert "s3cr3t" not in str(execution.input)
    [child] = await _children(lab, execution.id)
    assert "s3cr3t" not in str(child)
