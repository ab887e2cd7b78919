"""A connection that breaks, or that says nothing, fails no write and does none twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio
from aicflow.ports import AuditEntry, Conflict, PendingAudit, StoredAnswer, StoreUnavailable, dumps, pending_audit
from aicflow.testing.postgres import Postgres, running_postgres
from aicflow.testing.proxy import Proxy, proxied
from aicflow.testing.store_samples import LEASE, NOW, batch, create, new, start
from aicflow_postgres.store import PostgresStore

_WAIT = {"aicflow": 1, "name": "w", "nodes": [{"id": "a", "type": "wait", "params": {"seconds": 0}}]}


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with proxied(url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def store(proxy: Proxy) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(proxy.url, pool=4, patience=10.0, timeout=1.0)
    await store.open()
    yield store
    await store.close()


def _told(action: str) -> PendingAudit:
    told = {"actor": "ann", "action": action, "target": "t", "at": 1}
    return PendingAudit(lambda pending: AuditEntry(dumps(told).decode(), None))


async def test_a_commit_whose_answer_is_lost_is_done_once(store: PostgresStore, proxy: Proxy) -> None:
    executions = store.executions

    def lose() -> None:
        assert proxy.drop_answers == 0
        proxy.drop_answers = 1

    lose()
    await store.workflows.create("wf", _WAIT, now=NOW)  # a second time it would be a conflict
    lose()
    assert (await executions.create(new("ex_1"), worker="w1", lease=LEASE, at=NOW)).epoch == 1
    for number in range(2, 5):
        lose()
        await executions.append("ex_1", 1, batch(number, "step.started"))
    lose()
    await executions.answer("ex_1", StoredAnswer("a", "answered", b"1"))
    with pytest.raises(Conflict):
        await executions.answer("ex_1", StoredAnswer("a", "answered", b"1"))
    lose()
    assert (await store.state.put("wf", "n", 1)).version == 1
    for number in range(3):
        await create(executions, f"ex_q{number}")
    lose()
    # what was claimed is told, not left until its lease ends
    assert len(await executions.claim("w2", 10, lease=LEASE, at=NOW)) == 3
    assert await store.maintenance.integrity() == []
    assert proxy.dropped == 8


async def test_what_the_audit_is_told_is_told_once(store: PostgresStore, proxy: Proxy) -> None:
    proxy.drop_answers = 1
    token = pending_audit.set(_told("execution.start"))
    await create(store.executions, "ex_1")
    pending_audit.reset(token)
    proxy.drop_answers = 1
    token = pending_audit.set(_told("state.put"))
    await store.state.put("wf", "n", 1)
    pending_audit.reset(token)
    assert proxy.dropped == 2
    assert len(await store.audit.read(after=0, limit=10)) == 2


async def test_connections_that_are_cut_are_made_again(store: PostgresStore, proxy: Proxy) -> None:
    await start(store.executions, "ex_1")
    first = 2
    for _ in range(5):
        # all of the pool at once, so that several in a row are broken
        await asyncio.gather(*(store.executions.get("ex_1") for _ in range(8)))
        assert proxy.cut()
        await store.executions.append("ex_1", 1, batch(first, "step.started"))
        assert proxy.cut()
        await store.state.put("wf", "n", first)
        assert proxy.cut()
        assert await store.executions.renew("w1", ["ex_1"], lease=LEASE) == frozenset()
        first += 1
    assert (await store.executions.get("ex_1")).last_seq == first - 1


async def test_a_connection_that_says_nothing_is_given_up(store: PostgresStore, proxy: Proxy) -> None:
    await start(store.executions, "ex_1")
    proxy.silent = True
    writes = [
        asyncio.create_task(store.executions.append("ex_1", 1, batch(2, "step.started"))),
        asyncio.create_task(store.state.put("wf", "n", 1)),
    ]
    await asyncio.sleep(0.3)
    proxy.silent = False  # what was said meanwhile is lost for good
    async with asyncio.timeout(30):
        await asyncio.gather(*writes)
    assert (await store.executions.get("ex_1")).last_seq == 2


async def test_a_crowd_at_one_entry_leaves_connections_to_others(url: str) -> None:
    store = PostgresStore(url, pool=4, patience=1.0)
    await store.open()
    await store.workflows.create("wf", _WAIT, now=NOW)
    async with await psycopg.AsyncConnection.connect(url) as elsewhere:
        await elsewhere.execute("SELECT pg_advisory_xact_lock(hashtextextended('aicflow state wf n', 0))")
        crowd = [asyncio.create_task(store.state.put("wf", "n", number)) for number in range(20)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            assert (await store.workflows.get("wf")).version == 1
    async with asyncio.timeout(30):
        assert sorted([entry.version for entry in await asyncio.gather(*crowd)]) == list(range(1, 21))
    await store.close()


async def test_a_restart_of_the_server_is_waited_for() -> None:
    with running_postgres() as server:
        store = PostgresStore(server.new_database(), pool=4, patience=20.0)
        await store.open()
        try:
            await _write_through_restarts(store, server)
        finally:
            await store.close()


async def _write_through_restarts(store: PostgresStore, server: Postgres) -> None:
    written: list[int] = []
    stop = False

    async def write(number: int) -> None:
        id = f"ex_{number}"
        await start(store.executions, id)
        seq = 1
        while not stop:
            seq += 1
            await store.executions.append(id, 1, batch(seq, "step.started"))
            await store.state.put("wf", id, seq)
        written.append(seq)
        assert (await store.executions.get(id)).last_seq == seq
        assert (await store.state.get("wf", id)).version == seq - 1  # type: ignore[union-attr]

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(write(number))
        for _ in range(2):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
        await asyncio.sleep(0.4)
        stop = True
    assert min(written) > 2


async def test_a_database_that_is_not_there_is_named(postgres: Postgres) -> None:
    store = PostgresStore(postgres.url("nowhere"), patience=0.5)
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist'):
        await store.open()
