"""A year on PostgreSQL: weeks come, and go whole when little of them is kept."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from aicflow.ports import ItemResult, NotFound, RetentionRule
from aicflow.testing.store_samples import batch, create, end, start
from aicflow_postgres.partitions import TABLES, Week
from aicflow_postgres.store import PostgresStore

_WEEK = 604_800.0
_RULES = (RetentionRule("succeeded", max_age=_WEEK), RetentionRule("failed", max_age=10 * _WEEK))


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.open()
    yield store
    await store.close()
    # the weeks that a test has dropped are there for the next one
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("TRUNCATE events, payloads, items, executions, closing_weeks")
    again = PostgresStore(url)
    await again.open()
    await again.close()


@pytest.fixture
def now() -> float:
    return time.time()


def _id(now: float, number: int, week: int = 0) -> str:
    return f"{Week(int(now // _WEEK) + week).first}{number:016}"


async def _weeks(store: PostgresStore, table: str) -> list[str]:
    rows = await store.maintenance.rows(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%b) ORDER BY 1",
        table,
    )
    return [name.removeprefix(f"{table}_") for (name,) in rows]


async def _fill(store: PostgresStore, now: float, count: int) -> list[str]:
    """Executions of this week, every fortieth of which retention keeps; returns these."""

    async def one(number: int) -> None:
        id = _id(now, number)
        await start(store.executions, id, at=now, input=f"i{number}" * 1000)
        items = [ItemResult("each", 0, True, output=b"1")]
        outputs = {"n": b'"' + bytes(str(number), "ascii") * 5000 + b'"'}
        await store.executions.append(id, 1, batch(2, "step.progress"), items=items, outputs=outputs)
        if number % 80:
            await end(store.executions, id, seq=3, status="succeeded" if number % 40 else "failed", at=now)

    await asyncio.gather(*(one(number) for number in range(count)))
    return [_id(now, number) for number in range(0, count, 40)]


async def _assert_only(store: PostgresStore, now: float, count: int, kept: list[str]) -> None:
    for number in range(count):
        id = _id(now, number)
        if id not in kept:
            with pytest.raises(NotFound):
                await store.executions.get(id)
            continue
        execution = await store.executions.get(id)
        assert execution.input == f"i{number}" * 1000
        assert len(await store.executions.events(id)) == execution.last_seq == (3 if number % 80 else 2)
        assert await store.executions.outputs(id) == {"n": b'"' + bytes(str(number), "ascii") * 5000 + b'"'}
        assert len(await store.executions.items(id, "each")) == 1
    assert await store.maintenance.integrity() == []


async def test_a_week_is_dropped_and_what_is_kept_of_it_stays(store: PostgresStore, now: float) -> None:
    kept = await _fill(store, now, 400)
    this = Week(int(now // _WEEK))
    for table in TABLES:
        assert len(await _weeks(store, table)) == 6  # this week and the next four, and the rest
        assert await store.maintenance.rows(f"SELECT 1 FROM {table}_{this.name} LIMIT 1")
        assert not await store.maintenance.rows(f"SELECT 1 FROM {table}_rest")

    # nothing goes while the week is young
    assert await store.maintenance.remove(_RULES, now=now) == 0
    later = now + 3 * _WEEK
    removed = 0
    while some := await store.maintenance.remove(_RULES, now=later):
        removed += some
        # removed with the week: nothing of the large tables is deleted row by row
        assert (await store.maintenance.rows(f"SELECT count(*) FROM items_{this.name}"))[0][0] == 400
        assert await store.maintenance.integrity() == []
    assert removed == 390
    for table in TABLES:
        assert this.name not in await _weeks(store, table)
    assert not await store.maintenance.rows("SELECT 1 FROM closing_weeks")
    await _assert_only(store, now, 400, kept)

    # what was moved goes on and ends as ever, and is removed one by one when its time comes
    await end(store.executions, _id(now, 0), seq=3, at=later)
    assert await store.maintenance.remove(_RULES, now=later + 20 * _WEEK) == 6
    assert await store.maintenance.remove(_RULES, now=later + 20 * _WEEK) == 0
    for table in TABLES:
        left = await store.maintenance.rows(f"SELECT DISTINCT execution_id FROM {table}_rest ORDER BY 1")
        assert [id for (id,) in left] == [_id(now, number) for number in (80, 160, 240, 320)]


async def test_a_week_of_which_much_is_kept_stays(store: PostgresStore, now: float) -> None:
    await _fill(store, now, 40)
    rules = [RetentionRule("failed", max_age=_WEEK)]
    await start(store.executions, _id(now, 99), at=now)
    await end(store.executions, _id(now, 99), status="failed", at=now)
    assert await store.maintenance.remove(rules, now=now + 3 * _WEEK) == 1
    assert await store.maintenance.remove(rules, now=now + 3 * _WEEK) == 0
    assert Week(int(now // _WEEK)).name in await _weeks(store, "events")
    # but that of which nothing is left is not
    rules += [RetentionRule("succeeded", max_count=0)]
    assert await store.maintenance.remove(rules, now=now + 3 * _WEEK) == 39
    await store.maintenance.rows("UPDATE executions SET status = 'cancelled', finished_at = created_at")
    rules += [RetentionRule("cancelled", max_count=0)]
    assert await store.maintenance.remove(rules, now=now + 3 * _WEEK) == 1
    assert await store.maintenance.remove(rules, now=now + 3 * _WEEK) == 0
    assert Week(int(now // _WEEK)).name not in await _weeks(store, "events")
    assert await store.maintenance.integrity() == []


async def test_what_came_before_its_partition_moves_there(store: PostgresStore, now: float) -> None:
    week = Week(int(now // _WEEK) + 1)
    for table in TABLES:
        await store.maintenance.rows(f"DROP TABLE {table}_{week.name}")
    await create(store.executions, _id(now, 1, week=1), at=now)
    assert await store.maintenance.rows("SELECT 1 FROM events_rest")
    await store.maintenance.forget_keys(used_before=0, fired_before=0)
    assert not await store.maintenance.rows("SELECT 1 FROM events_rest")
    assert len(await store.executions.events(_id(now, 1, week=1))) == 1


async def test_a_week_that_is_locked_goes_in_a_later_round(store: PostgresStore, now: float, url: str) -> None:
    kept = await _fill(store, now, 80)
    name = Week(int(now // _WEEK)).name
    async with await psycopg.AsyncConnection.connect(url) as connection:
        # as a long report does, or the transaction of a host that was killed while it waited for a lock itself
        await connection.execute("SELECT 1 FROM events LIMIT 1")
        while await store.maintenance.remove(_RULES, now=now + 3 * _WEEK):
            pass
        assert name in await _weeks(store, "events")
    while await store.maintenance.remove(_RULES, now=now + 3 * _WEEK):
        pass
    assert name not in await _weeks(store, "events")
    await _assert_only(store, now, 80, kept)


async def test_what_another_host_is_removing_leaves_nothing_behind(store: PostgresStore, now: float, url: str) -> None:
    kept = await _fill(store, now, 80)

    async def sweep() -> None:
        while await store.maintenance.remove(_RULES, now=now + 3 * _WEEK):
            pass

    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("DELETE FROM executions WHERE id = %s", (_id(now, 1),))
        sweeping = asyncio.create_task(sweep())
        await asyncio.sleep(1.0)  # it has removed what it can, and is about to drop the week
        await connection.commit()
    await sweeping  # a host that was killed while it removed the last ones does not keep the week
    assert Week(int(now // _WEEK)).name not in await _weeks(store, "events")
    for table in TABLES:
        left = await store.maintenance.rows(f"SELECT DISTINCT execution_id FROM {table}")
        assert {id for (id,) in left} == set(kept)
    await _assert_only(store, now, 80, kept)


_SWEEP = """
import asyncio, logging, sys
from aicflow.ports import RetentionRule
from aicflow_postgres.store import PostgresStore

logging.basicConfig(level=logging.INFO)  # it says when a week has to wait for another round

async def main():
    store = PostgresStore(sys.argv[1])
    await store.open()
    rules = [RetentionRule("succeeded", max_age=604800.0), RetentionRule("failed", max_age=6048000.0)]
    print("begins", flush=True)
    while await store.maintenance.remove(rules, now=float(sys.argv[2]), batch=7):
        pass
    await store.close()

asyncio.run(main())
"""


async def test_killed_while_a_week_goes_nothing_kept_is_lost(store: PostgresStore, now: float, url: str) -> None:
    kept = await _fill(store, now, 200)
    this, kills = Week(int(now // _WEEK)), 0
    # a round that cannot have the lock leaves the week to the next one
    while this.name in await _weeks(store, "events"):
        command = [sys.executable, "-c", _SWEEP, url, str(now + 3 * _WEEK)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "begins\n"
            try:
                await asyncio.to_thread(process.wait, 0.1 + 0.2 * kills)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        assert process.returncode in (0, -signal.SIGKILL)
        assert await store.maintenance.integrity() == []
    assert kills
    await _assert_only(store, now, 200, kept)
