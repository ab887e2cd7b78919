"""Store suite: accepting executions, appending their events, reading them back."""

from __future__ import annotations

import asyncio

import pytest

from aicflow.kernel.errors import Conflict, NotFound, StaleClaim
from aicflow.kernel.execution import FailureReport
from aicflow.kernel.ports.executions import (
    EventBatch,
    ExecutionFilter,
    Fire,
    Idempotency,
    ItemResult,
    Projection,
    SlotLimit,
)
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import dumps
from aicflow.testing.store_samples import LEASE, NOW, batch, claim, create, end, new, numbers, park, start


class ExecutionCases:
    """What an execution's life leaves in the store."""

    async def test_what_was_accepted_can_be_read(self, store: Store) -> None:
        given = new(
            "ex_1",
            input={"order": 7, "note": "ünï\u2028"},
            trigger={"kind": "rerun", "key": "k", "scheduled_for": NOW, "payload": {"a": [1]}},
            engine="native",
            priority=3,
            rerun_of="ex_0",
        )
        created = await store.executions.create(given)
        assert (created.execution_id, created.epoch, created.admitted, created.duplicate) == ("ex_1", 0, True, False)
        execution = await store.executions.get("ex_1")
        assert execution.status == "queued"
        assert execution.input == {"order": 7, "note": "ünï\u2028"}
        assert (execution.trigger.kind, execution.trigger.key, execution.trigger.payload) == ("rerun", "k", {"a": [1]})
        assert (execution.engine, execution.priority, execution.rerun_of) == ("native", 3, "ex_0")
        assert (execution.created_at, execution.started_at, execution.finished_at) == (NOW, None, None)
        assert (execution.last_seq, execution.epoch, execution.version) == (1, 0, 1)
        assert await store.executions.events("ex_1") == given.events.events

    async def test_large_inputs_and_payloads_come_back_whole(self, store: Store) -> None:
        large = {"text": "x" * 100_000}
        await create(store.executions, "ex_1", input=large, trigger={"kind": "trigger", "payload": large})
        execution = await store.executions.get("ex_1")
        assert execution.input == large
        assert (execution.trigger.kind, execution.trigger.payload) == ("trigger", large)
        [claimed] = await claim(store.executions)
        assert claimed.execution.input == large
        assert claimed.execution.trigger.payload == large
        assert claimed.outputs == {}

    async def test_an_execution_is_born_claimed(self, store: Store) -> None:
        assert (await start(store.executions, "ex_1")).epoch == 1
        execution = await store.executions.get("ex_1")
        assert (execution.status, execution.epoch) == ("running", 1)
        assert await claim(store.executions, worker="w2") == []

    async def test_one_that_is_born_claimed_may_have_begun(self, store: Store) -> None:
        begun = new("ex_1", started_at=NOW + 1)
        begun.events = batch(1, "execution.queued", "execution.started", "step.started")
        for _ in range(2):
            assert (await store.executions.create(begun, worker="w1", lease=LEASE, at=NOW)).epoch == 1
        execution = await store.executions.get("ex_1")
        assert (execution.status, execution.started_at, execution.last_seq) == ("running", NOW + 1, 3)
        await store.executions.append("ex_1", 1, batch(4, "step.succeeded"))
        assert len(await store.executions.events("ex_1")) == 4

    async def test_one_that_is_to_start_later_is_not_born_claimed(self, store: Store) -> None:
        assert (await start(store.executions, "ex_1", available_at=NOW + 60)).epoch == 0
        assert (await store.executions.get("ex_1")).status == "queued"
        assert await claim(store.executions, now=NOW + 59) == []
        assert await store.executions.next_due(at=NOW) == 60
        assert len(await claim(store.executions, now=NOW + 60)) == 1

    async def test_its_whole_life(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        await executions.append(
            "ex_1", 1, batch(2, "execution.started", "step.started"), Projection("running", NOW + 1)
        )
        assert (await executions.get("ex_1")).started_at == NOW + 1
        await executions.append("ex_1", 1, batch(4, "step.log"))
        await executions.append(
            "ex_1",
            1,
            batch(5, "step.succeeded", "execution.succeeded"),
            Projection("succeeded", finished_at=NOW + 2, output=dumps({"sum": 3})),
        )
        execution = await executions.get("ex_1")
        assert (execution.status, execution.output, execution.error) == ("succeeded", {"sum": 3}, None)
        assert (execution.started_at, execution.finished_at, execution.last_seq) == (NOW + 1, NOW + 2, 6)
        assert numbers(await executions.events("ex_1")) == [1, 2, 3, 4, 5, 6]
        assert await claim(executions, now=NOW + 1_000_000) == []
        assert await executions.next_due() is None

    async def test_why_it_failed(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        report = {"code": "timeout", "message": "too slow", "node_id": "fetch", "details": {"after": 3}}
        projection = Projection("failed", NOW, NOW + 1, error=dumps({**report, "of_a_later_version": 1}))
        await store.executions.append("ex_1", 1, batch(2, "execution.failed"), projection)
        expected = FailureReport("timeout", "too slow", node_id="fetch", details={"after": 3})
        assert (await store.executions.get("ex_1")).error == expected
        [listed] = (await store.executions.list(ExecutionFilter(), limit=5)).items
        assert listed.error == expected

    async def test_a_projection_without_events(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await store.executions.append("ex_1", 1, EventBatch(2, []), Projection("waiting", NOW, wake_at=NOW + 5))
        execution = await store.executions.get("ex_1")
        assert (execution.status, execution.wake_at, execution.last_seq) == ("waiting", NOW + 5, 1)
        assert numbers(await store.executions.events("ex_1")) == [1]

    async def test_a_stale_claim_writes_nothing(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1", worker="slow")
        [taken] = await claim(executions, worker="quick", now=NOW + 31)
        assert taken.execution.epoch == 2
        with pytest.raises(StaleClaim, match="ex_1"):
            await executions.append(
                "ex_1", 1, batch(2, "step.succeeded"), outputs={"a": b'"late"'}, consumed=[("a", 0)]
            )
        assert numbers(await executions.events("ex_1")) == [1]
        assert await executions.outputs("ex_1") == {}
        await end(executions, "ex_1", epoch=2)
        assert (await executions.get("ex_1")).status == "succeeded"

    async def test_a_stale_append_without_events_keeps_no_output(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await park(store.executions, "ex_1")
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 1, EventBatch(3, []), Projection("waiting"), outputs={"a": b"1"})
        assert await store.executions.outputs("ex_1") == {}

    @pytest.mark.parametrize("first_seq", [1, 3])
    async def test_events_follow_one_another(self, store: Store, first_seq: int) -> None:
        await start(store.executions, "ex_1")
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 1, batch(first_seq, "step.log"))
        assert (await store.executions.get("ex_1")).last_seq == 1

    async def test_ends_are_announced_until_they_are_told(self, store: Store) -> None:
        executions = store.executions
        for i, announce in enumerate((True, False, True)):
            await start(executions, f"ex_{i}")
            done = Projection("succeeded", finished_at=NOW + 9 - i, announce=announce)
            for _ in range(2):
                await executions.append(f"ex_{i}", 1, batch(2, "execution.succeeded"), done)
        assert list(await executions.announced(limit=9)) == ["ex_2", "ex_0"]
        assert list(await executions.announced(limit=1)) == ["ex_2"]
        await executions.told(["ex_2", "ex_1", "ex_none"])
        assert list(await executions.announced(limit=9)) == ["ex_0"]
        await start(executions, "ex_3")
        stale = Projection("failed", finished_at=NOW + 1, announce=True)
        with pytest.raises(StaleClaim):
            await executions.append("ex_3", 2, batch(2, "execution.failed"), stale)
        assert list(await executions.announced(limit=9)) == ["ex_0"]

    async def test_nothing_follows_the_end(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await end(store.executions, "ex_1", status="failed")
        with pytest.raises(StaleClaim):
            await end(store.executions, "ex_1", seq=3)
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 1, batch(3, "step.log"))
        assert (await store.executions.get("ex_1")).status == "failed"

    async def test_nothing_is_appended_to_what_waits_or_does_not_exist(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await park(store.executions, "ex_1")
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_1", 1, batch(3, "step.log"))
        with pytest.raises(StaleClaim):
            await store.executions.append("ex_none", 1, batch(2, "step.log"))
        assert await store.executions.events("ex_none") == []

    async def test_only_the_stale_one_of_many_appends_fails(self, store: Store) -> None:
        executions = store.executions
        await asyncio.gather(*(start(executions, f"ex_{i:03}") for i in range(300)))
        results = await asyncio.gather(
            *(end(executions, f"ex_{i:03}", epoch=2 if i % 50 == 7 else 1) for i in range(300)), return_exceptions=True
        )
        stale = [i for i, result in enumerate(results) if isinstance(result, StaleClaim)]
        assert stale == [7, 57, 107, 157, 207, 257]
        assert await executions.count(ExecutionFilter()) == {"succeeded": 294, "running": 6}

    async def test_appends_of_one_execution_keep_their_order(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await asyncio.gather(*(store.executions.append("ex_1", 1, batch(seq, "step.log")) for seq in range(2, 30)))
        assert numbers(await store.executions.events("ex_1", limit=100)) == list(range(1, 30))

    async def test_events_are_read_in_parts(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        for first in range(2, 32, 10):
            await executions.append("ex_1", 1, batch(first, *["step.log"] * 10))
        seen: list[int] = []
        while part := await executions.events("ex_1", after=len(seen), limit=4):
            seen += numbers(part)
        assert seen == list(range(1, 32))
        assert numbers(await executions.events("ex_1", after=15, limit=1))[0] == 16
        assert await executions.events("ex_1", after=31) == []

    async def test_outputs_outside_the_events(self, store: Store) -> None:
        executions = store.executions
        await executions.create(new("ex_1", outputs={"old": b"[0]"}), worker="w1", lease=30, at=NOW)
        await executions.append("ex_1", 1, batch(2, "step.succeeded"), outputs={"a": b'"' + b"x" * 50_000 + b'"'})
        await executions.append("ex_1", 1, batch(3, "step.succeeded"), outputs={"b": b"1", "a": b"2"})
        assert await executions.outputs("ex_1") == {"old": b"[0]", "a": b"2", "b": b"1"}
        assert await executions.outputs("ex_1", ["b", "none"]) == {"b": b"1"}
        assert await executions.outputs("ex_none") == {}
        [claimed] = await claim(executions, now=NOW + 31)
        assert claimed.outputs == {"old": b"[0]", "a": b"2", "b": b"1"}

    async def test_items_are_kept_with_their_events(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        one = ItemResult("each", 0, True, "k0", b'{"a":"\xc3\xbc"}')
        two = ItemResult("each", 1, False, error=b'{"message":"no"}')
        nested = ItemResult("each[2].inner", 0, True, output=b'"***"', masked=True)
        await executions.append("ex_1", 1, batch(2, "step.progress"), items=[two, one, nested])
        assert [*await executions.items("ex_1", "each")] == [one, two]
        assert [*await executions.items("ex_1", "each[2].inner")] == [nested]
        assert [*await executions.items("ex_1", "each", succeeded=True)] == [one]
        assert [*await executions.items("ex_1", "each", succeeded=False)] == [two]
        assert [*await executions.items("ex_none", "each")] == []
        [claimed] = await claim(executions, now=NOW + 31)
        assert claimed.items == {"each": {0: True, 1: False}, "each[2].inner": {0: True}}

    async def test_a_claim_reads_of_a_long_log_what_is_needed(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        for first in range(2, 20, 3):
            await executions.append("ex_1", 1, batch(first, *["step.log"] * 3))
        for name, needed, seqs in (
            ("ex_1", [19, [[1, 1], [4, 5], [7, 12]]], [1, 4, 5, *range(7, 13)]),
            ("ex_1", [20, [[3, 3], [19, 20]]], [3, 19, 20]),
        ):
            seq = numbers(await executions.events(name))[-1] + 1
            item = ItemResult("each", seq, True, first_seq=2, last_seq=seq)
            outputs = {"$needed": dumps(needed), "a": b"1"}
            await executions.append(name, 1, batch(seq, "step.log"), outputs=outputs, items=[item])
            wanted = [*seqs, *range(needed[0] + 1, seq + 1)]  # type: ignore[operator]
            assert numbers(await executions.needed(name)) == wanted
        assert [(one.first_seq, one.last_seq) for one in await executions.items("ex_1", "each")] == [(2, 20), (2, 21)]
        [claimed] = await claim(executions, now=NOW + 31)
        assert (numbers(claimed.events), claimed.outputs) == (wanted, {"a": b"1"})
        assert (claimed.execution.last_seq, await executions.outputs("ex_1")) == (21, {"a": b"1"})
        assert numbers(await executions.events("ex_1")) == list(range(1, 22))
        await start(executions, "ex_2")
        assert numbers(await executions.needed("ex_2")) == numbers(await executions.events("ex_2"))
        assert [*await executions.needed("ex_none")] == []

    async def test_items_are_read_in_parts(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        ended = [ItemResult("each", i, i % 2 == 0, output=b"%d" % i) for i in range(2_500)]
        await executions.append("ex_1", 1, batch(2, "step.progress"), items=ended)
        seen: list[ItemResult] = []
        while page := await executions.items("ex_1", "each", after=seen[-1].index if seen else -1, limit=700):
            assert len(page) <= 700
            seen += page
        assert seen == ended
        assert [one.index for one in await executions.items("ex_1", "each", after=5, limit=2, succeeded=True)] == [6, 8]

    async def test_a_repeated_append_keeps_its_items_once_and_a_stale_one_none(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        item = ItemResult("each", 0, True, output=b"1")
        for _ in range(2):
            await executions.append("ex_1", 1, batch(2, "step.progress"), items=[item])
        for epoch, seq in ((2, 3), (1, 9)):
            late = [ItemResult("each", 0, False), ItemResult("each", 1, True), ItemResult("e", -1, False)]
            with pytest.raises(StaleClaim):
                await executions.append("ex_1", epoch, batch(seq, "step.progress"), items=late)
        assert [*await executions.items("ex_1", "each")] == [item]

    async def test_items_of_what_begins_again_are_removed(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        names = ("g.each", "g.each[0].inner", "group.each", "g")
        await executions.append(
            "ex_1", 1, batch(2, "step.progress"), items=[ItemResult(name, 0, True) for name in names]
        )
        again = [ItemResult("g.each", 1, True), ItemResult("g.", -1, False), ItemResult("g.each", 2, True)]
        await executions.append("ex_1", 1, batch(3, "step.started"), items=again)
        left = {name: [one.index for one in await executions.items("ex_1", name)] for name in names}
        assert left == {"g.each": [2], "g.each[0].inner": [], "group.each": [0], "g": [0]}

    async def test_an_execution_may_be_created_with_items(self, store: Store) -> None:
        executions = store.executions
        given = [ItemResult("each", i, True, f"k{i}", b"%d" % i) for i in range(3)]
        for _ in range(2):
            await executions.create(new("ex_1", items=given), worker="w1", lease=LEASE, at=NOW)
        assert [*await executions.items("ex_1", "each")] == given
        [claimed] = await claim(executions, now=NOW + 31)
        assert claimed.items == {"each": {0: True, 1: True, 2: True}}
        await end(executions, "ex_1", epoch=2)
        assert [*await executions.items("ex_1", "each")] == given

    async def test_outputs_of_steps_inside_do_not_come_with_a_claim(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1")
        outputs = {"each": b"1", "each[0].get": b"2", "g.a": b"3", "$sealed:each[0].get": b"2:x"}
        await executions.append("ex_1", 1, batch(2, "step.succeeded"), outputs=outputs)
        [claimed] = await claim(executions, now=NOW + 31)
        assert claimed.outputs == {"each": b"1", "$sealed:each[0].get": b"2:x"}
        assert await executions.outputs("ex_1", ["each[0].get", "g.a"]) == {"each[0].get": b"2", "g.a": b"3"}

    async def test_sealed_values_go_with_the_end_that_needs_them_no_more(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_p")
        child = new("ex_c")
        child.parent_execution_id, child.parent_node_id = "ex_p", "call"
        await executions.create(child, worker="w1", lease=30, at=NOW)
        await executions.append("ex_c", 1, batch(2, "step.succeeded"), outputs={"$sealed:a": b"2:x", "a": b"1"})
        assert await executions.outputs("ex_c") == {"a": b"1"}
        assert await executions.outputs("ex_c", ["$sealed:a"]) == {"$sealed:a": b"2:x"}
        done = Projection("succeeded", finished_at=NOW + 1)
        await executions.append("ex_c", 1, batch(3, "execution.succeeded"), done, outputs={"$sealed": b"0:y"})
        assert await executions.outputs("ex_c", ["$sealed:a", "$sealed"]) == {"$sealed": b"0:y"}
        seq = (await executions.get("ex_p")).last_seq + 1
        await executions.append("ex_p", 1, batch(seq, "execution.succeeded"), done)
        assert await executions.outputs("ex_c", ["$sealed"]) == {}
        assert await executions.outputs("ex_c") == {"a": b"1"}

    async def test_a_batch_that_makes_no_sense_is_refused(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        with pytest.raises(ValueError, match="at least one event"):
            await store.executions.append("ex_1", 1, EventBatch(2, []))
        with pytest.raises(ValueError, match="one line"):
            await store.executions.append("ex_1", 1, EventBatch(2, [b'{\n"seq":2}']))
        with pytest.raises(ValueError, match="finished_at"):
            await store.executions.append("ex_1", 1, batch(2, "execution.failed"), Projection("failed"))
        with pytest.raises(ValueError, match="queued"):
            await store.executions.append("ex_1", 1, batch(2, "step.log"), Projection("queued"))
        assert (await store.executions.get("ex_1")).last_seq == 1

    async def test_one_id_is_one_execution(self, store: Store) -> None:
        await create(store.executions, "ex_1", input=1)
        with pytest.raises(Conflict):
            await create(store.executions, "ex_1", input=2)
        assert (await store.executions.get("ex_1")).input == 1

    async def test_an_unknown_execution(self, store: Store) -> None:
        executions = store.executions
        for call in (executions.get("ex_none"), executions.request_cancel("ex_none"), executions.limits_of("ex_none")):
            with pytest.raises(NotFound, match="ex_none"):
                await call

    async def test_the_same_fire_starts_one_execution(self, store: Store) -> None:
        executions = store.executions
        fire = Fire("wf_a:cron", "2027-01-15T08:00", "d_1", received_at=NOW, payload=b'{"n":1}')
        made = await asyncio.gather(
            *(create(executions, f"ex_{i}", fire=Fire(fire.binding_id, fire.key, f"d_{i}")) for i in range(5))
        )
        assert [created.duplicate for created in made].count(False) == 1
        assert len({created.execution_id for created in made}) == 1
        assert await executions.count(ExecutionFilter()) == {"queued": 1}
        assert len((await store.triggers.deliveries("wf_a:cron", limit=10)).items) == 1
        other = await create(executions, "ex_other", fire=Fire("wf_a:other", fire.key))
        assert not other.duplicate

    async def test_a_fire_without_a_key_always_starts(self, store: Store) -> None:
        for id in ("ex_1", "ex_2"):
            assert not (await create(store.executions, id, fire=Fire("wf_a:hook", None))).duplicate
        where = ExecutionFilter(binding_id="wf_a:hook")
        assert await store.executions.count(where) == {"queued": 2}

    async def test_the_delivery_is_kept_with_its_execution(self, store: Store) -> None:
        fire = Fire("wf_a:hook", "k1", "d_1", received_at=NOW, payload=b'{"body":{"n":1}}')
        await create(store.executions, "ex_1", fire=fire)
        delivery = await store.triggers.delivery("d_1")
        assert (delivery.binding_id, delivery.key, delivery.received_at) == ("wf_a:hook", "k1", NOW)
        assert (delivery.payload, delivery.execution_id) == ({"body": {"n": 1}}, "ex_1")

    async def test_the_same_idempotency_key_starts_one_execution(self, store: Store) -> None:
        executions = store.executions
        made = await asyncio.gather(
            *(create(executions, f"ex_{i}", idempotency=Idempotency("api", "k", f"print-{i}")) for i in range(4))
        )
        first = next(created for created in made if not created.duplicate)
        assert first.execution_id is not None
        assert {created.execution_id for created in made} == {first.execution_id}
        again = await create(executions, "ex_later", idempotency=Idempotency("api", "k", "print-other"))
        assert (again.duplicate, again.execution_id) == (True, first.execution_id)
        assert again.fingerprint == f"print-{first.execution_id[3:]}"
        assert (await executions.get(first.execution_id)).idempotency_key == "k"
        assert not (await create(executions, "ex_new", idempotency=Idempotency("other", "k", "p"))).duplicate

    async def test_a_duplicate_holds_no_slot(self, store: Store) -> None:
        limits = (SlotLimit("k", 1),)
        key = Idempotency("api", "k", "p")
        await create(store.executions, "ex_1", limits=limits, idempotency=key)
        await create(store.executions, "ex_2", limits=limits, idempotency=key)
        assert await store.executions.slot_holders("k") == ["ex_1"]
