"""Store suite: workflows and their versions, trigger state and deliveries, API keys, settings of node types."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from aicflow.kernel.errors import Conflict, KeyUsed, NotFound
from aicflow.kernel.ports.access import ApiKeyRecord, NodeSetting, SecretRecord
from aicflow.kernel.ports.audit import AuditEntry, PendingAudit, pending_audit
from aicflow.kernel.ports.executions import ExecutionFilter, Fire, Idempotency, WorkflowLimit
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.ports.store import Store
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject
from aicflow.testing.store_samples import NOW, create, end, start


def _document(name: str, **more: Any) -> dict[str, Any]:
    return {"aicflow": 1, "name": name, "nodes": [{"id": "a", "type": "core.nothing"}], **more}


def _secret(name: str, version: int = 1, **more: Any) -> SecretRecord:
    plain: dict[str, Any] = {"description": "for tests", "workflows": (), "labels": {}, "last_used_at": None}
    sealed = {"kek_id": "old", "wrapped_key": b"\0wrapped", "nonce": b"\0" * 12, "ciphertext": b"\xff\0sealed"}
    return SecretRecord(name, version, created_at=NOW, updated_at=NOW + version, **{**plain, **sealed, **more})


class TableCases:
    """The smaller tables."""

    async def test_a_workflow_is_saved(self, store: Store) -> None:
        made = await store.workflows.create("wf_a", _document("Größe", description="sizes"), now=NOW)
        assert (made.name, made.description, made.version, made.revision) == ("Größe", "sizes", 1, 1)
        assert (made.enabled, made.created_at, made.updated_at) == (True, NOW, NOW)
        assert made.document == _document("Größe", description="sizes")
        assert await store.workflows.get("wf_a") == made
        with pytest.raises(Conflict, match="wf_a"):
            await store.workflows.create("wf_a", _document("other"), now=NOW)

    async def test_a_change_makes_a_version(self, store: Store) -> None:
        workflows = store.workflows
        await workflows.create("wf_a", _document("one"), now=NOW)
        two = await workflows.update("wf_a", now=NOW + 1, document=_document("two"), expected_revision=1)
        assert (two.name, two.version, two.revision, two.updated_at) == ("two", 2, 2, NOW + 1)
        off = await workflows.update("wf_a", now=NOW + 2, enabled=False)
        assert (off.version, off.revision, off.enabled, off.document) == (2, 3, False, _document("two"))
        assert (await workflows.version("wf_a", 1)).document == _document("one")
        assert (await workflows.version("wf_a", 2)).created_at == NOW + 1

    async def test_saving_the_same_changes_nothing(self, store: Store) -> None:
        made = await store.workflows.create("wf_a", _document("one"), now=NOW)
        again = dict(reversed(_document("one").items()))
        assert await store.workflows.update("wf_a", now=NOW + 1, document=again, enabled=True) == made

    async def test_a_lost_update_is_noticed(self, store: Store) -> None:
        await store.workflows.create("wf_a", _document("one"), now=NOW)
        await store.workflows.update("wf_a", now=NOW, document=_document("two"))
        with pytest.raises(Conflict) as caught:
            await store.workflows.update("wf_a", now=NOW, document=_document("mine"), expected_revision=1)
        assert caught.value.code == "revision"
        with pytest.raises(Conflict):
            await store.workflows.delete("wf_a", expected_revision=1)
        assert (await store.workflows.get("wf_a")).name == "two"

    async def test_unknown_workflows(self, store: Store) -> None:
        workflows = store.workflows
        calls = (
            workflows.get("wf_x"),
            workflows.update("wf_x", now=NOW, enabled=False),
            workflows.delete("wf_x"),
            workflows.version("wf_x", 1),
            workflows.versions("wf_x", limit=1),
        )
        for call in calls:
            with pytest.raises(NotFound, match="wf_x"):
                await call

    async def test_a_version_knows_who_saved_it(self, store: Store) -> None:
        entry = AuditEntry('{"action":"a","actor":"key:ak_1","at":"2026-01-01T00:00:00.000Z","target":"t"}')
        workflows, versions = store.workflows, []
        token = pending_audit.set(PendingAudit(lambda _: entry, actor="key:ak_1"))
        try:
            await workflows.create("wf_a", _document("one"), now=NOW)
            await workflows.update("wf_a", now=NOW, document=_document("two"))
            versions.append(await workflows.add_draft("wf_a", _document("three"), now=NOW))
        finally:
            pending_audit.reset(token)
        versions.append(await workflows.add_draft("wf_a", _document("four"), now=NOW))
        assert [one.created_by for one in versions] == ["key:ak_1", None]
        listed = await workflows.versions("wf_a", limit=9)
        assert [one.created_by for one in listed.items] == [None, *["key:ak_1"] * 3]
        assert (await workflows.version("wf_a", 2)).created_by == "key:ak_1"

    async def test_versions_in_pages(self, store: Store) -> None:
        await store.workflows.create("wf_a", _document("v1"), now=NOW)
        for i in range(2, 6):
            await store.workflows.update("wf_a", now=NOW + i, document=_document(f"v{i}"))
        first = await store.workflows.versions("wf_a", limit=3)
        assert [(v.version, v.document) for v in first.items] == [(5, {}), (4, {}), (3, {})]
        rest = await store.workflows.versions("wf_a", limit=3, cursor=first.next_cursor)
        assert [v.version for v in rest.items] == [2, 1]
        assert rest.next_cursor is None

    async def test_lists_of_workflows(self, store: Store) -> None:
        for i, name in enumerate(("Alpha", "beta", "ÄLPHA 2")):
            await store.workflows.create(f"wf_{i}", _document(name), now=NOW + i, enabled=i != 1)
        first = await store.workflows.list(limit=2)
        assert [(w.name, w.document) for w in first.items] == [("ÄLPHA 2", {}), ("beta", {})]
        rest = await store.workflows.list(limit=2, cursor=first.next_cursor)
        assert ([w.name for w in rest.items], rest.next_cursor) == (["Alpha"], None)
        assert [w.id for w in (await store.workflows.list(limit=5, name="LPHA")).items] == ["wf_2", "wf_0"]
        assert [w.id for w in (await store.workflows.list(limit=5, name="äl")).items] == ["wf_2"]
        assert [w.id for w in (await store.workflows.list(limit=5, enabled=False)).items] == ["wf_1"]
        active = await store.workflows.active()
        assert sorted((w.id, w.document["name"]) for w in active) == [("wf_0", "Alpha"), ("wf_2", "ÄLPHA 2")]
        for call in (
            store.workflows.list(limit=5, cursor="x"),
            store.workflows.versions("wf_0", limit=5, cursor=first.next_cursor),
            store.triggers.deliveries("wf_0:hook", limit=5, cursor=first.next_cursor),
        ):
            with pytest.raises(ValueError, match="cursor"):
                await call

    async def test_versions_outlive_a_workflow_with_executions(self, store: Store) -> None:
        await store.workflows.create("wf_a", _document("one"), now=NOW)
        await store.workflows.create("wf_b", _document("two"), now=NOW)
        await start(store.executions, "ex_1", workflow="wf_a")
        for id in ("wf_a", "wf_b"):
            await store.workflows.delete(id)
            with pytest.raises(NotFound):
                await store.workflows.get(id)
        assert (await store.workflows.version("wf_a", 1)).document == _document("one")
        with pytest.raises(NotFound):
            await store.workflows.version("wf_b", 1)
        assert (await store.executions.get("ex_1")).workflow_id == "wf_a"
        # a new workflow of the same name does not change what the old execution ran
        assert (await store.workflows.create("wf_a", _document("new"), now=NOW)).version == 2
        await store.workflows.delete("wf_a")
        await end(store.executions, "ex_1")
        await store.maintenance.remove([RetentionRule("succeeded", max_count=0)], now=NOW)
        with pytest.raises(NotFound):
            await store.workflows.version("wf_a", 1)

    async def test_what_a_trigger_keeps(self, store: Store) -> None:
        triggers = store.triggers
        assert await triggers.load_state("wf_a:cron") == {}
        await triggers.save_state("wf_a:cron", {"last": 1.5})
        await triggers.set_paused("wf_a:cron", True)
        await triggers.save_state("wf_a:cron", {"last": 2.5})
        assert await triggers.load_state("wf_a:cron") == {"last": 2.5}
        assert await triggers.paused() == {"wf_a:cron"}
        await triggers.set_paused("wf_a:cron", False)
        await triggers.set_paused("wf_a:other", False)
        assert await triggers.paused() == frozenset()
        assert await triggers.load_state("wf_a:cron") == {"last": 2.5}

    async def test_deliveries_in_pages(self, store: Store) -> None:
        for i in range(5):
            fire = Fire("wf_a:hook", f"k{i}", f"d_{i}", received_at=NOW + i, payload=b'{"n":%d}' % i)
            await create(store.executions, f"ex_{i}", fire=fire)
        first = await store.triggers.deliveries("wf_a:hook", limit=3)
        newest = first.items[0]
        assert (newest.id, newest.key, newest.payload, newest.execution_id) == ("d_4", "k4", None, "ex_4")
        rest = await store.triggers.deliveries("wf_a:hook", limit=3, cursor=first.next_cursor)
        assert [d.id for d in rest.items] == ["d_1", "d_0"]
        assert (await store.triggers.deliveries("wf_b:hook", limit=3)).items == []
        with pytest.raises(NotFound, match="d_x"):
            await store.triggers.delivery("d_x")

    async def test_a_delivery_that_started_nothing(self, store: Store) -> None:
        delivery = Delivery("d_1", "wf_a:hook", NOW, "k", ["payload"], error="The input does not fit.")
        await store.triggers.keep_delivery(delivery)
        assert await store.triggers.delivery("d_1") == delivery
        [listed] = (await store.triggers.deliveries("wf_a:hook", limit=5)).items
        assert (listed.id, listed.error, listed.execution_id) == ("d_1", "The input does not fit.", None)
        fire = Fire("wf_a:hook", "k0", "d_0", received_at=NOW, payload=b"{}")
        await create(store.executions, "ex_0", fire=fire)
        for started, found in ((True, ["d_0"]), (False, ["d_1"])):
            page = await store.triggers.deliveries("wf_a:hook", limit=5, started=started)
            assert [one.id for one in page.items] == found
        with pytest.raises(Conflict):
            await store.triggers.keep_delivery(delivery)
        # it did not use its key up, and goes when failed executions of its age would
        assert not (await create(store.executions, "ex_1", fire=Fire("wf_a:hook", "k", "d_2"))).duplicate
        await store.maintenance.remove([RetentionRule("failed", max_age=60)], now=NOW + 59)
        await store.triggers.delivery("d_1")
        await store.maintenance.remove([RetentionRule("failed", max_age=60)], now=NOW + 60)
        with pytest.raises(NotFound):
            await store.triggers.delivery("d_1")
        await store.triggers.delivery("d_2")

    async def test_a_draft_is_a_version_that_is_not_current(self, store: Store) -> None:
        workflows = store.workflows
        await workflows.create("wf_a", _document("one"), now=NOW)
        draft = await workflows.add_draft("wf_a", _document("draft"), now=NOW + 1)
        assert (draft.version, draft.created_at, draft.document) == (2, NOW + 1, _document("draft"))
        assert await workflows.version("wf_a", 2) == draft
        record = await workflows.get("wf_a")
        assert (record.name, record.version, record.revision) == ("one", 1, 1)
        assert (await workflows.update("wf_a", now=NOW + 2, document=_document("two"))).version == 3
        assert [v.version for v in (await workflows.versions("wf_a", limit=5)).items] == [3, 2, 1]
        with pytest.raises(NotFound, match="wf_x"):
            await workflows.add_draft("wf_x", _document("draft"), now=NOW)

    async def test_saving_the_newest_draft_makes_it_current(self, store: Store) -> None:
        workflows = store.workflows
        await workflows.create("wf_a", _document("one"), now=NOW)
        await workflows.add_draft("wf_a", _document("two"), now=NOW + 1)
        await workflows.add_draft("wf_a", _document("three"), now=NOW + 2)
        record = await workflows.update("wf_a", now=NOW + 3, document=_document("three"))
        assert (record.version, record.revision, record.name) == (3, 2, "three")
        # an older draft is not the newest any more
        assert (await workflows.update("wf_a", now=NOW + 4, document=_document("two"))).version == 4

    async def test_a_deleted_workflow_takes_its_triggers_along(self, store: Store) -> None:
        for id in ("wf_a", "wf_ab"):
            await store.workflows.create(id, _document(id), now=NOW)
            await store.triggers.save_state(f"{id}:cron", {"kept": True})
            await store.triggers.set_paused(f"{id}:cron", True)
            await create(store.executions, f"ex_{id}", workflow=id, fire=Fire(f"{id}:hook", "k", f"d_{id}"))
        await store.workflows.delete("wf_a")
        assert await store.triggers.load_state("wf_a:cron") == {}
        assert await store.triggers.paused() == {"wf_ab:cron"}
        with pytest.raises(NotFound):
            await store.triggers.delivery("d_wf_a")
        assert (await store.triggers.delivery("d_wf_ab")).execution_id == "ex_wf_ab"

    async def test_api_keys(self, store: Store) -> None:
        first = ApiKeyRecord("key_1", "admin", "hash-1", ("*",), NOW)
        second = ApiKeyRecord("key_2", "ci", "hash-2", ("executions:start", "read"), NOW + 1, expires_at=NOW + 60)
        for record in (first, second):
            await store.keys.create(record)
        assert await store.keys.find("hash-2") == second
        assert await store.keys.find("hash-x") is None
        assert await store.keys.list() == [first, second]
        with pytest.raises(Conflict):
            await store.keys.create(ApiKeyRecord("key_1", "twice", "hash-3", (), NOW))
        with pytest.raises(Conflict):
            await store.keys.create(ApiKeyRecord("key_3", "same", "hash-1", (), NOW))
        for seconds in range(5):
            await store.keys.touch("key_1", now=NOW + seconds)
        assert [record.last_used_at for record in await store.keys.list()] == [NOW + 4, None]
        await store.keys.revoke("key_1", now=NOW + 5)
        await store.keys.revoke("key_1", now=NOW + 9)
        found = await store.keys.find("hash-1")
        assert found is not None
        assert found.revoked_at == NOW + 5
        with pytest.raises(NotFound, match="key_x"):
            await store.keys.revoke("key_x", now=NOW)

    async def test_api_keys_have_limits_and_are_rotated(self, store: Store) -> None:
        keys = store.keys
        record = ApiKeyRecord(
            "key_1", "ci", "hash-1", ("read",), NOW,
            workflows=("wf_a", "wf_b"), labels={"team": "größe"}, addresses=("10.0.0.0/8",),
            max_queued=7,
        )  # fmt: skip
        await keys.create(record)
        assert await keys.find("hash-1") == record
        once = Idempotency("rotate", "k", "print")
        rotated = await keys.rotate("key_1", "hash-2", previous_expires_at=NOW + 60, idempotency=once)
        assert (rotated.hash, rotated.previous_hash, rotated.previous_expires_at) == ("hash-2", "hash-1", NOW + 60)
        assert await keys.find("hash-1") == await keys.find("hash-2") == rotated
        assert (rotated.workflows, rotated.labels) == (record.workflows, record.labels)
        with pytest.raises(KeyUsed) as again:
            await keys.rotate("key_1", "hash-9", previous_expires_at=NOW, idempotency=once)
        assert again.value.result == "key_1"
        for taken in ("hash-1", "hash-2"):
            with pytest.raises(Conflict):
                await keys.create(ApiKeyRecord("key_2", "same", taken, (), NOW))
            with pytest.raises(Conflict):
                await keys.rotate("key_1", taken, previous_expires_at=NOW)
        await keys.rotate("key_1", "hash-3", previous_expires_at=NOW + 90)
        assert await keys.find("hash-1") is None, "two at most count"
        with pytest.raises(NotFound, match="key_x"):
            await keys.rotate("key_x", "hash-8", previous_expires_at=NOW)
        await keys.revoke("key_1", now=NOW)
        with pytest.raises(Conflict, match="revoked"):
            await keys.rotate("key_1", "hash-8", previous_expires_at=NOW)

    async def test_a_ticket_counts_once(self, store: Store) -> None:
        keys = store.keys
        owner: JsonObject = {"key": "hash-1"}
        await keys.keep_ticket("t1", owner, now=NOW, expires_at=NOW + 60)
        await keys.keep_ticket("t2", owner, now=NOW, expires_at=NOW + 60)
        assert [await keys.find_ticket("t1", now=NOW + at) for at in (1, 59, 60)] == [owner, owner, None]
        assert await keys.find_ticket("none", now=NOW) is None
        taken = await asyncio.gather(*[keys.take_ticket("t1", now=NOW + 59) for _ in range(8)])
        assert sorted(taken, key=bool) == [None] * 7 + [owner]
        assert await keys.find_ticket("t1", now=NOW) is None, "it was taken"
        assert await keys.take_ticket("none", now=NOW) is None
        assert await keys.take_ticket("t2", now=NOW + 60) is None, "it has expired"
        assert await keys.take_ticket("t2", now=NOW + 1) is None, "and is gone"

    async def test_a_limit_shows_some_workflows_and_their_executions(self, store: Store) -> None:
        labels = {"team": "billing", "env": "prod"}
        await store.workflows.create("wf_a", _document("a", labels=labels), now=NOW)
        await store.workflows.create("wf_b", _document("b", labels={"team": "billing"}), now=NOW + 1)
        await store.workflows.create("wf_c", _document("c"), now=NOW + 2)
        for number, workflow in enumerate(["wf_a", "wf_b", "wf_c", "wf_gone", "wf_a"]):
            await create(store.executions, f"ex_{number}", workflow=workflow, at=NOW + number)
        cases = [
            (WorkflowLimit(frozenset({"wf_a", "wf_gone"})), ["wf_a"], ["ex_4", "ex_3", "ex_0"]),
            (WorkflowLimit(labels=(("team", "billing"),)), ["wf_b", "wf_a"], ["ex_4", "ex_1", "ex_0"]),
            (WorkflowLimit(labels=(("team", "billing"), ("env", "prod"))), ["wf_a"], ["ex_4", "ex_0"]),
            (WorkflowLimit(frozenset({"wf_c"}), (("env", None),)), ["wf_c", "wf_a"], ["ex_4", "ex_2", "ex_0"]),
            (WorkflowLimit(labels=(("team", "other"),)), [], []),
            (WorkflowLimit(), [], []),
        ]
        for within, workflows, executions in cases:
            assert [one.id for one in (await store.workflows.list(limit=9, within=within)).items] == workflows
            where = ExecutionFilter(within=within)
            assert [one.id for one in (await store.executions.list(where, limit=9)).items] == executions
            assert sum((await store.executions.count(where)).values()) == len(executions)
            for workflow in ("wf_a", "wf_b", "wf_c", "none"):
                assert await store.workflows.is_within(within, workflow_id=workflow) is (workflow in workflows)
            for number in range(6):
                shown = await store.workflows.is_within(within, execution_id=f"ex_{number}")
                assert shown is (f"ex_{number}" in executions)
        within = cases[1][0]
        page = await store.workflows.list(limit=1, within=within)
        assert [one.id for one in page.items] == ["wf_b"]
        page = await store.workflows.list(limit=1, within=within, cursor=page.next_cursor)
        assert ([one.id for one in page.items], page.next_cursor) == (["wf_a"], None)
        for where, found in (
            (ExecutionFilter(within=within, workflow_id="wf_a"), ["ex_4", "ex_0"]),
            (ExecutionFilter(within=within, workflow_id="wf_c"), []),
            (ExecutionFilter(within=within, labels=(("env", "prod"),)), ["ex_4", "ex_0"]),
            (ExecutionFilter(within=within, text="prod"), ["ex_4", "ex_0"]),
            (ExecutionFilter(within=within, statuses=frozenset({"failed"})), []),
        ):
            assert [one.id for one in (await store.executions.list(where, limit=9)).items] == found
        many = WorkflowLimit(frozenset(f"wf_{number}" for number in range(400)) | {"wf_b"})
        listed = await store.executions.list(ExecutionFilter(within=many), limit=9)
        assert [one.id for one in listed.items] == ["ex_1"]
        await store.workflows.update("wf_b", now=NOW + 9, document=_document("b"))
        assert not await store.workflows.is_within(within, workflow_id="wf_b"), "labels are those of today"

    async def test_a_key_makes_one_thing(self, store: Store) -> None:
        key = Idempotency("workflows", "k", "print")
        await store.workflows.create("wf_a", _document("one"), now=NOW, idempotency=key)
        with pytest.raises(KeyUsed) as again:
            await store.workflows.create("wf_b", _document("one"), now=NOW, idempotency=key)
        assert (again.value.result, again.value.fingerprint) == ("wf_a", "print")
        with pytest.raises(NotFound):
            await store.workflows.get("wf_b")
        # refused work uses no key up
        free = Idempotency("workflows", "free", "print")
        with pytest.raises(Conflict):
            await store.workflows.create("wf_a", _document("one"), now=NOW, idempotency=free)
        with pytest.raises(NotFound):
            await store.workflows.add_draft("wf_x", _document("one"), now=NOW, idempotency=free)
        assert await store.idempotency.find("workflows", "free") is None

        draft = await store.workflows.add_draft("wf_a", _document("two"), now=NOW, idempotency=free)
        with pytest.raises(KeyUsed) as again:
            await store.workflows.add_draft("wf_a", _document("two"), now=NOW, idempotency=free)
        assert again.value.result == str(draft.version) == "2"
        assert len((await store.workflows.versions("wf_a", limit=5)).items) == 2

        secret = Idempotency("keys", "k", "print")
        await store.keys.create(ApiKeyRecord("key_1", "ci", "hash-1", (), NOW), idempotency=secret)
        with pytest.raises(KeyUsed, match="used before") as again:
            await store.keys.create(ApiKeyRecord("key_2", "ci", "hash-2", (), NOW), idempotency=secret)
        assert again.value.result == "key_1"
        assert [record.id for record in await store.keys.list()] == ["key_1"]

        await store.idempotency.use(Idempotency("bulk", "k", "print"), "plan", now=NOW)
        with pytest.raises(KeyUsed):
            await store.idempotency.use(Idempotency("bulk", "k", "other"), "other", now=NOW)
        used = await store.idempotency.find("bulk", "k")
        assert used is not None
        assert (used.fingerprint, used.result) == ("print", "plan")
        assert await store.idempotency.find("other", "k") is None

    async def test_state_of_workflows(self, store: Store) -> None:
        state = store.state
        assert await state.get("wf", "a") is None
        first = await state.put("wf", "a", {"n": 1}, version=0)
        assert (first.value, first.version, first.expires_at) == ({"n": 1}, 1, None)
        assert (await state.put("wf", "a", [2])).version == 2
        assert (await state.put("wf", "a", 3, version=2)).version == 3
        kept = await state.get("wf", "a")
        assert kept is not None
        assert (kept.key, kept.value, kept.version) == ("a", 3, 3)
        for wrong in (0, 2, 4):
            with pytest.raises(Conflict) as changed:
                await state.put("wf", "a", 4, version=wrong)
            assert changed.value.code == "state-changed"
            with pytest.raises(Conflict):
                await state.delete("wf", "a", version=wrong)
        with pytest.raises(Conflict, match="is not there"):
            await state.put("wf", "b", 1, version=1)
        assert await state.get("other", "a") is None
        assert await state.delete("wf", "a", version=3)
        assert not await state.delete("wf", "a")
        assert (await state.put("wf", "a", 1)).version == 1

        once = Idempotency("state", "ex:step:1", "", owner="ex")
        assert (await state.put("wf", "n", 1, idempotency=once)).version == 1
        with pytest.raises(KeyUsed) as used:
            await state.put("wf", "n", 2, idempotency=once)
        assert used.value.result == "1"
        kept = await state.get("wf", "n")
        assert kept is not None
        assert kept.value == 1

    async def test_of_changes_of_state_at_the_same_moment_one_counts(self, store: Store) -> None:
        state = store.state
        for version in range(5):
            puts = [state.put("wf", "a", n, version=version) for n in range(6)]
            told = await asyncio.gather(*puts, return_exceptions=True)
            (won,) = [one for one in told if not isinstance(one, BaseException)]
            assert all(isinstance(one, Conflict) for one in told if one is not won)
            kept = await state.get("wf", "a")
            assert kept is not None
            assert (kept.version, kept.value) == (version + 1, won.value)
        once = Idempotency("state", "ex:step:1", "", owner="ex")
        puts = [state.put("wf", "n", n, idempotency=once) for n in range(6)]
        told = await asyncio.gather(*puts, return_exceptions=True)
        assert sum(isinstance(one, KeyUsed) for one in told) == 5
        kept = await state.get("wf", "n")
        assert kept is not None
        assert kept.version == 1
        deleted = await asyncio.gather(*(state.delete("wf", "n") for _ in range(4)))
        assert sorted(deleted) == [False, False, False, True]

    async def test_state_that_expires_is_not_there(self, store: Store) -> None:
        entry = await store.state.put("wf", "soon", 1, lifetime=0.01)
        assert entry.expires_at is not None
        await store.state.put("wf", "later", 1, lifetime=1000)
        await asyncio.sleep(0.02)
        assert await store.state.get("wf", "soon") is None
        assert [one.key for one in (await store.state.list("wf", limit=10)).items] == ["later"]
        assert (await store.state.put("wf", "soon", 2, version=0)).version == 1

    async def test_state_is_listed_by_key_and_goes_with_its_workflow(self, store: Store) -> None:
        await store.workflows.create("wf", _document("keeps"), now=NOW)
        for key in ("b:2", "a:1", "b:1", "b:3", "c"):
            await store.state.put("wf", key, key)
        first = await store.state.list("wf", prefix="b:", limit=2)
        assert [one.value for one in first.items] == ["b:1", "b:2"]
        rest = await store.state.list("wf", prefix="b:", limit=2, cursor=first.next_cursor)
        assert [one.key for one in rest.items] == ["b:3"]
        assert rest.next_cursor is None
        with pytest.raises(ValueError, match="cursor"):
            await store.state.list("wf", limit=2, cursor="x")
        await store.workflows.delete("wf")
        assert list((await store.state.list("wf", limit=10)).items) == []

    async def test_a_secret_is_kept_sealed_by_version(self, store: Store) -> None:
        secrets = store.secrets
        assert await secrets.get("TOKEN") is None
        first, second = _secret("TOKEN"), _secret("TOKEN", 2, workflows=("wf_a", "wf_b"), labels={"team": "ä"})
        await secrets.put(first)
        assert await secrets.get("TOKEN") == first
        for stale in (first, _secret("TOKEN", 3), _secret("OTHER", 2)):
            with pytest.raises(Conflict) as caught:
                await secrets.put(stale)
            assert caught.value.code == "revision"
        await secrets.put(second)
        assert await secrets.get("TOKEN") == second
        await secrets.touch(["TOKEN", "GONE"], now=NOW + 5)
        await secrets.put(_secret("ALPHA"))
        listed = await secrets.list()
        assert [(one.name, one.version, one.last_used_at) for one in listed] == [
            ("ALPHA", 1, None),
            ("TOKEN", 2, NOW + 5),
        ]
        with pytest.raises(Conflict):
            await secrets.delete("TOKEN", version=1)
        await secrets.delete("TOKEN", version=2)
        assert await secrets.get("TOKEN") is None
        with pytest.raises(Conflict):
            await secrets.delete("TOKEN", version=2)

    async def test_keys_of_secrets_are_wrapped_anew(self, store: Store) -> None:
        secrets = store.secrets
        for number in range(5):
            await secrets.put(_secret(f"S{number}"))
        old = await secrets.list(not_under="new", limit=3)
        assert [one.name for one in old] == ["S0", "S1", "S2"]
        await secrets.put(_secret("S1", 2))  # between reading and writing
        await secrets.rewrap([replace(one, kek_id="new", wrapped_key=b"wrapped anew") for one in old])
        assert [one.name for one in await secrets.list(not_under="new")] == ["S1", "S3", "S4"]
        assert await secrets.get("S0") == replace(_secret("S0"), kek_id="new", wrapped_key=b"wrapped anew")
        assert await secrets.get("S1") == _secret("S1", 2)

    async def test_settings_of_node_types(self, store: Store) -> None:
        off = NodeSetting("b.two", enabled=False)
        await store.node_settings.put(NodeSetting("a.one", default_params={"timeout": 3}))
        await store.node_settings.put(NodeSetting("b.two"))
        await store.node_settings.put(off)
        assert await store.node_settings.all() == [NodeSetting("a.one", default_params={"timeout": 3}), off]
        await store.node_settings.delete("a.one")
        await store.node_settings.delete("a.one")
        assert await store.node_settings.all() == [off]

    async def test_a_store_can_say_that_it_works_and_what_time_it_is(self, store: Store) -> None:
        await store.check()
        before = await store.now()
        assert 1e9 < before <= await store.now() < 1e10
