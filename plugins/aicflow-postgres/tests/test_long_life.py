"""What keeps a PostgreSQL store quick for years: rows that stay on their page, and a queue that forgets its past."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from aicflow.ports import SlotLimit, StoredAnswer
from aicflow.testing.store_samples import batch, create, end, park, start
from aicflow_postgres.database import AT_ONCE_BEFORE
from aicflow_postgres.executions import CLAIM, lane_values
from aicflow_postgres.floors import Lanes
from aicflow_postgres.store import PostgresStore


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.open()
    yield store
    await store.close()


async def _updates(url: str) -> tuple[int, int]:
    """Updates of executions as the server counts them, and those that touched no index."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'executions'"
        row = await (await connection.execute(sql)).fetchone()
    assert row is not None
    return row[0], row[1]


async def test_progress_touches_no_index(store: PostgresStore, url: str) -> None:
    ids = [f"ex_{number:03}" for number in range(200)]
    await asyncio.gather(*(start(store.executions, id, at=time.time()) for id in ids))
    await store.close()  # a connection that ends has told its counts
    before = await _updates(url)
    again = PostgresStore(url)
    await again.open()
    for seq in range(2, 8):
        await asyncio.gather(*(again.executions.append(id, 1, batch(seq, "step.progress")) for id in ids))
    await again.close()
    after = await _updates(url)
    updates, hot = after[0] - before[0], after[1] - before[1]
    assert updates == 6 * len(ids)
    assert hot >= 0.9 * updates


async def _pass(store: PostgresStore, lane: str, ids: list[str]) -> None:
    """Executions of which each goes through the lane and ends."""
    executions, now = store.executions, time.time()
    if lane in ("ready", "special", "leases"):
        priority = 5 if lane == "special" else 0
        await asyncio.gather(*(create(executions, id, at=now, priority=priority) for id in ids))
    else:
        await asyncio.gather(*(start(executions, id, at=now) for id in ids))
        await asyncio.gather(*(park(executions, id, wake_at=now if lane == "waits" else None) for id in ids))
        if lane == "at_once":
            await asyncio.gather(*(executions.answer(id, StoredAnswer("a", "answered", b"1")) for id in ids))
    # of leases entries remain that would run out just now
    while claimed := await executions.claim("w1", 50, lease=0.2 if lane == "leases" else 60.0):
        ends = [(c.execution.id, c.execution.epoch, c.execution.last_seq + 1) for c in claimed]
        await asyncio.gather(*(end(executions, id, epoch=epoch, seq=seq) for id, epoch, seq in ends))


@pytest.mark.parametrize("lane", ["ready", "special", "waits", "at_once", "leases"])
async def test_a_held_snapshot_does_not_slow_claims(store: PostgresStore, url: str, lane: str) -> None:
    floors = store.executions._floors
    async with await psycopg.AsyncConnection.connect(url) as reader:
        await reader.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await reader.execute("SELECT count(*) FROM executions")
        for start_at in range(0, 2_500, 500):
            await _pass(store, lane, [f"ex_{number:05}" for number in range(start_at, start_at + 500)])
        await asyncio.sleep(2.5)  # an instant may lie so far in the past when it is written
        floors._seen_at, floors._whole_at = 0.0, time.monotonic()
        await floors.look(clock=True)
        known = floors.known
        # what a claim reads is bounded by what waits, not by what has gone through the queue
        without, with_floors = await _buffers(store, Lanes(-(2**63), 0, 0, 0, 0)), await _buffers(store, known)
        print(f"{lane}: {without} pages without floors, {with_floors} with them")
        assert with_floors < 100
        assert with_floors < without / 2
        await create(store.executions, "ex_last", at=time.time(), priority=5 if lane == "special" else 0)
        assert [one.execution.id for one in await store.executions.claim("w1", 50, lease=60.0)] == ["ex_last"]


async def _buffers(store: PostgresStore, floors: Lanes) -> int:
    """The pages that a claim reads which finds nothing."""
    values = (*lane_values(floors, None, 50), 50, "w1", None, 60_000_000)
    [(plan,)] = await store.maintenance.rows(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}", *values)
    found: dict[str, Any] = plan[0]["Plan"]

    return int(found["Shared Hit Blocks"]) + int(found["Shared Read Blocks"])


async def test_what_comes_back_with_an_old_number_is_found_at_once(store: PostgresStore) -> None:
    executions, floors = store.executions, store.executions._floors
    one = (SlotLimit("k", 1, "queue"),)
    now = time.time() - 9
    for id in ("ex_back", "ex_first", "ex_line"):
        await create(executions, id, at=now, limits=() if id == "ex_back" else one)
    await create(executions, "ex_delayed", at=now, available_at=now + 8)
    claimed = {c.execution.id: c.execution.epoch for c in await executions.claim("w1", 9, lease=60.0)}
    assert set(claimed) == {"ex_back", "ex_first", "ex_delayed"}
    # far above all of them, where that can be
    instant = time.time_ns() // 1000
    floors.known = Lanes(instant - 2_000_000 - AT_ONCE_BEFORE, 2**60, 2**60, 2**60, instant - 9_000_000)
    floors._seen_at = floors._whole_at = time.monotonic() + 60
    await executions.hand_back("w1", "ex_back", claimed["ex_back"])
    await end(executions, "ex_first", epoch=claimed["ex_first"])
    assert await executions.next_due() == 0.0
    assert {c.execution.id for c in await executions.claim("w1", 9, lease=60.0)} == {"ex_back", "ex_line"}
    await create(executions, "ex_urgent", at=time.time(), priority=7)
    assert [c.execution.id for c in await executions.claim("w1", 9, lease=60.0)] == ["ex_urgent"]
    # and whatever else lies below is found by a look without floors
    await create(executions, "ex_below", at=now)
    assert await executions.claim("w1", 9, lease=60.0) == []
    floors._whole_at = time.monotonic() - 60
    assert [c.execution.id for c in await executions.claim("w1", 9, lease=60.0)] == ["ex_below"]
