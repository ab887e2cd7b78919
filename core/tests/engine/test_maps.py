"""Bodies inside of nodes: maps over items, repeats, groups; by both stores, over crashes, waits and failures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aicflow import Context, Node, Params
from aicflow.kernel.errors import Conflict


class NoParams(Params):
    """No params."""


ADD = {"id": "more", "type": "lab.add", "params": {"n": "${{ item }}"}}
EFFECT = {"id": "do", "type": "lab.effect", "params": {"name": "${{ 'e' + str(item) }}"}}


def each(*nodes: dict[str, Any], over: Any = "${{ input }}", **more: Any) -> dict[str, Any]:
    return {"id": "each", "map": {"over": over, "nodes": list(nodes), **more}}


async def test_a_map_runs_its_body_once_for_each_item(lab: Any) -> None:
    execution = await lab.run([each(ADD)], input=[1, 2, 3])
    assert execution.output == {"items": [2, 3, 4], "failed": [], "count": 3, "succeeded": 3}
    types = await lab.types(execution.id)
    assert types[2] == "step.started each"
    assert types.count("step.succeeded each[1].more") == 1


async def test_nothing_to_map_over_succeeds(lab: Any) -> None:
    execution = await lab.run([each(ADD)], input=[])
    assert execution.output == {"items": [], "failed": [], "count": 0, "succeeded": 0}


async def test_expressions_in_the_body_see_the_item_the_index_and_what_is_outside(lab: Any) -> None:
    body = [
        {"id": "sum", "type": "lab.add", "params": {"n": "${{ order.n }}", "by": "${{ nodes.first.output + index }}"}},
        {"id": "twice", "type": "lab.add", "params": {"n": "${{ nodes.sum.output }}", "by": "${{ nodes.sum.output }}"}},
    ]
    output = {"n": "${{ order.n }}", "twice": "${{ nodes.twice.output }}"}
    node = each(*body, edges=[{"from": "sum", "to": "twice"}], output=output, **{"as": "order"})
    first = {"id": "first", "type": "lab.add", "params": {"n": 9}}
    last = {"id": "last", "type": "lab.take", "params": {"value": "${{ nodes.each.output.items[1].twice }}"}}
    execution = await lab.run([first, node, last], ["first > each", "each > last"], input=[{"n": 1}, {"n": 2}])
    assert execution.output == 26
    assert lab.ledger.taken == [26]


async def test_no_more_items_are_at_work_than_the_map_says(lab: Any) -> None:
    names = [str(i) for i in range(8)]
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ item }}"}}
    execution_id = await lab.start([each(hold, concurrency=3)], input=names)
    for name in names[:3]:
        await lab.ledger.entered[name].wait()
    await asyncio.sleep(0.02)
    assert sorted(lab.ledger.calls) == ["0", "1", "2"]
    lab.ledger.gates["1"].set()
    await lab.ledger.entered["3"].wait()
    for name in names:
        lab.ledger.gates[name].set()
    assert (await lab.end(execution_id)).output["items"] == names


async def test_a_batch_is_one_item(lab: Any) -> None:
    take = {"id": "t", "type": "lab.take", "params": {"value": "${{ item }}"}}
    execution = await lab.run([each(take, batch=2)], input=[1, 2, 3])
    assert execution.output["items"] == [[1, 2], [3]]


async def test_a_failed_item_stops_its_siblings_and_says_which_it_was(lab: Any) -> None:
    lab.ledger.said["why"] = "full"
    body = [
        {"id": "odd", "type": "lab.pick", "params": {"port": "${{ 'left' if item.bad else 'right' }}"}},
        {"id": "f", "type": "lab.fail_with", "params": {"name": "why"}},
        {"id": "h", "type": "lab.hold"},
    ]
    edges = [{"from": "odd", "port": "left", "to": "f"}, {"from": "odd", "port": "right", "to": "h"}]
    execution = await lab.run(
        [each(*body, edges=edges, key="${{ item.id }}")], input=[{"id": "a", "bad": False}, {"id": "b", "bad": True}]
    )
    assert execution.status == "failed"
    assert execution.error.code == "item-failed"
    assert execution.error.message == "Item 1 (key 'b') failed at each[1].f: it was full"
    assert execution.error.details["index"] == 1
    assert execution.error.details["error"]["node_id"] == "each[1].f"
    assert "step.cancelled each[0].h" in await lab.types(execution.id)


async def test_failed_items_may_be_tolerated(lab: Any) -> None:
    body = [{"id": "d", "type": "lab.take", "params": {"value": "${{ 10 / item }}"}}]
    calm = await lab.run([each(*body, on_item_error="continue")], input=[1, 0, 5])
    assert calm.output["items"] == [10, None, 2]
    assert [(item["index"], item["key"]) for item in calm.output["failed"]] == [(1, None)]
    assert calm.output["succeeded"] == 2
    for tolerate, status in (({"count": 1}, "succeeded"), ({"count": 0}, "failed"), ({"percent": 33}, "failed")):
        execution = await lab.run([each(*body, on_item_error={"tolerate": tolerate})], input=[1, 0, 5])
        assert execution.status == status


async def test_an_error_edge_inside_catches_an_item_s_failure(lab: Any) -> None:
    body = [
        {"id": "f", "type": "lab.take", "params": {"value": "${{ 10 / item }}"}},
        {"id": "saved", "type": "lab.take", "params": {"value": "${{ nodes.f.error.code }}"}},
    ]
    edges = [{"from": "f", "port": "error", "to": "saved"}]
    execution = await lab.run([each(*body, edges=edges)], input=[0])
    assert execution.output["items"] == ["reference-failed"]


async def test_keys_are_unique(lab: Any) -> None:
    twice = await lab.run([each(ADD, key="${{ item }}")], input=[1, 2, 1])
    assert twice.error.code == "duplicate-key"
    assert "Items 0 and 2" in twice.error.message
    many = await lab.run([each(ADD, max_items=2)], input=[1, 2, 3])
    assert many.error.code == "too-many-items"


async def test_finished_items_do_not_run_again_after_a_crash(lab: Any) -> None:
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ 'h' + str(item) }}"}}
    node = each(EFFECT, hold, edges=[{"from": "do", "to": "h"}], concurrency=2)
    execution_id = await lab.start([node], input=[0, 1, 2, 3])
    lab.ledger.gates["h0"].set()
    await lab.ledger.entered["h1"].wait()
    await lab.ledger.entered["h2"].wait()
    await lab.crash()
    for i in range(4):
        lab.ledger.gates[f"h{i}"].set()
    execution = await lab.end(execution_id)
    assert execution.output["items"] == ["h0", "h1", "h2", "h3"]
    assert sorted(lab.ledger.effects) == ["e0", "e1", "e2", "e3", "h0", "h1", "h2", "h3"]
    assert lab.ledger.calls["h0"] == 1


async def test_a_waiting_item_holds_no_place_and_parks_with_the_others(lab: Any) -> None:
    ask = {"id": "ok", "type": "wait", "params": {"answer_schema": {"type": "boolean"}}}
    execution_id = await lab.start([each(ask, concurrency=1)], input=[1, 2, 3])
    await lab.until(execution_id, "waiting")
    await lab.idle()
    assert "each[1].ok waits for an answer" in await lab.executions.why(execution_id)
    await lab.executions.resume(execution_id, "each[1].ok", value=True)
    await lab.until(execution_id, "waiting")
    await lab.crash()
    await lab.executions.resume(execution_id, "each[0].ok", value=False)
    await lab.executions.resume(execution_id, "each[2].ok", value=False)
    execution = await lab.end(execution_id)
    assert [item["answer"] for item in execution.output["items"]] == [False, True, False]


async def test_items_that_wait_for_a_time_go_on_by_themselves(lab: Any) -> None:
    body = [
        {"id": "w", "type": "wait", "params": {"seconds": "${{ item }}"}},
        {"id": "do", "type": "lab.effect", "params": {"name": "${{ str(item) }}"}},
    ]
    execution = await lab.run([each(*body, edges=[{"from": "w", "to": "do"}], concurrency=1)], input=[0.3, 0.1, 0.0])
    assert execution.output["items"] == ["0.3", "0.1", "0.0"]
    assert lab.ledger.effects == ["0.0", "0.1", "0.3"]


async def test_cancel_ends_the_items_at_work(lab: Any) -> None:
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ str(item) }}"}}
    execution_id = await lab.start([each(hold)], input=list(range(20)))
    await lab.ledger.entered["9"].wait()
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id, 2)).status == "cancelled"
    assert len([one for one in await lab.types(execution_id) if one.startswith("step.cancelled each[")]) == 10


async def test_a_map_ends_within_its_timeout(lab: Any) -> None:
    hold = {"id": "h", "type": "lab.hold"}
    execution = await lab.run([{**each(hold), "timeout": 0.05}], input=[1])
    assert execution.error.code == "timeout"


async def test_maps_inside_of_maps(lab: Any) -> None:
    inner = {"id": "inner", "map": {"over": "${{ row }}", "as": "cell", "nodes": [
        {"id": "sum", "type": "lab.add", "params": {"n": "${{ cell }}", "by": "${{ len(row) }}"}}
    ]}}  # fmt: skip
    node = each(inner, output="${{ nodes.inner.output.items }}", **{"as": "row"})
    execution = await lab.run([node], input=[[1, 2], [], [3]])
    assert execution.output["items"] == [[3, 4], [], [4]]
    assert "step.succeeded each[0].inner[1].sum" in await lab.types(execution.id)


async def test_large_maps_of_pure_nodes_leave_a_compact_log(lab: Any) -> None:
    execution = await lab.run([each(ADD, concurrency=100)], input=list(range(3_000)))
    assert execution.output["items"] == list(range(1, 3_001))
    events = await lab.events(execution.id)
    assert len(events) < 500
    assert {event.node_id for event in events if event.node_id} == {"each"}


async def test_a_map_collects_what_it_is_told_to(lab: Any) -> None:
    for collect, items in (("items", [2, 3]), ("last", [3]), ("none", [])):
        execution = await lab.run([each(ADD, collect=collect)], input=[1, 2])
        assert execution.output["items"] == items
        assert execution.output["succeeded"] == 2


async def test_a_child_of_each_item(lab: Any) -> None:
    child = await lab.workflow([{"id": "a", "type": "lab.add", "params": {"n": "${{ input }}"}}])
    call = {"id": "call", "type": "workflow.call", "params": {"workflow": child, "input": "${{ item }}"}}
    execution = await lab.run([each(call, output="${{ nodes.call.output.output }}")], input=[1, 2, 3])
    assert execution.output["items"] == [2, 3, 4]


async def test_secrets_in_items_are_masked_and_survive_a_crash(lab: Any) -> None:
    body = [
        {"id": "t", "type": "lab.tell", "params": {"secret_name": "TOKEN"}},
        {"id": "h", "type": "lab.hold", "params": {"name": "${{ 'h' + str(item) }}"}},
    ]
    node = each(*body, edges=[{"from": "t", "to": "h"}], output="${{ nodes.t.output }}", concurrency=1)
    last = {"id": "last", "type": "lab.take", "params": {"value": "${{ nodes.each.output.items }}"}}
    execution_id = await lab.start([node, last], ["each > last"], input=[0, 1])
    lab.ledger.gates["h0"].set()
    await lab.ledger.entered["h1"].wait()
    await lab.crash()
    lab.ledger.gates["h1"].set()
    execution = await lab.end(execution_id)
    assert lab.ledger.taken == [["I saw s3cr3t-value", "I saw s3cr3t-value"]]
    assert "s3cr3t" not in repr(execution.output)
    kept = await lab.store.executions.items(execution_id, "each")
    assert [item.output for item in kept] == [b'"I saw ***"', b'"I saw ***"']


async def test_repeat_goes_on_while_its_condition_holds(lab: Any) -> None:
    body = [{"id": "more", "type": "lab.add", "params": {"n": "${{ carry }}", "by": "${{ index }}"}}]
    node = {"id": "r", "repeat": {"while": "${{ carry < 10 }}", "max": 50, "carry": 1, "nodes": body}}
    execution = await lab.run([node])
    assert execution.output == {"carry": 11, "passes": 5, "done": True}
    assert (await lab.run([{**node, "repeat": {**node["repeat"], "max": 2}}])).output == {
        "carry": 2, "passes": 2, "done": False,
    }  # fmt: skip


async def test_repeat_waits_between_passes_and_survives_a_crash(lab: Any) -> None:
    body = [{"id": "do", "type": "lab.effect", "params": {"name": "${{ 'p' + str(index) }}"}}]
    repeat = {"while": "${{ index < 2 }}", "max": 9, "delay": 0.3, "nodes": body, "output": "${{ index }}"}
    execution_id = await lab.start([{"id": "r", "repeat": repeat}])
    await lab.until(execution_id, "waiting")
    await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.output == {"carry": 2, "passes": 3, "done": True}
    assert lab.ledger.effects == ["p0", "p1", "p2"]


async def test_a_group_is_retried_as_a_whole(lab: Any) -> None:
    body = [
        {"id": "do", "type": "lab.effect", "params": {"name": "once"}},
        {"id": "f", "type": "lab.key"},
    ]
    group = {"nodes": body, "edges": [{"from": "do", "to": "f"}]}
    retry = {"max_attempts": 2, "initial_delay": 0, "jitter": False}
    failed = await lab.run([{"id": "g", "group": group}])
    assert failed.error.code == "group-failed"
    assert failed.error.details["error"]["node_id"] == "g.f"
    execution = await lab.run([{"id": "g", "group": group, "retry": retry}])
    assert execution.status == "failed"  # lab.key fails in the first attempt of the step, and each time is its first
    assert lab.ledger.effects.count("once") == 3


@pytest.mark.parametrize("count", [50])
async def test_crashes_at_many_moments_run_nothing_finished_twice(lab: Any, count: int) -> None:
    node = each(EFFECT, concurrency=7)
    execution_id = await lab.start([node], input=list(range(count)))
    for _ in range(4):
        await asyncio.sleep(0.01)
        await lab.crash()
    execution = await lab.end(execution_id)
    assert execution.output["items"] == [f"e{i}" for i in range(count)]
    assert set(lab.ledger.effects) == {f"e{i}" for i in range(count)}
    assert len(lab.ledger.effects) <= count + 4 * 7


async def test_an_item_that_two_waits_wake_at_once_goes_on_once(lab: Any) -> None:
    body = [
        {"id": "first", "type": "lab.effect", "params": {"name": "${{ 'first' + str(item) }}"}},
        {"id": "a", "type": "wait", "params": {"seconds": 0.2}},
        {"id": "b", "type": "wait", "params": {"seconds": 0.2}},
    ]
    edges = [{"from": "first", "to": "a"}, {"from": "first", "to": "b"}]
    hold = {"id": "hold", "type": "lab.hold", "params": {"name": "${{ str(item) }}"}}
    node = each(*body, hold, edges=[*edges, {"from": "b", "to": "hold"}], concurrency=1)
    execution_id = await lab.start([node], input=[0, 1, 2])
    await lab.ledger.entered["0"].wait()  # the others are woken twice while this one has the only place
    await asyncio.sleep(0.3)
    for name in "012":
        lab.ledger.gates[name].set()
    await lab.end(execution_id)
    assert sorted(lab.ledger.effects) == ["0", "1", "2", "first0", "first1", "first2"]


async def test_a_map_does_not_forget_a_failed_item_in_a_crash(lab: Any) -> None:
    lab.ledger.said["why"] = "full"
    body = [
        {"id": "odd", "type": "lab.pick", "params": {"port": "${{ 'left' if item else 'right' }}"}},
        {"id": "f", "type": "lab.fail_with", "params": {"name": "why"}},
        {"id": "d", "type": "lab.deaf"},
    ]
    edges = [{"from": "odd", "port": "left", "to": "f"}, {"from": "odd", "port": "right", "to": "d"}]
    execution_id = await lab.start([each(*body, edges=edges)], input=[False, True, False])

    async def kept() -> bool:
        return bool(await lab.store.executions.items(execution_id, "each"))

    await lab.eventually(kept)
    await lab.crash()  # while what does not stop holds the map, which has failed
    execution = await lab.end(execution_id)
    assert (execution.status, execution.error.code) == ("failed", "item-failed")
    assert execution.error.details["index"] == 1
    types = await lab.types(execution_id)
    assert {"step.cancelled each[0].d", "step.cancelled each[2].d"} <= set(types)


async def test_steps_inside_are_settled_by_a_cancel_after_a_crash(lab: Any) -> None:
    hold = {"id": "h", "type": "lab.hold", "params": {"name": "${{ str(item) }}"}}
    execution_id = await lab.start([each(hold)], input=[0, 1])
    await lab.ledger.entered["1"].wait()
    await lab.store.executions.request_cancel(execution_id)
    await lab.crash()
    assert (await lab.end(execution_id)).status == "cancelled"
    assert {"step.cancelled each[0].h", "step.cancelled each[1].h"} <= set(await lab.types(execution_id))


async def test_a_map_of_one_at_a_time_is_not_parked_while_it_works(lab: Any) -> None:
    execution = await lab.run([each(ADD, concurrency=1)], input=list(range(1_500)))
    assert execution.output["count"] == 1_500
    assert "execution.waiting" not in await lab.types(execution.id)


async def test_an_error_beside_items_at_work_ends_them(lab: Any) -> None:
    """An output that is no JSON is that item's failure, not the execution's."""
    body = {"id": "n", "type": "lab.anything", "params": {"nan": True}}
    execution = await lab.run([each(body, on_item_error="continue")], input=[1])
    assert execution.output["failed"][0]["error"]["code"] == "output-invalid"


async def test_a_retried_group_begins_anew_after_a_crash(lab: Any) -> None:
    effect = {"id": "do", "type": "lab.effect", "params": {"name": "${{ 'a' + str(item) }}"}}
    body = [
        each(effect, over=[1, 2]),
        {"id": "f", "type": "lab.fail", "params": {"times": 1}},
        {"id": "h", "type": "lab.hold"},
    ]
    group = {"nodes": body, "edges": [{"from": "each", "to": "f"}, {"from": "f", "to": "h"}]}
    retry = {"max_attempts": 3, "initial_delay": 0.4, "jitter": False}
    execution_id = await lab.start([{"id": "g", "group": group, "retry": retry}])
    await lab.until(execution_id, "waiting")
    await lab.crash()  # while it waits for the second attempt
    await lab.ledger.entered["hold"].wait()
    assert lab.ledger.effects == ["a1", "a2", "a1", "a2"]
    await lab.crash()
    lab.ledger.gates["hold"].set()
    execution = await lab.end(execution_id)
    assert (execution.status, lab.ledger.calls["fail"]) == ("succeeded", 2)
    assert lab.ledger.effects == ["a1", "a2", "a1", "a2", "hold"]


async def test_the_timeout_of_a_body_goes_on_while_it_waits(lab: Any) -> None:
    ask = {"id": "ok", "type": "wait", "params": {"answer_schema": True}}
    execution_id = await lab.start([{**each(ask), "timeout": 0.4}], input=[1, 2])
    await lab.until(execution_id, "waiting")
    execution = await lab.end(execution_id)
    assert (execution.status, execution.error.code) == ("failed", "timeout")
    assert "each did not end within 0.4 s." in execution.error.message


async def test_a_rerun_of_a_map_may_keep_the_items_that_succeeded(lab: Any) -> None:
    body = [
        {"id": "do", "type": "lab.effect", "params": {"name": "${{ item.id }}"}},
        {"id": "calc", "type": "lab.take", "params": {"value": "${{ 10 / item.n }}"}},
    ]
    node = each(*body, edges=[{"from": "do", "to": "calc"}], key="${{ item.id }}", concurrency=1)
    a, b, c = ({"id": name, "n": n} for name, n in (("a", 1), ("b", 0), ("c", 5)))
    failed = await lab.run([node], input=[a, b, c])
    assert (failed.status, lab.ledger.effects) == ("failed", ["a", "b"])
    again = await lab.executions.rerun(failed.id, from_node="each", reuse="succeeded", input=[c, b | {"n": 2}, a])
    execution = await lab.end(again.execution_id)
    assert execution.output == {"items": [2, 5, 10], "failed": [], "count": 3, "succeeded": 3}
    assert lab.ledger.effects == ["a", "b", "c", "b"]
    assert [item.key for item in await lab.store.executions.items(execution.id, "each")] == ["c", "b", "a"]
    whole = await lab.end((await lab.executions.rerun(execution.id, from_node="each")).execution_id)
    assert whole.output == execution.output
    assert lab.ledger.effects[4:] == ["c", "b", "a"]


async def test_without_keys_a_rerun_tells_items_apart_by_their_place(lab: Any) -> None:
    body = {"id": "calc", "type": "lab.take", "params": {"value": "${{ 10 / item }}"}}
    failed = await lab.run([each(body, on_item_error="continue")], input=[1, 0, 5])
    lab.ledger.taken.clear()
    again = await lab.executions.rerun(failed.id, from_node="each", reuse="succeeded", input=[1, 2, 5])
    assert (await lab.end(again.execution_id)).output["items"] == [10, 5, 2]
    assert lab.ledger.taken == [5]


async def test_items_that_cannot_be_reused_are_refused(lab: Any) -> None:
    tell = {"id": "t", "type": "lab.tell", "params": {"secret_name": "TOKEN"}}
    masked = await lab.run([each(tell)], input=[1])
    plain = await lab.run([each(ADD), {"id": "plain", "type": "lab.big", "params": {"size": 1}}], input=[1])
    cases = ((masked, "each", "output-masked"), (plain, "plain", "not-a-map"), (plain, None, "not-a-map"))
    for execution, node, code in cases:
        with pytest.raises(Conflict) as refused:
            await lab.executions.rerun(execution.id, from_node=node, reuse="succeeded")
        assert refused.value.code == code


@pytest.mark.parametrize("engine", ["langgraph", "auto", "native"])
async def test_nodes_inside_that_ask_for_a_langgraph_task_run_in_one(lab: Any, engine: str) -> None:
    pytest.importorskip("langgraph")

    class Where(Node[NoParams, str | None]):
        """Says in which LangGraph task it runs."""

        type_id = "lab.where"
        in_langgraph_task = True

        async def run(self, ctx: Context, params: NoParams) -> str | None:
            config = var_child_runnable_config.get() or {}
            task: str | None = config.get("metadata", {}).get("langgraph_node")
            return task

    from langchain_core.runnables.config import var_child_runnable_config

    lab.registry.register(Where)
    group = {"id": "g", "group": {"nodes": [{"id": "w", "type": "lab.where"}]}}
    workflow = await lab.workflow([each(group, {"id": "w2", "type": "lab.where"})])
    started = await lab.executions.start(workflow, [1, 2, 3], engine=engine)
    expected = None if engine == "native" else "_step"
    execution = await lab.end(started.execution_id)
    assert execution.output["items"] == [{"g": expected, "w2": expected}] * 3
