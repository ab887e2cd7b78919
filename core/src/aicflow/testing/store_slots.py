"""Store suite: concurrency limits, who is admitted, and who is next."""

from __future__ import annotations

import asyncio

import pytest

from aicflow.kernel.ports.executions import Fire, SlotLimit
from aicflow.kernel.ports.store import Store
from aicflow.testing.store_samples import LEASE, NOW, claim, claimed_ids, create, end, park, start

ONE = (SlotLimit("one", 1),)


class SlotCases:
    """An execution holds its slots from being admitted until its end."""

    async def test_without_a_slot_it_is_queued_and_cannot_be_claimed(self, store: Store) -> None:
        executions = store.executions
        assert (await start(executions, "ex_1", limits=ONE)).epoch == 1
        second = await start(executions, "ex_2", limits=ONE)
        assert (second.epoch, second.admitted, second.skipped) == (0, False, False)
        assert (await executions.get("ex_2")).status == "queued"
        assert await claim(executions, worker="w2") == []
        assert await executions.slot_holders("one") == ["ex_1"]
        assert await executions.slot_holders("none") == []
        assert await executions.limits_of("ex_2") == ONE
        assert (await executions.get("ex_2")).concurrency_key == "one"

    @pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
    async def test_every_end_frees_the_slot(self, store: Store, status: str) -> None:
        executions = store.executions
        await start(executions, "ex_1", limits=ONE)
        await start(executions, "ex_2", limits=ONE)
        assert (await end(executions, "ex_1", status=status)).admitted == ("ex_2",)
        assert await executions.slot_holders("one") == ["ex_2"]
        assert await claimed_ids(executions) == ["ex_2"]
        assert (await end(executions, "ex_2")).admitted == ()
        assert await executions.slot_holders("one") == []

    async def test_slots_are_kept_while_waiting_handed_back_or_taken_over(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1", limits=ONE)
        await create(executions, "ex_2", limits=ONE)
        await park(executions, "ex_1", wake_at=NOW + 1)
        assert await executions.slot_holders("one") == ["ex_1"]
        await claim(executions, now=NOW + 1)
        await executions.hand_back("w1", "ex_1", 2)
        assert await claimed_ids(executions, now=NOW + 1) == ["ex_1"]
        assert await claimed_ids(executions, worker="w2", now=NOW + 1 + LEASE) == ["ex_1"]
        assert (await end(executions, "ex_1", epoch=4, seq=3)).admitted == ("ex_2",)

    async def test_next_is_the_highest_priority_then_the_oldest(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_0", limits=ONE)
        for id, priority in (("ex_1", 0), ("ex_2", 7), ("ex_3", 7), ("ex_4", 1)):
            await create(executions, id, limits=ONE, priority=priority)
        ended = "ex_0"
        order: list[str] = []
        while admitted := (await end(executions, ended)).admitted:
            assert await claimed_ids(executions) == list(admitted)
            order += admitted
            ended = admitted[0]
        assert order == ["ex_2", "ex_3", "ex_4", "ex_1"]

    async def test_a_limit_of_several(self, store: Store) -> None:
        limits = (SlotLimit("k", 3),)
        made = await asyncio.gather(*(start(store.executions, f"ex_{i}", limits=limits) for i in range(8)))
        assert sum(created.admitted for created in made) == 3
        running, most = [created.execution_id or "" for created in made if created.admitted], 0
        while running:
            most = max(most, len(running))
            running += (await end(store.executions, running.pop(0))).admitted
            assert await store.executions.slot_holders("k") == sorted(running)
            await claim(store.executions)
        assert most == 3

    async def test_all_slots_or_none(self, store: Store) -> None:
        executions = store.executions
        both = (SlotLimit("a", 1), SlotLimit("b", 1))
        await start(executions, "ex_a", limits=(SlotLimit("a", 1),))
        assert not (await start(executions, "ex_both", limits=both)).admitted
        assert await executions.slot_holders("b") == []
        assert (await start(executions, "ex_b", limits=(SlotLimit("b", 1),))).admitted
        assert (await end(executions, "ex_a")).admitted == ()
        assert await executions.slot_holders("a") == []
        assert (await end(executions, "ex_b")).admitted == ("ex_both",)
        assert await executions.slot_holders("a") == await executions.slot_holders("b") == ["ex_both"]

    async def test_one_end_can_admit_several(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_both", limits=(SlotLimit("a", 1), SlotLimit("b", 1)))
        await create(executions, "ex_a", limits=(SlotLimit("a", 1),))
        await create(executions, "ex_b", limits=(SlotLimit("b", 1),))
        assert sorted((await end(executions, "ex_both")).admitted) == ["ex_a", "ex_b"]

    async def test_an_admitted_execution_still_waits_for_its_time(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1", limits=ONE)
        await create(executions, "ex_2", limits=ONE, available_at=NOW + 500)
        await end(executions, "ex_1")
        assert await claim(executions, now=NOW + 499) == []
        assert await claimed_ids(executions, now=NOW + 500) == ["ex_2"]

    async def test_skip_writes_nothing(self, store: Store) -> None:
        limits = (SlotLimit("k", 1, "skip"),)
        await start(store.executions, "ex_1", limits=limits)
        refused = await start(store.executions, "ex_2", limits=limits)
        assert (refused.skipped, refused.admitted, refused.epoch, refused.execution_id) == (True, False, 0, None)
        with pytest.raises(Exception, match="ex_2"):
            await store.executions.get("ex_2")
        assert (await end(store.executions, "ex_1")).admitted == ()
        assert not (await start(store.executions, "ex_2", limits=limits)).skipped

    async def test_a_skipped_fire_uses_its_key_up(self, store: Store) -> None:
        executions = store.executions
        limits = (SlotLimit("k", 1, "skip"),)
        await start(executions, "ex_1", limits=limits)
        fires = [Fire("wf_a:hook", "k1", f"d_{i}", received_at=NOW, payload=b'{"n":1}') for i in range(3)]
        made = await asyncio.gather(
            *(create(executions, f"ex_f{i}", limits=limits, fire=fire) for i, fire in enumerate(fires[:2]))
        )
        assert sorted((one.skipped, one.duplicate) for one in made) == [(False, True), (True, False)]
        kept = (await store.triggers.deliveries("wf_a:hook", limit=5)).items
        assert [(delivery.execution_id, delivery.error) for delivery in kept] == [(None, "skipped")]
        assert (await store.triggers.delivery(kept[0].id)).payload == {"n": 1}
        await end(executions, "ex_1")
        again = await create(executions, "ex_f2", limits=limits, fire=fires[2])
        assert (again.duplicate, again.execution_id) == (True, None)

    async def test_cancel_oldest_makes_room(self, store: Store) -> None:
        executions = store.executions
        limits = (SlotLimit("k", 2, "cancel_oldest"),)
        for id in ("ex_1", "ex_2"):
            await start(executions, id, limits=limits)
        third = await start(executions, "ex_3", limits=limits)
        assert (third.admitted, third.cancelled) == (False, ("ex_1",))
        assert (await executions.get("ex_1")).cancel_requested
        assert not (await executions.get("ex_2")).cancel_requested
        assert (await end(executions, "ex_1", status="cancelled")).admitted == ("ex_3",)

    async def test_cancel_oldest_leaves_the_latest_only(self, store: Store) -> None:
        executions = store.executions
        limits = (SlotLimit("k", 1, "cancel_oldest"),)
        cancelled = [(await start(executions, f"ex_{i}", limits=limits)).cancelled for i in range(4)]
        assert cancelled == [(), ("ex_0",), ("ex_1",), ("ex_2",)]
        # those that were still in line never run: they are claimed to be ended, and hold no slot
        for claimed in await claim(executions, worker="w2"):
            assert claimed.execution.cancel_requested
            assert (await end(executions, claimed.execution.id, status="cancelled")).admitted == ()
        assert (await end(executions, "ex_0", status="cancelled")).admitted == ("ex_3",)

    async def test_who_leaves_the_line_is_not_admitted(self, store: Store) -> None:
        executions = store.executions
        for id in ("ex_1", "ex_2", "ex_3"):
            await start(executions, id, limits=ONE)
        await executions.request_cancel("ex_2")
        assert await claimed_ids(executions, worker="w2") == ["ex_2"]
        assert (await end(executions, "ex_1")).admitted == ("ex_3",)
        assert (await end(executions, "ex_2", status="cancelled")).admitted == ()
        assert await executions.slot_holders("one") == ["ex_3"]

    async def test_a_stale_end_frees_nothing(self, store: Store) -> None:
        executions = store.executions
        await start(executions, "ex_1", limits=ONE)
        await create(executions, "ex_2", limits=ONE)
        await claim(executions, worker="w2", now=NOW + LEASE)
        with pytest.raises(Exception, match="no longer"):
            await end(executions, "ex_1", epoch=1)
        assert await executions.slot_holders("one") == ["ex_1"]
