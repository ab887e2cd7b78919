"""The audit: an entry for every change and every refused attempt, in a chain that shows what was done to it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aicflow.engine.clock import SystemClock
from aicflow.host.audit import Auditor
from aicflow.host.audit_chain import AuditKey
from aicflow.host.datadir import DataDir
from aicflow.store.memory import MemoryStore
from aicflow.store.sqlite import SQLiteStore

from .conftest import ECHO, Host

BELL = {**ECHO, "triggers": [{"id": "bell", "type": "test.bell"}]}


def entries(host: Host, **where: Any) -> list[dict[str, Any]]:
    """The entries, oldest first."""
    answer = host.client.get("/audit", params={"limit": 200, **where})
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["data"]))


def changes(host: Host) -> dict[str, tuple[str, str, Any]]:
    """How each call that changes something is called here, by its operation: method, path, body."""
    host.client.post("/workflows?id=wf", json=BELL)
    host.client.post("/workflows?id=gone", json=ECHO)
    host.client.post("/workflows/wf/drafts", json={**BELL, "name": "draft"})
    execution = host.start("wf", {"a": 1})["id"]
    fired = host.client.post("/triggers/wf:bell/fire", json={"payload": 1}).json()
    assert fired
    delivery = host.client.get("/triggers/wf:bell/deliveries").json()["data"][0]["id"]
    held = {**ECHO, "nodes": [{"id": "ask", "type": "wait", "params": {"seconds": 600}}], "output": None}
    host.client.post("/workflows?id=held", json=held)
    waiting = host.client.post("/executions", json={"workflow_id": "held"}).json()["id"]
    key = host.client.post("/api-keys", json={"name": "x", "scopes": ["read"]}).json()["id"]
    host.client.put("/workflows/wf/state/old", json={"value": 1})
    assert host.client.put("/secrets/OLD", json={"value": "an0ther-t0ken"}).is_success
    stored = host.client.post("/files", content=b"other", headers={"content-type": "text/plain"}).json()["sha256"]
    return {
        "create_workflow": ("POST", "/workflows?id=made", ECHO),
        "replace_workflow": ("PUT", "/workflows/wf", {**BELL, "name": "other"}),
        "patch_workflow": ("PATCH", "/workflows/wf", {"enabled": True}),
        "delete_workflow": ("DELETE", "/workflows/gone", None),
        "create_draft": ("POST", "/workflows/wf/drafts", {**BELL, "name": "second draft"}),
        "restore_workflow_version": ("POST", "/workflows/wf/versions/1/restore", None),
        "start_execution": ("POST", "/executions", {"workflow_id": "wf", "input": 1}),
        "cancel_execution": ("POST", f"/executions/{execution}/cancel", None),
        "resume_execution": ("POST", f"/executions/{waiting}/resume", {"action": "skip"}),
        "rerun_execution": ("POST", f"/executions/{execution}/rerun", None),
        "bulk_cancel": ("POST", "/executions/bulk-cancel", {"workflow_id": "held"}),
        "bulk_rerun": ("POST", "/executions/bulk-rerun", {"workflow_id": "wf"}),
        "configure_node_type": ("PATCH", "/node-types/test.echo", {"enabled": True}),
        "pause_trigger": ("POST", "/triggers/wf:bell/pause", None),
        "resume_trigger": ("POST", "/triggers/wf:bell/resume", None),
        "fire_trigger": ("POST", "/triggers/wf:bell/fire", {"payload": 2}),
        "replay_delivery": ("POST", f"/triggers/wf:bell/deliveries/{delivery}/replay", None),
        "send_event": ("POST", "/events", {"name": "paid"}),
        "put_state": ("PUT", "/workflows/wf/state/new", {"value": 2}),
        "delete_state": ("DELETE", "/workflows/wf/state/old", None),
        "put_secret": ("PUT", "/secrets/TOKEN", {"value": "s3cr3t-t0ken"}),
        "delete_secret": ("DELETE", "/secrets/OLD", None),
        "rotate_secrets_key": ("POST", "/secrets-key/rotate", None),
        "upload_file": ("POST", "/files", b"content"),
        "delete_file": ("DELETE", f"/files/{stored}", None),
        "find_subject": ("POST", "/subjects/find", {"value": "ann@example.com"}),
        "export_subject": ("POST", "/subjects/export", {"value": "ann@example.com"}),
        "erase_subject": ("POST", "/subjects/erase", {"value": "ann@example.com"}),
        "create_api_key": ("POST", "/api-keys", {"name": "y", "scopes": ["read"]}),
        "rotate_api_key": ("POST", f"/api-keys/{key}/rotate", None),
        "create_session": ("POST", "/session", None),
        "put_layout": ("PUT", "/workflows/wf/layout", {"layout": {"say": [1, 2]}}),
        "revoke_api_key": ("DELETE", f"/api-keys/{key}", None),
    }


@pytest.fixture
def host(new_host: Callable[..., Any]) -> Iterator[Host]:
    """A host with a store in a file."""
    with new_host() as running:
        yield running


def test_every_call_that_changes_something_leaves_an_entry(host: Host) -> None:
    reading = {"validate_workflow", "preview_expression", "create_ticket"}
    reading |= {"delete_session"}  # with a key there is none to end
    document = host.client.get(host.url + "/openapi.json").json()
    wanted = {
        call["operationId"]
        for path, calls in document["paths"].items()
        for method, call in calls.items()
        if path.startswith("/api/v1/") and method not in ("get", "head")
    }
    assert len(wanted) > 25
    wanted -= reading
    calls = changes(host)
    missing = wanted - calls.keys()
    assert not missing, (
        f"{sorted(missing)} change something, and `changes` above does not call them: add each with a request that "
        "succeeds, so that this test sees its audit entry (or to `reading`, if it changes nothing)."
    )
    actor = f"key:{host.client.get('/api-keys').json()['data'][-1]['id']}"  # the oldest: the admin's
    for name, (method, path, body) in calls.items():
        before = entries(host)[-1]["seq"]
        etag = {}
        if name in ("replace_workflow", "delete_workflow", "delete_secret"):
            etag = {"if-match": host.client.get(path).headers["etag"]}
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = host.client.request(method, path, **sent, headers={"x-request-id": f"rq-{name}", **etag})
        assert answer.is_success, (name, answer.text)
        told = [entry for entry in entries(host) if entry["seq"] > before and entry["action"] == name]
        assert len(told) == 1, f"{name} leaves {len(told)} entries with its name, not one"
        (entry,) = told
        assert (entry["actor"], entry["outcome"], entry["address"]) == (actor, "done", "127.0.0.1"), name
        assert entry["request_id"] == f"rq-{name}"
        made = answer.json() if answer.content else {}
        named = {"create_workflow", "start_execution", "rerun_execution", "create_api_key"}
        if name in named:
            assert entry["made"] == made["id"], name


def test_refused_attempts_are_merged_by_the_second(host: Host) -> None:
    key = host.client.post("/api-keys", json={"name": "reader", "scopes": ["read"]}).json()
    with host.bare(authorization="Bearer aicf_wrong") as wrong, host.bare(**{"x-api-key": key["key"]}) as reader:
        for number in range(5):
            assert wrong.get(f"/workflows/secret-{number}").status_code == 401
            assert reader.delete("/workflows/wf_a").status_code == 403
        assert wrong.get("/no/such/thing").status_code == 401
    found = entries(host)
    refused = [entry for entry in found if entry["outcome"] == "refused"]
    by_key = [entry for entry in refused if entry["actor"] == f"key:{key['id']}"]
    assert sum(entry.get("count", 1) for entry in by_key) == 5
    assert {(entry["action"], entry["target"], entry["status"]) for entry in by_key} == {
        ("delete_workflow", "workflows/wf_a", 403)
    }
    unknown = [entry for entry in refused if entry["actor"] == "anonymous"]
    assert sum(entry.get("count", 1) for entry in unknown) == 6
    assert {entry["target"] for entry in unknown} == {"workflows", "no"}
    assert "secret-" not in json.dumps(refused), "what nobody with a key asked for is not kept"
    # what the key may not know of is told as absent, but not here
    limited = {"name": "limited", "scopes": ["read"], "workflows": ["wf_b"]}
    only_b = host.client.post("/api-keys", json=limited).json()
    host.client.post("/workflows?id=wf_a", json=ECHO)
    with host.bare(**{"x-api-key": only_b["key"]}) as client:
        assert client.get("/workflows/wf_a").status_code == 404
    (entry,) = entries(host, actor=f"key:{only_b['id']}")
    assert (entry["outcome"], entry["target"], entry["status"]) == ("refused", "workflows/wf_a", 404)
    # reading, and what only failed, leaves nothing
    before = entries(host)[-1]["seq"]
    assert host.client.get("/workflows/none").status_code == 404
    assert host.client.post("/workflows", json={"aicflow": 2}).status_code == 422
    assert entries(host)[-1]["seq"] == before


@pytest.mark.parametrize("starts", ["each", "merged", "off"])
def test_starts_are_told_as_the_setting_says(new_host: Callable[..., Any], starts: str) -> None:
    with new_host(audit_starts=starts) as host:
        host.client.post("/workflows?id=wf", json=BELL)
        ids = {host.start("wf", number)["id"] for number in range(3)}
        again = {"idempotency-key": "once"}
        for _ in range(2):
            assert host.client.post("/executions", json={"workflow_id": "wf"}, headers=again).is_success
        found = entries(host, action="start_execution")
        done = [entry for entry in found if entry["outcome"] == "done"]
        named = {id for entry in done for id in [entry.get("made"), *(entry.get("many") or ())] if id}
        if starts == "off":
            assert not found
            return
        assert ids < named
        assert len(named) == 4
        assert [e.get("count", 1) for e in found if e["outcome"] == "repeated"] == [1]
        assert entries(host, target=sorted(ids)[0]), "an execution is found by its id"


@pytest.mark.parametrize("starts", ["each", "merged", "off"])
def test_what_triggers_start_is_told_as_theirs(new_host: Callable[..., Any], starts: str) -> None:
    with new_host(audit_starts=starts) as host:
        host.client.post("/workflows?id=wf", json=BELL)
        binding = host.runtime.trigger_service.get("wf:bell").binding
        first = host.do(host.runtime.triggers.fire(binding, {"n": 1}, key="noon"))
        assert host.do(host.runtime.triggers.fire(binding, {"n": 2}, key="noon")).duplicate
        told = [(entry["actor"], entry["made"]) for entry in entries(host, action="start_execution")]
        assert told == ([] if starts == "off" else [("trigger:wf:bell", first.execution_id)])


def test_state_keys_and_addresses_stand_beside_the_chain(host: Host) -> None:
    host.client.post("/workflows?id=wf", json=ECHO)
    host.client.put("/workflows/wf/state/ann@example.com", json={"value": 1})
    (entry,) = entries(host, action="put_state")
    assert entry["target"] == "workflows/wf/state/ann@example.com"
    database = host.runtime.settings.data_dir / "aicflow.db"
    with closing(sqlite3.connect(database)) as connection:
        ((body, personal),) = connection.execute(
            "SELECT body, personal FROM audit WHERE seq = ?", (entry["seq"],)
        ).fetchall()
    assert "ann@" not in body
    assert "127.0.0.1" not in body
    assert json.loads(personal)["address"] == "127.0.0.1"


def test_a_stop_signs_the_end_and_a_verification_reads_it(new_host: Callable[..., Any], tmp_path: Path) -> None:
    with new_host() as host:
        host.client.post("/workflows?id=wf", json=ECHO)
        first = host.client.get("/audit/verify").json()
        assert (first["problems"], first["seq"]) == ([], first["entries"])
    with new_host() as host:
        report = host.client.get("/audit/verify", params={"expect": first["hash"]}).json()
        assert (report["problems"], report["checkpoints"]) == ([], 1)
        assert entries(host, action="audit.checkpoint")[0]["through"] == first["seq"]
        other = host.client.get("/audit/verify", params={"expect": "0" * 64}).json()
        assert "No entry has the hash" in other["problems"][0]
        assert host.client.get("/audit/verify", params={"expect": "short"}).status_code == 422


def chain(path: Path) -> None:
    """A chain of 40 entries with two checkpoints."""

    async def make() -> None:
        store = SQLiteStore(path / "aicflow.db")
        await store.open()
        auditor = Auditor(store.audit, AuditKey(DataDir(path).server_secret()), SystemClock())
        for number in range(40):
            auditor.note("key:a", "delete_workflow", f"workflows/{number}", address=f"10.0.0.{number % 3}")
            await auditor.flush()
            if number in (10, 39):
                await auditor.checkpoint()
        await store.close()

    asyncio.run(make())


def verified(path: Path, expect: str | None = None) -> list[str]:
    async def look() -> list[str]:
        store = SQLiteStore(path / "aicflow.db")
        await store.open()
        report = await Auditor(store.audit, AuditKey(DataDir(path).server_secret()), SystemClock()).verify(
            expect=expect
        )
        await store.close()
        problems: list[str] = report["problems"]
        return problems

    return asyncio.run(look())


MUTATIONS = {
    "a word is changed": "UPDATE audit SET body = replace(body, 'delete', 'create') WHERE seq = 20",
    "a bit of a hash is changed": "UPDATE audit SET hash = zeroblob(32) WHERE seq = 20",
    "one is removed": "DELETE FROM audit WHERE seq = 20",
    "one is removed and the others close the gap": (
        "DELETE FROM audit WHERE seq = 20; UPDATE audit SET seq = -seq + 1 WHERE seq > 20; "
        "UPDATE audit SET seq = -seq WHERE seq < 0"
    ),
    "two are swapped": (
        "UPDATE audit SET seq = -1 WHERE seq = 20; UPDATE audit SET seq = 20 WHERE seq = 21; "
        "UPDATE audit SET seq = 21 WHERE seq = -1"
    ),
    "the first ones are removed": "DELETE FROM audit WHERE seq < 5",
    "the first ones up to a checkpoint are removed": "DELETE FROM audit WHERE seq <= 11",
    "one is put in": 'INSERT INTO audit VALUES (50, zeroblob(32), \'{"action":"a"}\', NULL)',
    "an address is changed": 'UPDATE audit SET personal = \'{"address":"10.9.9.9"}\' WHERE seq = 20',
    "a checkpoint is changed": (
        "UPDATE audit SET body = replace(body, '\"through\":11', '\"through\":12') WHERE seq = 12"
    ),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_whatever_is_done_to_the_chain_is_found(tmp_path: Path, what: str) -> None:
    chain(tmp_path)
    assert verified(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / "aicflow.db")) as connection:
        connection.executescript(MUTATIONS[what])
    assert verified(tmp_path), what


def test_a_chain_written_anew_differs_from_its_signatures(tmp_path: Path) -> None:
    from hashlib import sha256

    chain(tmp_path)
    with closing(sqlite3.connect(tmp_path / "aicflow.db")) as connection:
        previous = bytes(32)
        for seq, body in connection.execute("SELECT seq, body FROM audit ORDER BY seq").fetchall():
            body = body.replace("delete_workflow", "create_workflow") if seq == 5 else body
            previous = sha256(previous + body.encode()).digest()
            connection.execute("UPDATE audit SET body = ?, hash = ? WHERE seq = ?", (body, previous, seq))
        connection.commit()
    assert any("signed" in problem for problem in verified(tmp_path))


def test_a_cut_end_is_found_by_the_hash_that_was_kept_elsewhere(tmp_path: Path) -> None:
    chain(tmp_path)
    with closing(sqlite3.connect(tmp_path / "aicflow.db")) as connection:
        (kept,) = connection.execute("SELECT hex(hash) FROM audit WHERE seq = 41").fetchone()
        assert verified(tmp_path, kept.lower()) == []
        connection.execute("DELETE FROM audit WHERE seq >= 41")
        connection.commit()
    assert verified(tmp_path) == [], "a chain cannot show it by itself"
    assert "was cut" in verified(tmp_path, kept.lower())[0]


def test_erasing_what_stands_beside_the_chain_breaks_nothing(tmp_path: Path) -> None:
    chain(tmp_path)
    with closing(sqlite3.connect(tmp_path / "aicflow.db")) as connection:
        connection.execute("UPDATE audit SET personal = NULL")
        connection.commit()
    assert verified(tmp_path) == []


async def test_retention_drops_up_to_a_checkpoint_and_says_so() -> None:
    class Clock(SystemClock):
        moved = 0.0

        def now(self) -> float:
            return 1_700_000_000.0 + self.moved

    store, clock = MemoryStore(), Clock()
    await store.open()
    auditor = Auditor(store.audit, AuditKey(b"k" * 32), clock, keep=86_400.0)
    for _ in range(3):
        for number in range(4):
            auditor.note("system", "remove_executions", f"executions/{number}")
        await auditor.flush()
        await auditor.checkpoint()
        clock.moved += 50_000.0
    await auditor.checkpoint()
    assert len(await store.audit.read()) == 15, "an end that is signed already is not signed again"
    assert await auditor.prune() == 9
    rows = await store.audit.read()
    assert (rows[0].seq, len(rows)) == (10, 7)
    assert (await auditor.verify())["problems"] == []
    assert await auditor.prune() == 0
    clock.moved += 500_000.0
    assert await auditor.prune() == 5
    assert (await auditor.verify())["problems"] == []
    await store.close()
