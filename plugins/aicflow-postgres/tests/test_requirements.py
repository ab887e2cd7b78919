"""A worker takes only what it can run: by node types and by queues, in the store and with real processes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest_asyncio
from aicflow.ports import WorkerRecord
from aicflow.testing.store_samples import LEASE, NOW, claimed_ids, create, start
from aicflow_postgres.store import PostgresStore
from site_kit import ADDS, Server, Site, until

_QUICK = {"aicflow": 1, "name": "quick", "nodes": [{"id": "nap", "type": "wait", "params": {"seconds": 0}}]}
_ALL = WorkerRecord("w_all", "all", "one", 1, "1", None, 10, 0, frozenset({"a", "a@1", "b"}))
_SOME = replace(_ALL, id="w_some", types=frozenset({"a", "a@1"}))


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.open()
    yield store
    await store.close()


async def test_a_claim_takes_what_the_worker_is_able_to_run(store: PostgresStore) -> None:
    executions, number = store.executions, store.workers.number
    a, b = await number("default", ["a"]), await number("gpu", ["a", "b"])
    assert (await number("gpu", ["b", "a"]), a != b) == (b, True)
    for i in range(3):
        await create(executions, f"ex_a{i}", requires=a)
        await create(executions, f"ex_b{i}", requires=b)
    await create(executions, "ex_any")
    await create(executions, "ex_urgent", requires=b, priority=5)
    assert await executions.next_due(at=NOW - 5, able=[a]) == 5
    assert await _claimed(executions, [a], limit=2) == ["ex_a0", "ex_a1"]
    assert await _claimed(executions, [a]) == ["ex_a2"]
    assert await _claimed(executions, [a]) == []
    assert await executions.next_due(at=NOW, able=[a]) == LEASE  # what others wait for is not due for this one
    backlog = await executions.backlog(at=NOW)
    assert {number: (queued, running) for number, (queued, _, running) in backlog.items()} == {
        0: (1, 0), a: (0, 3), b: (4, 0)
    }  # fmt: skip
    # what was cancelled before it began is ended by anyone, what waits for a worker that has more is not taken
    await executions.request_cancel("ex_b1")
    assert await _claimed(executions, [a], cancelled_only=True) == ["ex_b1"]
    assert await _claimed(executions, [0, b]) == ["ex_urgent", "ex_b0", "ex_b2", "ex_any"]
    # put back for others: it is theirs from now on, also when the lease of one of them runs out
    await executions.hand_back("w1", "ex_any", 1, b)
    assert await _claimed(executions, [0, a]) == []
    assert await _claimed(executions, [b]) == ["ex_any"]
    assert set(await _claimed(executions, [0, a], now=NOW + LEASE)) == {"ex_a0", "ex_a1", "ex_a2", "ex_b1"}


async def _claimed(executions: Any, able: list[int], *, limit: int = 9, now: float = NOW, **more: Any) -> list[str]:
    found = await executions.claim("w1", limit, lease=LEASE, at=now, able=able, **more)
    return [one.execution.id for one in found]


async def test_a_backlog_that_others_are_to_run_costs_a_claim_nothing(store: PostgresStore, url: str) -> None:
    own, other = await store.workers.number("own", []), await store.workers.number("other", [])
    for i in range(20):
        await create(store.executions, f"ex_{i}", requires=other)
    await create(store.executions, "ex_own", requires=own)
    assert await claimed_ids(store.executions, limit=1) == ["ex_0"]
    assert await _claimed(store.executions, [own]) == ["ex_own"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO executions (id, workflow_id, version, status, created_at, available_at, last_seq, epoch,"
            " due_at, priority, admitted, trigger_kind, trigger, requires) SELECT 'ex_many' || i, 'wf', 1, 'queued', 1,"
            " 1, 1, 0, 1, 0, true, 'api', '{}', %s FROM generate_series(1, 20000) AS i",
            [other],
        )
        connection.execute("ANALYZE executions")
        before = _read(connection)
        assert await _claimed(store.executions, [own]) == []
        assert _read(connection) - before < 2_000  # tuples, of 20,000


def _read(connection: psycopg.Connection[Any]) -> int:
    time.sleep(1.1)  # statistics are told once a second
    sql = "SELECT pg_stat_clear_snapshot(), idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = %s"
    row = connection.execute(sql, ["executions"]).fetchone()
    assert row is not None
    return int(row[1])


async def test_a_requirement_knows_since_when_nobody_meets_it(store: PostgresStore, url: str) -> None:
    number = await store.workers.number("default", ["a", "b"])
    await start(store.executions, "ex_1", worker="w_all", requires=number)
    [seen] = await store.workers.beat(_ALL)
    assert (seen.id, seen.types, seen.missing) == (number, {"a", "b"}, 0)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE requirements SET had_at = had_at - 90000000")
        [seen] = await store.workers.beat(_SOME)
        assert round(seen.missing) == 90
        [seen] = await store.workers.beat(_ALL)
        assert seen.missing == 0
        assert [worker.id for worker in await store.workers.live()] == ["w_all", "w_some"]
        requirement, holder = await store.workers.requirement("ex_1")
        assert (requirement and requirement.id, holder) == (number, "w_all")
        connection.execute("UPDATE workers SET seen_at = seen_at - 31000000 WHERE id = 'w_all'")
    assert [worker.id for worker in await store.workers.live()] == ["w_some"]
    await store.workers.leave("w_some")
    assert await store.workers.live() == []


def _why(server: Server, id: str) -> str:
    sentence: str = server.client.get(f"/api/v1/executions/{id}/why").json()["sentence"]
    return sentence


def _get(server: Server, id: str) -> dict[str, Any]:
    found: dict[str, Any] = server.client.get(f"/api/v1/executions/{id}").json()
    return found


def test_a_worker_leaves_to_others_what_it_has_no_node_type_for(site: Site) -> None:
    server = site.server()
    lacking = {"AICFLOW_BLOCKED_PLUGINS": "aicflow-data", "AICFLOW_WORKER_NAME": "bare"}
    site.worker(**lacking)
    assert server.save("adds", ADDS).status_code == 201
    assert server.save("quick", _QUICK).status_code == 201
    ids = [server.begin("adds") for _ in range(5)]
    quick = server.begin("quick")
    until(lambda: server.succeeded("quick") == 1)
    assert {_get(server, id)["status"] for id in ids} == {"queued"}
    assert _why(server, ids[0]) == "It is queued: no live worker of queue 'default' has state.add."
    [worker] = server.client.get("/api/v1/workers").json()["data"]
    assert (worker["name"], worker["queues"], "wait" in worker["types"]) == ("bare", None, True)
    assert "state.add" not in worker["types"]

    site.worker(AICFLOW_WORKER_NAME="full")
    until(lambda: server.succeeded("adds") == 5)
    assert server.client.get("/api/v1/workflows/adds/state/n").json()["value"] == 5
    assert {one["name"] for one in server.client.get("/api/v1/workers").json()["data"]} == {"bare", "full"}
    assert _get(server, quick)["status"] == "succeeded"


def test_an_execution_fails_when_no_worker_has_had_its_node_type_for_too_long(site: Site) -> None:
    server = site.server()
    assert server.save("adds", ADDS).status_code == 201
    id = server.begin("adds")
    site.worker(AICFLOW_BLOCKED_PLUGINS="aicflow-data", AICFLOW_MISSING_GRACE="1")
    until(lambda: _get(server, id)["status"] == "failed")
    error = _get(server, id)["error"]
    assert error["code"] == "cannot-run"
    assert "No live worker has had state.add" in error["message"]


def test_workers_take_from_their_queues(site: Site) -> None:
    server = site.server()
    napping = [{"id": "nap", "type": "wait", "params": {"seconds": 0.2}}]
    for name, queue in (("plain", None), ("heavy", "gpu")):
        settings = {} if queue is None else {"settings": {"queue": queue}}
        assert server.save(name, {"aicflow": 1, "name": name, "nodes": napping, **settings}).status_code == 201
    refused = server.save("wrong", {"aicflow": 1, "name": "x", "nodes": napping, "settings": {"queue": "a b"}})
    assert refused.status_code == 422
    process = site.worker("--queues", "default")
    plain = [server.begin("plain") for _ in range(3)]
    heavy = [server.begin("heavy") for _ in range(3)]
    until(lambda: server.succeeded("plain") == 3)
    assert _why(server, heavy[0]) == "It is queued: no live worker takes from queue 'gpu'."
    figures = server.client.get("/api/v1/scaling").json()
    assert {one["queue"]: one["queued"] for one in figures["queues"]} == {"gpu": 3}
    assert server.client.get("/api/v1/scaling", params={"queue": "default"}).json()["wanted_workers"] == 0
    assert server.client.get("/api/v1/scaling", params={"queue": "gpu"}).json()["wanted_workers"] == 1
    assert {_get(server, id)["status"] for id in heavy} == {"queued"}

    site.worker("--queues", "gpu,other")
    process.terminate()
    process.wait()
    waiting = server.begin("plain")
    until(lambda: server.succeeded("heavy") == 3)
    assert _get(server, waiting)["status"] == "queued"
    assert _get(server, plain[0])["status"] == "succeeded"
    [left] = server.client.get("/api/v1/workers").json()["data"]  # the other one has said that it stops
    assert left["queues"] == ["gpu", "other"]


def test_queues_need_a_store_that_hosts_share(site: Site, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/one.db"
    assert site.start("serve", "--port", "0", "--queues", "a", AICFLOW_STORE=store).wait(120) != 0
