"""Store suite: events from outside, and the waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aicflow.kernel.errors import KeyUsed, NotFound, StaleClaim
from aicflow.kernel.ports.executions import Idempotency, Projection, Subscription
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import loads
from aicflow.testing.store_samples import LEASE, NOW, batch, claimed_ids, end, start


def _event(id: str, key: str | None = "42", *, name: str = "order.paid", at: float = NOW, ttl: float = 60) -> SentEvent:
    return SentEvent(id, name, key, {"of": id}, at, at + ttl)


async def _wait(store: Store, id: str, *waits: tuple[str, str | None], at: float = NOW) -> Any:
    """Park an execution whose steps wait for events with these keys."""
    subscriptions = [Subscription(node, 1, "order.paid", key, at=at) for node, key in waits]
    types = ["step.waiting"] * len(waits)
    return await store.executions.append(id, 1, batch(2, *types), Projection("waiting"), subscriptions=subscriptions)


class SentCases:
    """An event and a wait find each other, whichever comes first."""

    async def test_an_event_answers_the_wait_for_it(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        assert (await _wait(store, "ex_1", ("a", "42"))).answers == ()
        for other in (_event("ev_1", "43"), _event("ev_2", None), _event("ev_3", name="order.sent")):
            assert list((await store.sent.send(other))[1]) == []
        assert await claimed_ids(store.executions) == []
        kept, answers = await store.sent.send(_event("ev_4"))
        assert kept.received == 1
        [(execution_id, answer)] = answers
        assert (execution_id, answer.node_id, answer.kind, answer.call) == ("ex_1", "a", "answered", 1)
        told = loads(answer.value)
        assert sorted(told) == ["data", "id", "key", "name", "received_at"]
        assert (told["id"], told["data"]) == ("ev_4", {"of": "ev_4"})
        [claimed] = await store.executions.claim("w1", 9, lease=LEASE, at=NOW)
        assert claimed.answers == [answer]

    async def test_an_earlier_event_answers_while_it_is_kept_for_that(self, store: Store) -> None:
        for event in (_event("ev_1", ttl=5), _event("ev_2", ttl=50), _event("ev_3", ttl=50)):
            await store.sent.send(event)
        await start(store.executions, "ex_1")
        [answer] = (await _wait(store, "ex_1", ("a", "42"), at=NOW + 10)).answers
        assert loads(answer.value)["id"] == "ev_2"
        assert await claimed_ids(store.executions) == ["ex_1"]
        await start(store.executions, "ex_2")
        assert (await _wait(store, "ex_2", ("a", "42"), at=NOW + 50)).answers == ()

    async def test_each_execution_receives_an_event_once(self, store: Store) -> None:
        for id in ("ex_1", "ex_2"):
            await start(store.executions, id)
            await _wait(store, id, ("a", "42"), ("b", None), ("c", "42"))
        for event_id, step in (("ev_1", "a"), ("ev_2", "b"), ("ev_3", "c")):
            kept, answers = await store.sent.send(_event(event_id))
            assert kept.received == 2
            assert sorted((id, answer.node_id) for id, answer in answers) == [("ex_1", step), ("ex_2", step)]
        assert list((await store.sent.send(_event("ev_4")))[1]) == []

    async def test_waits_of_one_append_receive_different_events(self, store: Store) -> None:
        for event_id in ("ev_1", "ev_2"):
            await store.sent.send(_event(event_id))
        await start(store.executions, "ex_1")
        appended = await _wait(store, "ex_1", ("a", "42"), ("b", "42"), ("c", "42"))
        received = {answer.node_id: loads(answer.value)["id"] for answer in appended.answers}
        assert received == {"a": "ev_1", "b": "ev_2"}

    async def test_a_wait_that_is_over_gives_back_what_it_did_not_take(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        wait = Subscription("a", 1, "order.paid", "42", at=NOW)
        await store.executions.append("ex_1", 1, batch(2, "step.waiting"), subscriptions=[wait])
        assert (await store.sent.send(_event("ev_1")))[0].received == 1
        await store.executions.append("ex_1", 1, batch(3, "step.started"), subscriptions=[Subscription("a", 1)])
        assert (await store.sent.get("ev_1")).received == 0
        again = Subscription("a", 2, "order.paid", "42", at=NOW)
        appended = await store.executions.append("ex_1", 1, batch(4, "step.waiting"), subscriptions=[again])
        [answer] = appended.answers
        assert (answer.call, loads(answer.value)["id"]) == (2, "ev_1")

    async def test_a_stale_append_begins_no_wait(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        wait = Subscription("a", 1, "order.paid", "42", at=NOW)
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 2, batch(2, "step.waiting"), subscriptions=[wait])
        assert list((await store.sent.send(_event("ev_1")))[1]) == []

    async def test_a_repeated_append_tells_its_answers_again(self, store: Store) -> None:
        await store.sent.send(_event("ev_1"))
        await start(store.executions, "ex_1")
        wait = Subscription("a", 1, "order.paid", "42", at=NOW)
        for _ in range(2):
            appended = await store.executions.append("ex_1", 1, batch(2, "step.waiting"), subscriptions=[wait])
            assert [loads(answer.value)["id"] for answer in appended.answers] == ["ev_1"]
        assert (await store.sent.get("ev_1")).received == 1

    async def test_an_ended_execution_waits_no_more(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        wait = Subscription("a", 1, "order.paid", "42", at=NOW)
        await store.executions.append("ex_1", 1, batch(2, "step.waiting"), subscriptions=[wait])
        await end(store.executions, "ex_1", seq=3)
        assert list((await store.sent.send(_event("ev_1")))[1]) == []

    async def test_an_event_id_is_sent_once(self, store: Store) -> None:
        key = Idempotency("event", "k", "print")
        first, _ = await store.sent.send(_event("ev_1"), idempotency=key)
        await start(store.executions, "ex_1")
        await _wait(store, "ex_1", ("a", "7"))
        again, answers = await store.sent.send(_event("ev_1", "7"))
        assert (again, list(answers)) == (first, [])
        with pytest.raises(KeyUsed) as used:
            await store.sent.send(_event("ev_2", "7"), idempotency=key)
        assert used.value.result == "ev_1"
        with pytest.raises(NotFound):
            await store.sent.get("ev_2")

    async def test_lists_of_events(self, store: Store) -> None:
        for i in range(5):
            await store.sent.send(_event(f"ev_{i}", str(i % 2), name=f"n{i // 4}", at=NOW + i))
        page = await store.sent.list(limit=2)
        rest = await store.sent.list(limit=9, cursor=page.next_cursor)
        assert [event.id for event in [*page.items, *rest.items]] == [f"ev_{i}" for i in (4, 3, 2, 1, 0)]
        assert rest.next_cursor is None
        assert [event.id for event in (await store.sent.list(limit=9, name="n0", key="0")).items] == ["ev_2", "ev_0"]
        with pytest.raises(ValueError, match="cursor"):
            await store.sent.list(limit=9, cursor="nonsense")

    async def test_old_events_are_forgotten_once_they_are_done(self, store: Store) -> None:
        for event in (_event("ev_old"), _event("ev_kept", ttl=600), _event("ev_open"), _event("ev_new", at=NOW + 90)):
            await store.sent.send(event)
        await store.sent.done(["ev_old", "ev_kept", "ev_new"])
        assert [event.id for event in await store.sent.pending(limit=9)] == ["ev_open"]
        assert await store.sent.forget(received_before=NOW + 80, now=NOW + 100) == 1
        assert await store.sent.forget(received_before=NOW + 80, now=NOW + 100) == 0
        assert {event.id for event in (await store.sent.list(limit=9)).items} == {"ev_kept", "ev_open", "ev_new"}

    async def test_an_event_and_the_wait_for_it_at_the_same_moment_meet_once(self, store: Store) -> None:
        """Whichever of the two is written first, the other one finds it."""
        ids = [f"ex_{n}" for n in range(20)]
        for id in ids:
            await start(store.executions, id)
        told: list[tuple[str, str]] = []

        async def send(n: int) -> None:
            for execution_id, answer in (await store.sent.send(_event(f"ev_{n}", str(n))))[1]:
                told.append((execution_id, loads(answer.value)["id"]))

        async def wait(n: int) -> None:
            found = (await _wait(store, f"ex_{n}", ("a", str(n)))).answers
            told.extend((f"ex_{n}", loads(answer.value)["id"]) for answer in found)

        calls = [call(n) for n in range(20) for call in ((send, wait) if n % 2 else (wait, send))]
        await asyncio.gather(*calls)
        assert sorted(told) == sorted((f"ex_{n}", f"ev_{n}") for n in range(20))
        claimed = await store.executions.claim("w1", 99, lease=LEASE, at=NOW)
        assert sorted(one.execution.id for one in claimed) == sorted(ids)
        assert all(len(one.answers) == 1 for one in claimed)

    async def test_one_event_sent_by_many_at_once_is_one(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await _wait(store, "ex_1", ("a", "42"), ("b", "42"))
        sent = await asyncio.gather(*(store.sent.send(_event("ev_1")) for _ in range(8)))
        assert sum(len(answers) for _, answers in sent) == 1
        assert {event.id for event, _ in sent} == {"ev_1"}
        assert len((await store.sent.list(limit=10)).items) == 1
