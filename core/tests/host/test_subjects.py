"""Data subjects: everything about a person is found, exported and erased, and nothing of it can be read afterwards."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aicflow.kernel.ports.subjects import DataSubject
from aicflow.store.search import files_with
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing.store_samples import create, end, start

from .conftest import ECHO, Host, problem

ANN, BOB = "Ann.Lee@example.com", "bob@example.com"
ABOUT = {**ECHO, "settings": {"subject": "${{ input.email }}"}}
FAILING = {
    **ABOUT,
    "nodes": [{"id": "say", "type": "test.chatter", "params": {"lines": "${{ input.email }}"}}],
    "output": 1,
}


@pytest.fixture
def host(new_host: Callable[..., Any]) -> Iterator[Host]:
    """A host with a store in a file."""
    with new_host() as running:
        yield running


def fill(host: Host) -> dict[str, list[str]]:
    """Something of every kind about both: the ids of executions by address."""
    host.client.post("/workflows?id=about", json={**ABOUT, "triggers": [{"id": "bell", "type": "test.bell"}]})
    host.client.post("/workflows?id=failing", json=FAILING)
    made: dict[str, list[str]] = {}
    for who in (ANN, BOB):
        ids = made[who] = []
        texts = (who, f"{who} " * 3000)  # in the row, and kept once by its hash in pages of its own
        ids += [host.start("about", {"email": who, "text": text})["id"] for text in texts]
        ids.append(host.start("failing", {"email": who})["id"])
        ids.append(host.client.post(f"/executions/{ids[0]}/rerun").json()["id"])
        host.runtime_wait(ids[-1])
        fired = host.client.post("/triggers/about:bell/fire", json={"payload": {"email": who}}).json()
        ids.append(fired["id"])
        host.runtime_wait(ids[-1])
        host.client.post("/events", json={"name": "paid", "key": who, "data": {"of": who}})
        host.client.put(f"/workflows/about/state/seen:{who.lower()}", json={"value": who})
        host.client.put(f"/workflows/about/state/seen:{who}", json={"value": 1})
        body = {"workflow_id": "about", "input": {"email": who}}
        once = {"idempotency-key": f"order-{who}"}
        ids.append(host.client.post("/executions?wait=20", json=body, headers=once).json()["id"])
    return made


def on_disk(folder: Path, text: str) -> list[str]:
    """Files of the data folder that hold the text, by the words of this test itself."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if text.lower().encode() in path.read_bytes().lower())


@pytest.fixture(autouse=True)
def _waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(self: Host, execution_id: str) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.client.get(f"/executions/{execution_id}").json()["finished_at"]:
                return
            time.sleep(0.02)
        raise AssertionError("it does not end")

    monkeypatch.setattr(Host, "runtime_wait", wait, raising=False)


def test_everything_of_a_person_is_found_exported_and_erased(new_host: Callable[..., Any], tmp_path: Path) -> None:
    with new_host() as host:
        made = fill(host)
        found = host.client.post("/subjects/find", json={"value": f" {ANN.upper()} "}).json()
        assert {one["id"] for one in found["holdings"] if one["kind"] == "execution"} == set(made[ANN])
        found = host.client.post("/subjects/find", json={"value": ANN}).json()
        assert found["counts"] == {"execution": 6, "event": 1, "state": 2, "key": 1}
        assert found["mentions"] == []
        exported = host.client.post("/subjects/export", json={"value": ANN}).json()["data"]
        assert len(exported) == sum(found["counts"].values())
        shown = {one["id"]: one["data"] for one in exported}
        assert shown[made[ANN][1]]["input"]["text"].startswith(ANN)
        assert shown[made[ANN][0]]["events"]
        assert BOB not in json.dumps(exported)
        assert host.client.post("/subjects/erase", json={"value": ANN, "dry_run": True}).json()["erased"] == 0
        assert host.client.post("/subjects/find", json={"value": ANN}).json() == found
        done = host.client.post("/subjects/erase", json={"value": ANN}).json()
        assert (done["erased"], done["traces"], done["mentions"]) == (10, [], [])
        assert host.client.post("/subjects/find", json={"value": ANN}).json()["holdings"] == []
        assert host.client.get(f"/executions/{made[ANN][0]}").status_code == 404
        # nothing of it can be read, of the other all of it
        assert on_disk(tmp_path / "data", ANN) == []
        assert on_disk(tmp_path / "data", BOB)
        assert host.client.get(f"/executions/{made[BOB][0]}").json()["input"]["email"] == BOB
        # told, without the data
        audit = host.client.get("/audit", params={"action": "erase_subject"}).json()["data"]
        assert sorted((entry["outcome"] for entry in audit), reverse=True) == ["dry-run", "done"]
        assert ANN.lower() not in host.client.get("/audit?limit=200").text.lower()
        assert host.client.get("/audit/verify").json()["problems"] == []
        assert host.client.post("/subjects/erase", json={"value": ANN}).json()["erased"] == 0
    with new_host() as host:
        assert host.client.post("/subjects/find", json={"value": BOB}).json()["counts"]["execution"] == 6


