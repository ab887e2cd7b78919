"""Groups, repeats and maps inside of a map's items hold no place of it while all that is left of them waits."""

from __future__ import annotations

from typing import Any

import pytest

BEFORE = {"id": "before", "type": "lab.effect", "params": {"name": "${{ 'before' + str(item) }}"}}
ASK = {"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}
AFTER = {"id": "after", "type": "lab.effect", "params": {"name": "${{ 'after' + str(nodes.ask.output.answer) }}"}}
CHAIN = {
    "nodes": [BEFORE, ASK, AFTER],
    "edges": [{"from": "before", "to": "ask"}, {"from": "ask", "to": "after"}],
    "output": "${{ nodes.ask.output.answer }}",
}
IN_GROUP = {"id": "in", "group": CHAIN}
IN_REPEAT = {
    "id": "in",
    "repeat": {**CHAIN, "while": "${{ carry < 0 }}", "max": 3, "carry": 0},
}
IN_MAP = {"id": "in", "map": {**CHAIN, "over": "${{ [item] }}", "concurrency": 1}}
IN_GROUPS = {"id": "out", "group": {"nodes": [IN_GROUP], "output": "${{ nodes.in.output }}"}}
PLACES = {
    "group": (IN_GROUP, "each[{}].in.ask", lambda i: i),
    "repeat": (IN_REPEAT, "each[{}].in[0].ask", lambda i: {"carry": i, "passes": 1, "done": True}),
    "map": (IN_MAP, "each[{}].in[0].ask", lambda i: {"items": [i], "failed": [], "count": 1, "succeeded": 1}),
    "groups": (IN_GROUPS, "each[{}].out.in.ask", lambda i: i),
}


def each(inner: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"over": "${{ input }}", "nodes": [inner], "concurrency": 2, **more}
    return {"id": "each", "map": body}


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("kind", PLACES)
async def test_ten_that_wait_do_not_hold_up_a_map_of_two_at_once(lab: Any, kind: str, crash: bool) -> None:
    inner, name, result = PLACES[kind]
    execution_id = await lab.start([each(inner)], input=list(range(10)))
    await lab.until(execution_id, "waiting")
    waiting = await lab.executions._waiting(execution_id)
    assert sorted(waiting) == sorted(name.format(i) for i in range(10))
    assert sorted(lab.ledger.effects) == sorted(f"before{i}" for i in range(10))
    for i in (7, 3, 9, 0, 1, 2, 4, 5, 6, 8):
        if crash and i in (3, 5):
            await lab.crash()
        await lab.executions.resume(execution_id, name.format(i), value=i)
        if i == 9:
            await lab.until(execution_id, "waiting")
    execution = await lab.end(execution_id)
    assert execution.output["items"] == [result(i) for i in range(10)]
    assert set(lab.ledger.effects) == {f"{what}{i}" for i in range(10) for what in ("before", "after")}
    assert len(lab.ledger.effects) <= 20 + 2 * crash  # what was under way when the host died may run again
    assert (await lab.types(execution_id)).count("step.started each[4].in") == (kind != "groups")


async def test_passes_that_wait_for_the_next_hold_no_place(lab: Any) -> None:
    body = {
        "while": "${{ carry < 2 }}",
        "max": 5,
        "delay": 0.3,
        "carry": 0,
        "nodes": [{"id": "more", "type": "lab.add", "params": {"n": "${{ carry }}"}}],
    }
    inner = {"id": "in", "repeat": body}
    hold = {"id": "hold", "type": "lab.hold", "params": {"name": "${{ 'h' + str(item) }}"}}
    edges = [{"from": "in", "to": "hold"}]
    execution_id = await lab.start([each(inner, nodes=[inner, hold], edges=edges)], input=list(range(10)))

    async def all_wait() -> bool:
        return len(await lab.executions._waiting(execution_id)) == 10

    await lab.eventually(all_wait)  # each after its first pass, though only two run at once
    await lab.crash()
    for i in range(10):
        lab.ledger.gates[f"h{i}"].set()
    execution = await lab.end(execution_id)
    assert execution.output["items"] == [f"h{i}" for i in range(10)]
    types = await lab.types(execution_id)
    assert types.count("step.succeeded each[4].in[1].more") == 1
    assert "step.started each[4].in[2].more" not in types


async def test_a_resting_group_ends_with_its_time_beside_items_at_work(lab: Any) -> None:
    slow = {**IN_GROUP, "timeout": 0.4, "on_error": "continue"}
    pick = {"id": "pick", "type": "lab.pick", "params": {"port": "${{ 'left' if item > 0 else 'right' }}"}}
    hold = {"id": "hold", "type": "lab.hold"}
    edges = [{"from": "pick", "port": "left", "to": "in"}, {"from": "pick", "port": "right", "to": "hold"}]
    node = each(slow, nodes=[pick, slow, hold], edges=edges, output="${{ nodes.in?.error?.code }}", concurrency=2)
    execution_id = await lab.start([node], input=[1, 2, 0])
    await lab.ledger.entered["hold"].wait()

    async def told() -> bool:
        return len(await lab.store.executions.items(execution_id, "each")) == 2

    await lab.eventually(told)
    lab.ledger.gates["hold"].set()
    execution = await lab.end(execution_id)
    assert execution.output["items"] == ["timeout", "timeout", None]


async def test_the_timeout_of_a_repeat_ends_its_pause(lab: Any) -> None:
    body = {"while": True, "max": 5, "delay": 60, "nodes": [{"id": "n", "type": "lab.add", "params": {"n": 1}}]}
    repeat = {"id": "in", "repeat": body, "timeout": 0.3}
    for node in (repeat, each(repeat)):
        execution = await lab.run([node, {"id": "h", "type": "lab.take", "params": {"value": 1}}], input=[1])
        assert "in did not end within 0.3 s." in execution.error.message


async def test_a_cancel_ends_bodies_that_rest(lab: Any) -> None:
    execution_id = await lab.start([each(IN_GROUP), {"id": "h", "type": "lab.hold"}], input=list(range(4)))

    async def all_wait() -> bool:
        return len(await lab.executions._waiting(execution_id)) == 4

    await lab.eventually(all_wait)
    await lab.executions.cancel(execution_id)
    assert (await lab.end(execution_id)).status == "cancelled"
    types = await lab.types(execution_id)
    assert {"step.cancelled each[3].in.ask", "step.cancelled each[3].in", "step.cancelled each"} <= set(types)
    assert types.count("step.cancelled each[3].in.ask") == 1


async def test_a_group_that_is_tried_again_rests_between_its_attempts(lab: Any) -> None:
    body = {"nodes": [{"id": "f", "type": "lab.fail", "params": {"name": "${{ str(item) }}", "times": 1}}]}
    retry = {"max_attempts": 2, "initial_delay": 0.3, "jitter": False}
    inner = {"id": "in", "group": {**body, "output": "${{ nodes.f.output }}"}, "retry": retry}
    execution = await lab.run([each(inner)], input=list(range(6)))
    assert execution.output["items"] == ["attempt 1"] * 6


async def test_what_had_its_turn_when_the_host_died_does_not_wait_for_a_neighbour(lab: Any) -> None:
    """A branch beside a wait goes on after a crash, though all that was begun of its item waits."""
    fork = [
        {"id": "first", "type": "lab.hold", "params": {"name": "${{ 'first' + str(item) }}"}},
        {"id": "then", "type": "lab.effect", "params": {"name": "${{ 'then' + str(item) }}"}},
        ASK,
    ]
    node = each(ASK, nodes=fork, edges=[{"from": "first", "to": "then"}], output="${{ nodes.ask.output.answer }}")
    execution_id = await lab.start([node], input=[0, 1])
    await lab.ledger.entered["first1"].wait()
    add = lab.executions._worker.run_of(execution_id).log.add

    def dies(kind: str, step_id: str | None = None, *args: Any, **more: Any) -> None:
        if kind != "step.started" or not str(step_id).endswith("then"):
            add(kind, step_id, *args, **more)

    lab.executions._worker.run_of(execution_id).log.add = dies
    for i in (0, 1):
        lab.ledger.gates[f"first{i}"].set()

    async def settled() -> bool:
        return "step.succeeded each[1].first" in await lab.types(execution_id)

    await lab.eventually(settled)
    await lab.crash()

    async def went_on() -> bool:
        return "step.succeeded each[1].then" in await lab.types(execution_id)

    await lab.eventually(went_on)
    for i in (0, 1):
        await lab.executions.resume(execution_id, f"each[{i}].ask", value=i)
    assert (await lab.end(execution_id)).output["items"] == [0, 1]
