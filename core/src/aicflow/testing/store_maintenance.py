"""Store suite: what retention removes, and what the store says about itself."""

from __future__ import annotations

import pytest

from aicflow.events import encode_event
from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.executions import EventBatch, ExecutionFilter, Fire, Idempotency, ItemResult
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.store import Store
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import dumps, loads
from aicflow.removal import RemovesParts
from aicflow.testing.store_samples import NOW, batch, create, end, numbers, park, start

HOUR = 3600.0


async def _ids(store: Store) -> list[str]:
    return sorted(execution.id for execution in (await store.executions.list(ExecutionFilter(), limit=500)).items)


def _parts_of(store: Store) -> RemovesParts:
    if not isinstance(store.maintenance, RemovesParts):
        pytest.skip("this store removes executions as a whole only")
    return store.maintenance


class MaintenanceCases:
    """Housekeeping never takes what has not ended."""

    async def test_deliveries_may_have_an_age_of_their_own(self, store: Store) -> None:
        for number in range(5):
            await store.triggers.keep_delivery(Delivery(f"dl_{number}", "wf_a:t", NOW + number, None, {}, error="x"))
        assert await store.maintenance.forget_deliveries(received_before=NOW + 3, batch=2) == 2
        assert await store.maintenance.forget_deliveries(received_before=NOW + 3, batch=2) == 1
        assert await store.maintenance.forget_deliveries(received_before=NOW + 3) == 0
        left = (await store.triggers.deliveries("wf_a:t", limit=9)).items
        assert [delivery.id for delivery in left] == ["dl_4", "dl_3"]

    async def test_events_go_before_their_execution(self, store: Store) -> None:
        executions, keep = store.executions, _parts_of(store)
        for id, hours in (("ex_1", 5), ("ex_2", 4), ("ex_3", 1)):
            await start(executions, id, at=NOW - 9 * HOUR, input={"name": "Ada"})
            outputs, items = {"a": b'"x"'}, [ItemResult("e", 0, True)]
            await executions.append(id, 1, batch(2, "step.succeeded"), outputs=outputs, items=items)
            await end(executions, id, seq=3, at=NOW - hours * HOUR, output=7)
        await start(executions, "ex_running", at=NOW - 9 * HOUR)
        assert await keep.remove_part("events", ended_before=NOW - 2 * HOUR, batch=1) == 1
        assert (await executions.get("ex_2")).removed == ()  # the oldest end goes first
        assert await keep.remove_part("events", ended_before=NOW - 2 * HOUR, batch=1) == 1
        assert await keep.remove_part("events", ended_before=NOW - 2 * HOUR, batch=1) == 0
        for id in ("ex_1", "ex_2"):
            kept = await executions.get(id)
            assert (kept.removed, kept.last_seq, kept.input, kept.output) == (("events",), 3, {"name": "Ada"}, 7)
            with pytest.raises(Conflict, match=f"The events of execution {id} were removed"):
                await executions.events(id)
            with pytest.raises(Conflict, match="removed"):
                await executions.needed(id)
            assert await executions.outputs(id) == {}
            assert [*await executions.items(id, "e")] == []
        assert len(await executions.events("ex_3")) == 3
        assert len(await executions.events("ex_running")) == 1
        listed = (await executions.list(ExecutionFilter(), limit=9)).items
        assert {one.id: one.removed for one in listed if one.removed} == {"ex_1": ("events",), "ex_2": ("events",)}
        assert await store.maintenance.integrity() == []
        rules = [RetentionRule("succeeded", max_age=2 * HOUR)]
        assert await store.maintenance.remove(rules, now=NOW) == 2

    async def test_payloads_go_before_their_execution(self, store: Store) -> None:
        executions, keep = store.executions, _parts_of(store)
        at, large = NOW - 9 * HOUR, "Ada " * 9_000
        trigger = {"kind": "trigger", "trigger_id": "t", "payload": {"name": "Ada"}}
        for id, input in (("ex_1", "Ada"), ("ex_2", large), ("ex_3", large)):
            fire = Fire("wf_a:t", id, f"d_{id}", payload=b'"Ada"')
            await start(executions, id, at=at, input=input, trigger=trigger, fire=fire)
            error = {"code": "x", "message": "m", "details": "Ada"}
            said = [
                encode_event(2, at, "step.log", id, "a", 1, {"level": "info", "message": "found one"}),
                encode_event(3, at, "step.succeeded", id, "a", 1, {"port": "main", "output": {"name": "Ada"}}),
                encode_event(4, at, "step.succeeded", id, "b", 1, {"port": "main", "output_stored": True}),
                encode_event(5, at, "step.failed", id, "c", 1, {"error": error}),
            ]
            items = [ItemResult("each", 0, True, "Ada", b'"Ada"'), ItemResult("each", 1, False, error=b'{"code":"x"}')]
            await executions.append(id, 1, EventBatch(2, said), outputs={"b": dumps(large)}, items=items)
            at_end = NOW - HOUR * (1 if id == "ex_3" else 5)
            await end(executions, id, seq=6, at=at_end, output=large if id == "ex_2" else "Ada")
        while await keep.remove_part("payloads", ended_before=NOW - 2 * HOUR, batch=1):
            pass
        for id in ("ex_1", "ex_2"):
            kept = await executions.get(id)
            assert (kept.removed, kept.input, kept.output, kept.trigger.payload) == (("payloads",), None, None, None)
            assert (kept.trigger.trigger_id, kept.last_seq) == ("t", 6)
            events = await executions.events(id)
            assert numbers(events) == [1, 2, 3, 4, 5, 6]
            assert b"Ada" not in b"".join(events)
            assert [loads(event)["data"] for event in events[1:5]] == [
                {"level": "info", "message": "found one"},
                {"port": "main"},
                {"port": "main"},
                {"error": {"code": "x", "message": "m"}},
            ]
            assert await executions.outputs(id, ["b", "$input", "$trigger", "$output"]) == {}
            told = [(one.succeeded, one.key, one.output, one.error) for one in await executions.items(id, "each")]
            assert told == [(True, None, None, None), (False, None, None, b'{"code":"x"}')]
            with pytest.raises(NotFound):
                await store.triggers.delivery(f"d_{id}")
        whole = await executions.get("ex_3")
        assert (whole.removed, whole.input, whole.output) == ((), large, "Ada")
        assert (await executions.outputs("ex_3"))["b"] == dumps(large)
        assert (await executions.list(ExecutionFilter(text="Ada"), limit=9)).items[0].id == "ex_3"
        assert await store.maintenance.integrity() == []
        assert await keep.remove_part("events", ended_before=NOW - 2 * HOUR) == 2
        assert (await executions.get("ex_1")).removed == ("events", "payloads")

    async def test_by_age_and_status(self, store: Store) -> None:
        for id, status, hours in (("ex_1", "succeeded", 5), ("ex_2", "failed", 5), ("ex_3", "succeeded", 1)):
            await start(store.executions, id, at=NOW - hours * HOUR)
            await end(store.executions, id, status=status, at=NOW - hours * HOUR)
        rules = [RetentionRule("succeeded", max_age=2 * HOUR)]
        assert await store.maintenance.removable(rules, now=NOW) == {"wf_a": 1}
        assert await store.maintenance.remove(rules, now=NOW) == 1
        assert await store.maintenance.remove(rules, now=NOW) == 0
        assert await _ids(store) == ["ex_2", "ex_3"]

    async def test_items_go_with_their_execution(self, store: Store) -> None:
        await start(store.executions, "ex_1", at=NOW - 5 * HOUR)
        await store.executions.append("ex_1", 1, batch(2, "step.progress"), items=[ItemResult("each", 0, True)])
        await end(store.executions, "ex_1", seq=3, at=NOW - 5 * HOUR)
        assert await store.maintenance.remove([RetentionRule("succeeded", max_age=2 * HOUR)], now=NOW) == 1
        assert [*await store.executions.items("ex_1", "each")] == []

    async def test_age_counts_from_the_end(self, store: Store) -> None:
        await start(store.executions, "ex_1", at=NOW - 9 * HOUR)
        await end(store.executions, "ex_1", at=NOW - HOUR)
        assert await store.maintenance.remove([RetentionRule("succeeded", max_age=2 * HOUR)], now=NOW) == 0

    async def test_by_count_for_each_workflow(self, store: Store) -> None:
        for i in range(10):
            workflow = "wf_b" if i >= 7 else "wf_a"
            await start(store.executions, f"ex_{i}", at=NOW + i, workflow=workflow)
            await end(store.executions, f"ex_{i}", at=NOW + i, status="failed" if i == 0 else "succeeded")
        rules = [RetentionRule("succeeded", max_count=2), RetentionRule("failed", max_count=5)]
        assert await store.maintenance.removable(rules, now=NOW) == {"wf_a": 4, "wf_b": 1}
        assert await store.maintenance.remove(rules, now=NOW, batch=3) == 3
        assert await store.maintenance.remove(rules, now=NOW, batch=3) == 2
        assert await store.maintenance.remove(rules, now=NOW, batch=3) == 0
        assert await _ids(store) == ["ex_0", "ex_5", "ex_6", "ex_8", "ex_9"]

    async def test_what_has_not_ended_stays(self, store: Store) -> None:
        await create(store.executions, "ex_queued", at=NOW - HOUR)
        await start(store.executions, "ex_running", at=NOW - HOUR)
        await start(store.executions, "ex_waiting", at=NOW - HOUR)
        await park(store.executions, "ex_waiting")
        rules = [
            RetentionRule(status, max_age=0, max_count=0)
            for status in ("queued", "running", "waiting", "succeeded", "failed", "cancelled")
        ]
        assert await store.maintenance.removable(rules, now=NOW) == {}
        assert await store.maintenance.remove(rules, now=NOW) == 0
        assert len(await _ids(store)) == 3

    async def test_a_rule_without_bounds_keeps_everything(self, store: Store) -> None:
        await start(store.executions, "ex_1")
        await end(store.executions, "ex_1")
        assert await store.maintenance.remove([RetentionRule("succeeded")], now=NOW + 1e9) == 0

    async def test_all_that_belongs_to_it_goes(self, store: Store) -> None:
        executions = store.executions
        key = Idempotency("api", "k", "p")
        await start(executions, "ex_1", fire=Fire("wf_a:hook", "fire", "d_1"), idempotency=key, input="x" * 5000)
        await executions.append("ex_1", 1, batch(2, "step.succeeded"), outputs={"a": b"1"})
        await end(executions, "ex_1", seq=3)
        assert await store.maintenance.remove([RetentionRule("succeeded", max_count=0)], now=NOW) == 1
        with pytest.raises(NotFound):
            await executions.get("ex_1")
        with pytest.raises(NotFound):
            await store.triggers.delivery("d_1")
        assert await executions.events("ex_1") == []
        assert await executions.outputs("ex_1") == {}
        # keys have an age of their own: a repeat starts nothing though what the first one made is gone
        assert (await create(executions, "ex_2", idempotency=key)).execution_id == "ex_1"
        assert (await create(executions, "ex_3", fire=Fire("wf_a:hook", "fire"))).execution_id == "ex_1"
        assert await store.maintenance.integrity() == []

    async def test_keys_go_by_their_own_age(self, store: Store) -> None:
        executions, keys = store.executions, store.idempotency
        for hours in (3, 2, 1):
            key = Idempotency("api", f"k{hours}", "p")
            await create(
                executions, f"ex_{hours}", at=NOW - hours * HOUR, fire=Fire("wf_a:hook", key.key), idempotency=key
            )
        await keys.use(Idempotency("child", "c", "p", owner="ex_3"), "ex_9", now=NOW - 3 * HOUR)
        assert await store.maintenance.forget_keys(used_before=NOW - 2 * HOUR, fired_before=NOW - 3 * HOUR) == 1
        assert await store.maintenance.forget_keys(used_before=NOW - 2 * HOUR, fired_before=NOW - 3 * HOUR) == 0
        assert await keys.find("api", "k3") is None
        assert (await create(executions, "ex_4", fire=Fire("wf_a:hook", "k3"))).duplicate
        while await store.maintenance.forget_keys(used_before=NOW - HOUR, fired_before=NOW - HOUR, batch=1):
            pass
        assert await keys.find("api", "k2") is None
        assert not (await create(executions, "ex_5", fire=Fire("wf_a:hook", "k2"))).duplicate
        assert (await create(executions, "ex_6", idempotency=Idempotency("api", "k1", "p"))).execution_id == "ex_1"
        # one that belongs to an execution stays as long as that, and goes with it
        assert await keys.find("child", "c") is not None
        await start(executions, "ex_7")
        await keys.use(Idempotency("child", "d", "p", owner="ex_7"), "ex_9", now=NOW)
        await end(executions, "ex_7")
        assert await store.maintenance.remove([RetentionRule("succeeded", max_count=0)], now=NOW) == 1
        assert await keys.find("child", "d") is None

    async def test_sizes(self, store: Store) -> None:
        for i in range(3):
            await start(store.executions, f"ex_{i}", workflow="wf_large" if i else "wf_small", input="x" * 2000 * i)
        sizes = await store.maintenance.sizes()
        assert [(size.workflow_id, size.executions, size.events) for size in sizes.workflows] == [
            ("wf_large", 2, 2),
            ("wf_small", 1, 1),
        ]
        assert sizes.workflows[0].bytes > 6000 > sizes.workflows[1].bytes > 0
        assert sizes.bytes >= 6000
        assert sizes.free_bytes >= 0

    async def test_a_store_that_was_only_used_is_sound(self, store: Store) -> None:
        for i in range(5):
            await start(store.executions, f"ex_{i}")
            await store.executions.append(f"ex_{i}", 1, batch(2, "execution.started", "step.started"))
        await end(store.executions, "ex_0", seq=4)
        await park(store.executions, "ex_1", seq=4)
        await store.executions.hand_back("w1", "ex_2", 1)
        assert await store.maintenance.integrity() == []
        assert await store.maintenance.reclaim_space() >= 0