def test_backups_that_still_hold_it_are_named(new_host: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with new_host(backup_dirs=(str(tmp_path / "elsewhere"),)) as host:
        host.client.post("/workflows?id=about", json=ABOUT)
        host.start("about", {"email": ANN})
        for place in (tmp_path / "data" / "copy.db", tmp_path / "elsewhere" / "monday.db"):
            with (
                closing(sqlite3.connect(tmp_path / "data" / "aicflow.db")) as live,
                closing(sqlite3.connect(place)) as to,
            ):
                live.backup(to)
        done = host.client.post("/subjects/erase", json={"value": ANN}).json()
        assert done["traces"] == [str(tmp_path / "data" / "copy.db"), str(tmp_path / "elsewhere" / "monday.db")]


def test_what_has_not_ended_is_refused_or_cancelled(host: Host) -> None:
    waiting = {**ABOUT, "nodes": [{"id": "wait", "type": "wait", "params": {"seconds": 600}}], "output": None}
    host.client.post("/workflows?id=held", json=waiting)
    id = host.client.post("/executions", json={"workflow_id": "held", "input": {"email": ANN}}).json()["id"]
    refused = problem(host.client.post("/subjects/erase", json={"value": ANN}), 409, "conflict")
    assert id in refused["detail"]
    assert "cancel" in refused["hint"]
    assert host.client.get(f"/executions/{id}").json()["status"] in ("running", "waiting")
    assert host.client.post("/subjects/erase", json={"value": ANN, "dry_run": True}).json()["active"] == [id]
    done = host.client.post("/subjects/erase", json={"value": ANN, "cancel": True}).json()
    assert (done["erased"], done["traces"]) == (1, [])
    assert host.client.get(f"/executions/{id}").status_code == 404


def test_a_subject_may_be_a_list_a_number_or_nobody(host: Host) -> None:
    several = {**ECHO, "settings": {"subject": ["${{ input.email }}", "${{ input.number }}"]}}
    host.client.post("/workflows?id=several", json=several)
    both = host.start("several", {"email": ANN, "number": 4711})["id"]
    host.start("several", {"email": None, "number": None})
    for who in (ANN, 4711, "4711"):
        found = host.client.post("/subjects/find", json={"value": who}).json()
        assert [one["id"] for one in found["holdings"] if one["kind"] == "execution"] == [both]
    bad = host.client.post("/executions", json={"workflow_id": "several", "input": {"email": {}, "number": 1}})
    assert "settings.subject" in bad.json()["detail"]
    assert bad.status_code == 422
    unknown = {**ECHO, "settings": {"subject": "${{ nodes.say.output }}"}}
    refused = problem(host.client.post("/workflows", json=unknown), 422, "workflow-invalid")
    assert refused["errors"][0]["pointer"] == "/settings/subject"
    for body in ({}, {"value": " "}, {"value": ANN, "more": 1}, {"labels": {}}):
        problem(host.client.post("/subjects/find", json=body), 422, "request-invalid")


def test_labels_say_whom_a_workflow_is_about(host: Host) -> None:
    host.client.post("/workflows?id=acme", json={**ECHO, "labels": {"customer": "acme"}})
    host.client.post("/workflows?id=other", json=ECHO)
    mine = host.start("acme", 1)["id"]
    host.start("other", 2)
    found = host.client.post("/subjects/find", json={"labels": {"customer": "acme"}}).json()
    assert found["holdings"] == [{"kind": "execution", "id": mine, "status": "succeeded"}]
    assert host.client.post("/subjects/erase", json={"labels": {"customer": "acme"}}).json()["erased"] == 1


def test_the_record_of_processing_says_what_workflows_do(host: Host) -> None:
    schema = {"type": "object", "properties": {"email": {"type": "string"}, "name": {"type": "string"}}}
    host.client.post("/workflows?id=about", json={**ABOUT, "input_schema": schema})
    record = host.client.get("/subjects/record").json()
    (activity,) = record["workflows"]
    assert (activity["subject"], activity["input_fields"]) == ("${{ input.email }}", ["email", "name"])
    assert record["retention"]["audit"] == "forever"


KILLED = """
import asyncio, os, signal, sys
from aicflow.kernel.ports.subjects import DataSubject
from aicflow.store.sqlite import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    found = [one for one in await store.subjects.find(DataSubject("aa"))]
    at = int(sys.argv[2])
    for number, one in enumerate(found):
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        await store.subjects.erase([one])
    if at >= len(found):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_killed_at_any_step_an_erasure_done_again_ends_clean(tmp_path: Path, at: int) -> None:
    path = tmp_path / "aicflow.db"

    async def fill() -> None:
        store = SQLiteStore(path)
        await store.open()
        more: dict[str, Any] = {"input": {"email": ANN, "text": ANN * 3000}}
        for id, made_from in (("ex_1", {}), ("ex_2", {"parent_execution_id": "ex_1"}), ("ex_3", {"rerun_of": "ex_2"})):
            about = {"subjects": ["aa"]} if id == "ex_1" else {}
            await start(store.executions, id, **more, **about, **made_from)
            await end(store.executions, id)
        await create(store.executions, "ex_other", subjects=["bb"])
        await store.close()

    async def again() -> list[str]:
        store = SQLiteStore(path)
        await store.open()
        while found := await store.subjects.find(DataSubject("aa")):
            await store.subjects.erase(found)
        left = list(await store.subjects.purge([ANN]))
        assert (await store.executions.get("ex_other")).id == "ex_other"
        assert await store.maintenance.integrity() == []
        await store.close()
        return left

    asyncio.run(fill())
    assert on_disk(tmp_path, ANN)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), str(at)], check=False, timeout=60)
    assert killed.returncode == -9
    assert asyncio.run(again()) == []
    assert on_disk(tmp_path, ANN) == []


def test_what_earlier_versions_removed_is_overwritten_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "aicflow.db"

    async def opened(**more: Any) -> None:
        store = SQLiteStore(path)
        await store.open()
        await create(store.executions, f"ex_{len(more)}", **more)
        await store.close()

    asyncio.run(opened(input={"email": ANN, "text": ANN * 3000}))
    with closing(sqlite3.connect(path)) as connection:  # as an earlier version did it
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM events")
        connection.execute("DELETE FROM payloads")
        connection.execute("DELETE FROM executions")
        connection.execute("PRAGMA user_version = 0")
        connection.commit()
    assert on_disk(tmp_path, ANN)
    asyncio.run(opened())
    assert on_disk(tmp_path, ANN) == []


def test_a_reader_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "aicflow.db"

    async def erase() -> list[str]:
        store = SQLiteStore(path)
        await store.open()
        await start(store.executions, "ex_1", input={"email": ANN}, subjects=["aa"])
        await end(store.executions, "ex_1")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM executions").fetchone()
            await store.subjects.erase(await store.subjects.find(DataSubject("aa")))
            told = list(await store.subjects.purge([ANN], timeout=0.3))
        assert "another process" in told[0]
        assert str(path) in told or f"{path}-wal" in told
        left = list(await store.subjects.purge([ANN]))
        await store.close()
        return left

    assert asyncio.run(erase()) == []


def test_a_search_finds_what_lies_across_its_pieces(tmp_path: Path) -> None:
    for name, content in (
        ("across", b"x" * ((1 << 20) - 4) + b"ann@EXAMPLE.com"),
        ("escaped", b'"Gr\\u00fc\\u00df dich"'),
        ("none", b"nothing"),
    ):
        (tmp_path / name).write_bytes(content)
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in files_with(paths, ["ann@example.com"])] == ["across"]
    assert [path.name for path in files_with(paths, ["Grüß dich"])] == ["escaped"]
    assert files_with(paths, ["none"]) == [], "short texts are in every file by chance"
    assert files_with([tmp_path / "absent"], ["ann@example.com"]) == []
