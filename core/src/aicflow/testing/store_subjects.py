"""Store suite: finding and erasing what is kept about a person."""

from __future__ import annotations

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.subjects import DataSubject, Holding
from aicflow.kernel.trigger import Delivery
from aicflow.testing.store_samples import NOW, create, end, start

_DOCUMENT = {"aicflow": 1, "name": "a", "nodes": [{"id": "a", "type": "core.nothing"}]}
ANN = DataSubject("aa", "Ann@example.com")


def _named(found: list[Holding] | tuple[Holding, ...], kind: str) -> list[str]:
    return [one.id for one in found if one.kind == kind]


class SubjectCases:
    """All of it is found, and it goes with all that belongs to it. `purges_files`: whether the store can look at its
    own files, and write them anew."""

    purges_files = True

    async def test_executions_are_found_by_subject_with_those_made_from_them(self, store: Store) -> None:
        await create(store.executions, "ex_1", subjects=["aa"])
        await create(store.executions, "ex_2", subjects=["bb"])
        await create(store.executions, "ex_3", at=NOW + 1, subjects=["bb", "aa"])
        await create(store.executions, "ex_child", at=NOW + 2, parent_execution_id="ex_1", parent_node_id="call")
        await create(store.executions, "ex_again", at=NOW + 3, rerun_of="ex_child")
        key = Idempotency("on_failure", "ex_2", "", owner="ex_2")
        await create(store.executions, "ex_handler", at=NOW + 4, idempotency=key)
        found = list(await store.subjects.find(DataSubject("aa")))
        assert [(one.kind, one.status) for one in found] == [("execution", "queued")] * 4
        ids = [one.id for one in found]
        assert set(ids) == {"ex_1", "ex_3", "ex_child", "ex_again"}
        assert ids.index("ex_again") < ids.index("ex_child") < ids.index("ex_1"), "what was made from one comes first"
        assert {one.id for one in await store.subjects.find(DataSubject("bb"))} == {"ex_2", "ex_3", "ex_handler"}
        assert not list(await store.subjects.find(DataSubject("cc")))
        assert not list(await store.subjects.find(DataSubject()))

    async def test_executions_are_found_by_their_workflow_s_labels(self, store: Store) -> None:
        for id, labels in (("wf_a", {"customer": "acme", "team": "x"}), ("wf_b", {"customer": "other"}), ("wf_c", {})):
            await store.workflows.create(id, {**_DOCUMENT, "labels": labels}, now=NOW)
            await create(store.executions, f"ex_{id}", workflow=id)
        for wanted in ((("customer", "acme"),), (("customer", "acme"), ("team", None))):
            found = await store.subjects.find(DataSubject(labels=wanted))
            assert [one.id for one in found] == ["ex_wf_a"]
        assert not list(await store.subjects.find(DataSubject(labels=(("customer", "none"),))))

    async def test_what_executions_do_not_hold_is_found_by_the_text(self, store: Store) -> None:
        text = "ann@example.com"
        await store.workflows.create("wf_a", {**_DOCUMENT, "description": text}, now=NOW)
        for id, payload, key in (
            ("dl_1", {"to": text}, None),
            ("dl_2", {}, text.upper()),
            ("dl_3", {"to": "x" + text}, None),
        ):
            await store.triggers.keep_delivery(Delivery(id, "wf_a:t", NOW, key, payload, error="refused"))
        for id, key, data in (("ev_1", text, None), ("ev_2", None, {"mail": text}), ("ev_3", "x", None)):
            await store.sent.send(SentEvent(id, "paid", key, data, NOW, NOW + 9))
        await store.state.put("wf_a", f"seen:{text}", 1)
        await store.state.put("wf_a", "all", [text, "bob"])
        await store.idempotency.use(Idempotency("api", f"order {text}", ""), "x", now=NOW)
        found = list(await store.subjects.find(ANN))
        assert {kind: sorted(_named(found, kind)) for kind in {one.kind for one in found}} == {
            "delivery": ["dl_1", "dl_2"],
            "event": ["ev_1", "ev_2"],
            "state": [f"wf_a/seen:{text}"],
            "key": [f"api/order {text}"],
            "mention": ["state wf_a/all", "workflow wf_a version 1"],
        }
        assert await store.subjects.erase(found) == 6
        assert {one.kind for one in await store.subjects.find(ANN)} == {"mention"}
        assert await store.state.get("wf_a", "all") is not None
        assert [event.id for event in (await store.sent.list(limit=9)).items] == ["ev_3"]

    async def test_erasing_takes_ended_executions_and_their_files(self, store: Store) -> None:
        for name in ("mine", "shared"):
            await store.files.add(FileRecord(name * 8, 3, "text/plain", None, NOW, NOW * 2, f"a/{name}"))
        await start(store.executions, "ex_1", subjects=["aa"], files=["mine" * 8, "shared" * 8])
        await create(store.executions, "ex_2", subjects=["bb"], files=["shared" * 8])
        found = list(await store.subjects.find(ANN))
        assert _named(found, "file") == ["mine" * 8]
        assert await store.subjects.erase(found) == 0, "it has not ended"
        assert (await store.executions.get("ex_1")).status == "running"
        await end(store.executions, "ex_1")
        assert await store.subjects.erase(list(await store.subjects.find(ANN))) == 2
        try:
            await store.executions.get("ex_1")
            raise AssertionError("it is gone")
        except NotFound:
            pass
        assert not await store.executions.events("ex_1")
        assert list(await store.files.expire(now=NOW)) == ["a/mine"]
        assert not list(await store.subjects.find(ANN))
        assert not await store.subjects.erase(found), "again does nothing"
        left = await store.subjects.purge(["ann@example.com"])
        assert not self.purges_files or not list(left)
