"""Store suite: claiming, leases, cancel requests, answers and wake-ups."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aicflow.kernel.errors import Conflict, NotFound, StaleClaim
from aicflow.kernel.ports.executions import Fire, Idempotency, SlotLimit, StoredAnswer
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import LEASE, NOW, batch, claim, claimed_ids, create, end, numbers, park, start

YES = StoredAnswer("ask", "answered", b'{"ok":true}')


class QueueCases:
    """Who may work on what, and when."""

    async def test_highest_priority_first_then_oldest(self, store: Store) -> None:
        for id, priority in (("ex_1", 0), ("ex_2", 5), ("ex_3", 0), ("ex_4", 5), ("ex_5", -1)):
            await create(store.executions, id, priority=priority)
        assert await claimed_ids(store.executions, limit=3) == ["ex_2", "ex_4", "ex_1"]
        assert await claimed_ids(store.executions) == ["ex_3", "ex_5"]
        assert await claimed_ids(store.executions) == []

    async def test_a_claim_is_running_and_numbered(self, store: Store) -> None:
        await create(store.executions, "ex_1", input={"a": 1}, trigger={"kind": "trigger", "payload": 5})
        [claimed] = await claim(store.executions)
        execution = claimed.execution
        assert (execution.id, execution.status, execution.epoch, execution.last_seq) == ("ex_1", "running", 1, 1)
        assert (execution.input, execution.trigger.payload) == ({"a": 1}, 5)
        assert (claimed.events, claimed.outputs, claimed.answers) == ([], {}, [])
        stored = await store.executions.get("ex_1")
        assert (stored.status, stored.epoch) == ("running", 1)

    async def test_two_workers_never_get_the_same(self, store: Store) -> None:
        await asyncio.gather(*(create(store.executions, f"ex_{i:02}") for i in range(40)))
        shares = await asyncio.gather(*(claimed_ids(store.executions, worker=f"w{i}", limit=7) for i in range(8)))
        everything = [id for share in shares for id in share]
        assert sorted(everything) == [f"ex_{i:02}" for i in range(40)]

    async def test_an_expired_lease_is_taken_over_with_the_history(self, store: Store) -> None:
        await start(store.executions, "ex_1", worker="dead")
        await store.executions.append("ex_1", 1, batch(2, "execution.started", "step.started"))
        assert await store.executions.next_due(at=NOW) == LEASE
        assert await claim(store.executions, worker="w2", now=NOW + LEASE - 1) == []
        [claimed] = await claim(store.executions, worker="w2", now=NOW + LEASE)
        assert claimed.execution.epoch == 2
        assert numbers(claimed.events) == [1, 2, 3]

    async def test_the_backlog_is_what_could_be_claimed(self, store: Store) -> None:
        assert not any(queued or running for queued, _, running in (await store.executions.backlog(at=NOW)).values())
        for i in range(3):
            await create(store.executions, f"ex_{i}")
        await start(store.executions, "ex_held")
        count, seconds, running = (await store.executions.backlog(at=NOW + 7))[0]
        assert (count, round(seconds), running) == (3, 7, 1)
        await claim(store.executions, limit=3)
        assert (await store.executions.backlog(at=NOW + 1))[0] == (0, 0, 4)

    async def test_a_renewed_lease_holds(self, store: Store) -> None:
        for id in ("ex_1", "ex_2", "ex_3"):
            await start(store.executions, id)
        await store.executions.request_cancel("ex_2")
        asked = await store.executions.renew("w1", ["ex_1", "ex_2", "ex_none"], lease=100, at=NOW)
        assert asked == {"ex_2"}
        assert await store.executions.renew("w2", ["ex_1", "ex_2"], lease=0, at=NOW) == frozenset()
        assert await claimed_ids(store.executions, worker="w2", now=NOW + 99) == ["ex_3"]
        assert len(await claimed_ids(store.executions, worker="w2", now=NOW + 100)) == 2

    async def test_handed_back_work_goes_on_elsewhere(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await executions.append("ex_1", 1, batch(2, "step.succeeded"))
        await executions.hand_back("w1", "ex_1", 1)
        assert (await executions.get("ex_1")).status == "queued"
        await executions.hand_back("w1", "ex_1", 1)
        await executions.hand_back("w1", "ex_none", 1)
        [claimed] = await claim(executions, worker="w2")
        assert (claimed.execution.epoch, numbers(claimed.events)) == (2, [1, 2])
        await executions.hand_back("w1", "ex_1", 1)
        assert (await executions.get("ex_1")).status == "running"
        await end(executions, "ex_1", epoch=2, seq=3)
        await executions.hand_back("w2", "ex_1", 2)
        assert (await executions.get("ex_1")).status == "succeeded"

    async def test_what_was_begun_comes_before_what_is_new(self, store: Store) -> None:
        await create(store.executions, "ex_new", priority=9)
        await start(store.executions, "ex_begun")
        await store.executions.hand_back("w1", "ex_begun", 1)
        assert await claimed_ids(store.executions) == ["ex_begun", "ex_new"]

    async def test_leases_of_the_dead_are_reclaimed_at_once(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1", worker="dead")
        await start(executions, "ex_2", worker="dead too")
        await start(executions, "ex_3", worker="w1")
        await start(executions, "ex_4", worker="dead")
        await end(executions, "ex_4")
        assert await executions.reclaim("w1") == 2
        assert await executions.reclaim("w1") == 0
        assert sorted(await claimed_ids(executions)) == ["ex_1", "ex_2"]

    async def test_a_waiting_execution_wakes_in_time(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1", wake_at=NOW + 500)
        execution = await executions.get("ex_1")
        assert (execution.status, execution.wake_at) == ("waiting", NOW + 500)
        assert await executions.next_due(at=NOW) == 500
        assert await claim(executions, now=NOW + 499.9) == []
        [claimed] = await claim(executions, now=NOW + 500)
        assert (claimed.execution.epoch, claimed.execution.last_seq) == (2, 2)
        assert (await executions.get("ex_1")).wake_at is None

    async def test_one_that_waits_for_an_answer_does_not_wake_by_itself(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await park(store.executions, "ex_1")
        assert await store.executions.next_due() is None
        assert await claim(store.executions, now=NOW + 1e9) == []

    async def test_an_answer_wakes_it(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1", wake_at=NOW + 500)
        await executions.answer("ex_1", YES)
        with pytest.raises(Conflict, match="ask"):
            await executions.answer("ex_1", StoredAnswer("ask", "skip", b"null"))
        [claimed] = await claim(executions)
        assert claimed.answers == [YES]
        await park(executions, "ex_1", epoch=2, seq=3, consumed=[("ask", 0)])
        assert await claim(executions) == []
        await executions.answer("ex_1", StoredAnswer("ask", "retry", b"null"))
        [again] = await claim(executions)
        assert again.answers == [StoredAnswer("ask", "retry", b"null")]

    async def test_an_answer_is_kept_until_its_step_has_run(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1")
        await executions.answer("ex_1", YES)
        await claim(executions, worker="dead")
        [claimed] = await claim(executions, now=NOW + LEASE)
        assert claimed.answers == [YES]

    async def test_of_answers_at_the_same_moment_one_counts(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1")
        answers = [StoredAnswer("ask", "answered", str(n).encode(), 1) for n in range(8)]
        told = await asyncio.gather(*(executions.answer("ex_1", one) for one in answers), return_exceptions=True)
        (kept,) = [answer for answer, error in zip(answers, told, strict=True) if error is None]
        assert all(isinstance(error, Conflict) and error.code == "answered" for error in told if error is not None)
        [claimed] = await claim(executions)
        assert claimed.answers == [kept]

    async def test_an_answer_to_a_wait_that_is_over_is_refused(self, store: Store) -> None:
        """Of two who answer at once, the second may come when the first one's answer was used already."""
        executions = store.executions
        await start(executions, "ex_1")
        await executions.append("ex_1", 1, batch(2, "step.started", "step.waiting", node="ask"))
        await executions.append("ex_1", 1, batch(4, "step.log", node="other"))
        with pytest.raises(Conflict) as raised:
            await executions.answer("ex_1", YES, seen=2)
        assert raised.value.code == "step-moved"
        await executions.answer("ex_1", YES, seen=3)
        await executions.append("ex_1", 1, batch(5, "step.succeeded", node="ask"), consumed=[("ask", 0)])
        for seen in (3, 4):
            with pytest.raises(Conflict, match="ask"):
                await executions.answer("ex_1", YES, seen=seen)
        await executions.answer("ex_1", StoredAnswer("third", "skip", b"null"), seen=3)

    async def test_an_answer_before_any_event(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await executions.answer("ex_1", YES)
        await executions.hand_back("w1", "ex_1", 1)
        [claimed] = await claim(executions)
        assert (claimed.events, claimed.answers) == ([], [YES])

    async def test_outputs_before_any_event(self, store: Store) -> None:
        await create(store.executions, "ex_1", outputs={"a": b"[1]"})
        [claimed] = await claim(store.executions)
        assert (claimed.events, claimed.outputs) == ([], {"a": b"[1]"})

    async def test_an_answer_that_comes_while_others_are_worked_on(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1")
        await executions.answer("ex_1", YES)
        await claim(executions)
        other = StoredAnswer("other", "fail", b'"no"')
        await executions.answer("ex_1", other)
        assert await claim(executions) == []
        await park(executions, "ex_1", epoch=2, seq=3, consumed=[("ask", 0)])
        [claimed] = await claim(executions)
        assert claimed.answers == [other]

    async def test_the_end_of_a_child_answers_its_parent(self, store: Store) -> None:
        executions = store.executions
        for id in ("ex_waiting", "ex_running", "ex_ended"):
            await start(executions, id)
            await start(executions, f"{id}_child", parent_execution_id=id, parent_node_id="call")
        await start(executions, "ex_detached", parent_execution_id="ex_waiting")
        await park(executions, "ex_waiting")
        await end(executions, "ex_ended")
        for id in ("ex_detached", "ex_waiting_child", "ex_running_child", "ex_ended_child"):
            await end(executions, id)
        [claimed] = await claim(executions)
        assert claimed.execution.id == "ex_waiting"
        assert claimed.answers == [StoredAnswer("call", "answered", b'{"child":"ex_waiting_child"}')]
        await park(executions, "ex_running")
        [claimed] = await claim(executions)
        assert claimed.answers == [StoredAnswer("call", "answered", b'{"child":"ex_running_child"}')]

    async def test_each_wait_of_a_step_has_an_answer_of_its_own(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        for call in (1, 2):
            await start(
                executions, f"ex_{call}_child", parent_execution_id="ex_1", parent_node_id="c", parent_call=call
            )
        await end(executions, "ex_1_child")
        await park(executions, "ex_1")
        [claimed] = await claim(executions)
        assert claimed.answers == [StoredAnswer("c", "answered", b'{"child":"ex_1_child"}', 1)]
        await end(executions, "ex_2_child")
        await park(executions, "ex_1", epoch=2, seq=3, consumed=[("c", 1)])
        [claimed] = await claim(executions)
        assert claimed.answers == [StoredAnswer("c", "answered", b'{"child":"ex_2_child"}', 2)]
        await executions.answer("ex_1", StoredAnswer("c", "skip", b"null", 3))
        with pytest.raises(Conflict, match="has an answer"):
            await executions.answer("ex_1", StoredAnswer("c", "fail", b"null", 3))

    async def test_a_child_that_comes_to_no_end_answers_nothing(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await start(executions, "ex_2", parent_execution_id="ex_1", parent_node_id="call")
        await park(executions, "ex_1")
        await park(executions, "ex_2")
        with pytest.raises(StaleClaim):
            await end(executions, "ex_2", seq=3)
        assert await claim(executions) == []

    async def test_so_many_of_one_starter_are_queued(self, store: Store) -> None:
        mine: Any = {"trigger": {"kind": "api", "started_by": "key:ak_1"}, "max_queued": 5}
        made = await asyncio.gather(*(create(store.executions, f"ex_{i:02}", **mine) for i in range(20)))
        queued = [one.execution_id for one in made if one.execution_id is not None]
        assert (len(queued), sum(one.queue_full for one in made)) == (5, 15)
        assert (await store.executions.get(queued[0])).trigger.started_by == "key:ak_1"
        first = next(i for i, one in enumerate(made) if one.execution_id is not None)
        assert (await create(store.executions, f"ex_{first:02}", **mine)).execution_id == queued[0], (
            "it is there already"
        )
        refused = next(f"ex_{i:02}" for i, one in enumerate(made) if one.queue_full)
        with pytest.raises(NotFound):
            await store.executions.get(refused)
        assert (await start(store.executions, "ex_now", **mine)).epoch == 1, "it is not queued"
        other = {**mine, "trigger": {"kind": "api", "started_by": "key:ak_2"}}
        assert not (await create(store.executions, "ex_other", **other)).queue_full
        assert not (await create(store.executions, "ex_more", **{**mine, "max_queued": 6})).queue_full
        assert await claimed_ids(store.executions, limit=2) == sorted(queued)[:2]
        assert not (await create(store.executions, refused, **mine)).queue_full
        assert (await create(store.executions, "ex_none", **mine)).queue_full
        await store.executions.hand_back("w1", sorted(queued)[0], 1)
        assert len(await claimed_ids(store.executions)) == 7
        assert not (await create(store.executions, "ex_none", **mine)).queue_full

    async def test_a_full_queue_takes_neither_keys_nor_slots(self, store: Store) -> None:
        mine: Any = {"trigger": {"kind": "api", "started_by": "token:h:1"}, "max_queued": 1}
        await start(store.executions, "ex_1", limits=(SlotLimit("one", 1),), **mine)
        once: Any = {"fire": Fire("wf_a:in", "k", "dl_1"), "idempotency": Idempotency("executions", "k", "print")}
        assert not (await start(store.executions, "ex_2", limits=(SlotLimit("one", 1),), **mine)).admitted
        refused = await start(store.executions, "ex_3", limits=(SlotLimit("one", 1, "cancel_oldest"),), **once, **mine)
        assert (refused.execution_id, refused.queue_full, refused.cancelled) == (None, True, ())
        assert await store.idempotency.find("executions", "k") is None
        await create(store.executions, "ex_4", **once)
        assert (await end(store.executions, "ex_1")).admitted == ("ex_2",)
        assert await store.executions.slot_holders("one") == ["ex_2"]

    async def test_a_full_worker_takes_only_what_is_cancelled(self, store: Store) -> None:
        executions = store.executions
        for id in ("ex_1", "ex_2", "ex_3"):
            await create(executions, id)
        for id in ("ex_held", "ex_waiting", "ex_answered"):
            await start(executions, id)
        await park(executions, "ex_waiting")
        await park(executions, "ex_answered")
        await executions.answer("ex_answered", YES)
        for id in ("ex_2", "ex_held", "ex_waiting"):
            await executions.request_cancel(id)
        taken = await executions.claim("w2", 5, lease=LEASE, at=NOW + 1, cancelled_only=True)
        assert {one.execution.id for one in taken} == {"ex_2", "ex_waiting"}
        assert all(one.execution.cancel_requested for one in taken)
        assert await executions.claim("w2", 5, lease=LEASE, at=NOW + 1, cancelled_only=True) == []

    async def test_a_handed_back_execution_can_be_answered(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1", wake_at=NOW)
        await claim(executions)
        await executions.hand_back("w1", "ex_1", 2)
        await executions.answer("ex_1", YES)
        [claimed] = await claim(executions)
        assert claimed.answers == [YES]

    async def test_only_what_waits_can_be_answered(self, store: Store) -> None:
        executions = store.executions
        await create(executions, "ex_1")
        with pytest.raises(Conflict, match="queued"):
            await executions.answer("ex_1", YES)
        await claim(executions)
        await executions.answer("ex_1", YES)
        await end(executions, "ex_1")
        with pytest.raises(Conflict, match="succeeded"):
            await executions.answer("ex_1", StoredAnswer("b", "answered", b"1"))
        with pytest.raises(NotFound, match="ex_none"):
            await executions.answer("ex_none", YES)

    async def test_a_stale_append_consumes_no_answer(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await park(executions, "ex_1")
        await executions.answer("ex_1", YES)
        await claim(executions, worker="slow")
        await claim(executions, worker="quick", now=NOW + LEASE)
        with pytest.raises(Exception, match="no longer"):
            await park(executions, "ex_1", epoch=2, seq=3, consumed=[("ask", 0)])
        [claimed] = await claim(executions, now=NOW + LEASE * 2)
        assert claimed.answers == [YES]

    async def test_cancel_of_what_is_queued_or_waits_is_worked_on_at_once(self, store: Store) -> None:
        executions = store.executions
        await create(executions, "ex_1", available_at=NOW + 500)
        await start(executions, "ex_2")
        await park(executions, "ex_2")
        for id, status in (("ex_1", "queued"), ("ex_2", "waiting")):
            row = await executions.request_cancel(id)
            assert (row.status, row.cancel_requested) == (status, True)
        claimed = await claim(executions)
        assert sorted(one.execution.id for one in claimed) == ["ex_1", "ex_2"]
        assert all(one.execution.cancel_requested for one in claimed)

    async def test_cancel_of_what_runs_is_told_to_its_worker(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        assert not (await executions.append("ex_1", 1, batch(2, "step.log"))).cancel_requested
        assert (await executions.request_cancel("ex_1")).status == "running"
        assert (await executions.request_cancel("ex_1")).cancel_requested
        assert await claim(executions, worker="w2") == []
        assert (await executions.append("ex_1", 1, batch(3, "step.log"))).cancel_requested
        assert (await end(executions, "ex_1", seq=4, status="cancelled")).cancel_requested
        assert (await executions.get("ex_1")).status == "cancelled"

    async def test_one_that_begins_to_wait_after_a_cancel_is_claimable_at_once(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await store.executions.request_cancel("ex_1")
        await park(store.executions, "ex_1", wake_at=NOW + 500)
        assert await claimed_ids(store.executions) == ["ex_1"]

    async def test_cancel_after_the_end_changes_nothing(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await end(store.executions, "ex_1")
        row = await store.executions.request_cancel("ex_1")
        assert (row.status, row.cancel_requested) == ("succeeded", False)
        assert await claim(store.executions, now=NOW + 1e9) == []
