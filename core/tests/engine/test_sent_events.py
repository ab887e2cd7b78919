"""Waiting for events from outside: whichever comes first, each wait has the one that is for it."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from aicflow.kernel.errors import Conflict
from aicflow.kernel.ports.sent import SentEvent

PAID = {"id": "paid", "type": "wait", "params": {"event": {"name": "order.paid", "key": "${{ input.order }}"}}}
_ids = itertools.count(1)


def limited(seconds: float, **more: Any) -> dict[str, Any]:
    return {"id": "paid", "type": "wait", "params": {"event": {"name": "order.paid", **more}, "seconds": seconds}}


async def send(lab: Any, key: str | None = None, data: Any = None, *, name: str = "order.paid", **more: Any) -> Any:
    now = lab.executions.clock.now()
    id = more.pop("id", None) or f"ev_{next(_ids)}"
    return await lab.executions.send_event(SentEvent(id, name, key, data, now, now + more.pop("ttl", 3_600.0)))


async def waiting(lab: Any, order: Any = 42, **more: Any) -> str:
    execution_id: str = await lab.start([PAID], input={"order": order}, output="${{ nodes.paid.output }}", **more)
    await lab.until(execution_id, "waiting")
    return execution_id


async def test_an_event_wakes_the_wait_for_its_name_and_key(lab: Any) -> None:
    execution_id = await waiting(lab)
    assert "paid waits for event order.paid with key 42" in await lab.executions.why(execution_id)
    assert (await send(lab, "41")).received == 0
    assert (await send(lab, "42", name="order.sent")).received == 0
    with pytest.raises(Conflict, match="does not wait for an answer"):
        await lab.executions.resume(execution_id, value=1)
    assert (await send(lab, "42", {"total": 7}, id="ev_paid")).received == 1
    output = (await lab.end(execution_id)).output
    assert output["answered"] is True
    assert output["answer"] | {"received_at": ""} == {
        "id": "ev_paid", "name": "order.paid", "key": "42", "data": {"total": 7}, "received_at": "",
    }  # fmt: skip


async def test_an_event_that_came_before_its_wait_is_found(lab: Any) -> None:
    await send(lab, "42", "early")
    execution = await lab.run([PAID], input={"order": 42}, output="${{ nodes.paid.output.answer?.data }}")
    assert execution.output == "early"


async def test_an_early_event_ends_a_short_wait_beside_a_branch_that_runs(lab: Any) -> None:
    await send(lab, "42", "early")
    nodes = [limited(15, key="42"), {"id": "h", "type": "lab.hold"}]
    execution_id = await lab.start(nodes, output="${{ nodes.paid.output.answer?.data }}")
    await lab.ledger.entered["hold"].wait()

    async def succeeded() -> bool:
        return "step.succeeded paid" in await lab.types(execution_id)

    await lab.eventually(succeeded)
    lab.ledger.gates["hold"].set()
    assert (await lab.end(execution_id)).output == "early"


async def test_an_expired_event_is_not_found(lab: Any) -> None:
    await send(lab, "42", ttl=-1)
    execution = await lab.run([limited(0.01, key="42")], output="${{ nodes.paid.output.answered }}")
    assert execution.output is False


async def test_a_wait_has_a_time_limit(lab: Any) -> None:
    nodes = [limited(0.2, key="42"), {"id": "late", "type": "lab.effect", "params": {"name": "late"}}]
    execution_id = await lab.start(nodes, ["paid timeout> late"])
    assert (await lab.end(execution_id)).status == "succeeded"
    assert lab.ledger.effects == ["late"]
    assert (await send(lab, "42")).received == 0


async def test_an_event_after_a_restart(lab: Any) -> None:
    execution_id = await waiting(lab)
    await lab.crash()
    assert (await send(lab, "42", "again")).received == 1
    assert (await lab.end(execution_id)).output["answer"]["data"] == "again"


async def test_a_repeat_of_an_id_wakes_nobody(lab: Any) -> None:
    first = await waiting(lab)
    await send(lab, "42", "first", id="ev_1")
    await lab.end(first)
    second = await waiting(lab, order=43)
    again = await send(lab, "43", "second", id="ev_1")
    assert (again.key, again.data, again.received) == ("42", "first", 1)
    assert (await lab.store.executions.get(second)).status == "waiting"


async def test_every_execution_that_waits_gets_the_event(lab: Any) -> None:
    ids = [await waiting(lab) for _ in range(3)]
    assert (await send(lab, "42", "all")).received == 3
    assert {(await lab.end(id)).output["answer"]["data"] for id in ids} == {"all"}


async def test_an_execution_gets_each_event_once_in_the_order_they_came(lab: Any) -> None:
    """Fan-in: three events of one key are for three waits, one after the other."""
    body = {
        "nodes": [{"id": "next", "type": "wait", "params": {"event": {"name": "order.paid", "key": "42"}}}],
        "output": "${{ carry + [nodes.next.output.answer?.data] }}",
    }
    repeat = {"id": "all", "repeat": {**body, "carry": [], "max": 3, "while": "${{ true }}"}}
    await send(lab, "42", 1)
    execution_id = await lab.start([repeat], output="${{ nodes.all.output.carry }}")
    await lab.until(execution_id, "waiting")
    await send(lab, "42", 2)
    await send(lab, "42", 3)
    assert (await lab.end(execution_id)).output == [1, 2, 3]


async def test_items_of_a_map_wait_for_events_of_their_own(lab: Any) -> None:
    ok = {"id": "ok", "type": "wait", "params": {"event": {"name": "order.paid", "key": "${{ order }}"}}}
    each = {"over": "${{ input }}", "as": "order", "nodes": [ok], "output": "${{ nodes.ok.output.answer?.data }}"}
    execution_id = await lab.start(
        [{"id": "each", "map": each}], input=[1, 2, 3], output="${{ nodes.each.output.items }}"
    )
    await lab.until(execution_id, "waiting")
    await lab.crash()
    for key in (3, 1, 2):
        await send(lab, str(key), key * 10)
    assert (await lab.end(execution_id)).output == [10, 20, 30]


async def test_what_comes_as_the_time_is_over_is_left_for_the_next_wait(lab: Any) -> None:
    """However the limit and the event race, the event is received by one of the two waits."""
    first = {"id": "first", "type": "wait", "params": {"event": {"name": "order.paid"}, "seconds": 0.03}}
    second = {"id": "second", "type": "wait", "params": {"event": {"name": "order.paid"}}}
    output = {
        "first": "${{ nodes.first?.output.answered ?? false }}",
        "second": "${{ nodes.second?.output.answered ?? false }}",
    }
    rng = random.Random(7)
    for _ in range(20):
        execution_id = await lab.start([first, second], ["first timeout> second"], output=output)
        await asyncio.sleep(rng.uniform(0.02, 0.04))
        await send(lab, "1", ttl=3_600)
        ended = await lab.end(execution_id)
        assert sorted(ended.output.values()) == [False, True], ended.output
        await lab.store.sent.done([event.id for event in await lab.store.sent.pending(limit=100)])
        later = lab.executions.clock.now() + 7_200
        assert await lab.store.sent.forget(received_before=later, now=later) == 1


async def test_a_person_skips_a_wait_for_an_event(lab: Any) -> None:
    execution_id = await waiting(lab)
    await lab.executions.resume(execution_id, action="skip")
    await lab.end(execution_id)
    assert (await send(lab, "42")).received == 0


async def test_events_and_waits_in_any_order(lab: Any) -> None:
    """Each of many waits receives its own event, and no event is received twice."""
    count, rng = 300, random.Random(12)
    workflow = await lab.workflow([PAID], output="${{ nodes.paid.output.answer?.data }}")
    acts = [("send", i) for i in range(count)] + [("start", i) for i in range(count)]
    rng.shuffle(acts)
    started: dict[int, str] = {}

    async def act(what: str, i: int) -> None:
        if what == "send":
            await send(lab, str(i), i)
        else:
            started[i] = (await lab.executions.start(workflow, {"order": i})).execution_id

    for at in range(0, len(acts), 20):
        await asyncio.gather(*(act(*one) for one in acts[at : at + 20]))
    assert [(await lab.end(started[i], 60)).output for i in range(count)] == list(range(count))
    page = await lab.store.sent.list(limit=200)
    events = [*page.items, *(await lab.store.sent.list(limit=200, cursor=page.next_cursor)).items]
    assert [event.received for event in events] == [1] * count


@pytest.mark.parametrize(
    "event", [{"name": "no spaces"}, {"name": "a", "key": None}, {"name": "a", "key": True}, {"name": "a", "key": ""}]
)
async def test_what_cannot_be_waited_for(lab: Any, event: dict[str, Any]) -> None:
    ended = await lab.run([{"id": "w", "type": "wait", "params": {"event": event}}])
    assert ended.error.code == "params-invalid"
    assert "/event" in ended.error.pointer
