"""PostgreSQL as queue and store, beside bare loops of psycopg on a table of the same server, and SQLite in one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from aicflow.engine import EngineOptions, Executions
from aicflow.engine.plugin import aicflow_engines
from aicflow.kernel.registry import Registry
from aicflow.testing.postgres import MISSING, binaries, running_postgres
from aicflow.testing.store_samples import create, end
from aicflow_postgres.store import PostgresStore

from tests.benchmarks.lab import NODES, Row, engine_on_sqlite, percentile, save

_GROUP = 100
_CLAIM = 20
_AT_ONCE = 500
_BARE_TABLE = """
CREATE TABLE bare (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, status text NOT NULL,
  worker text, body bytea NOT NULL) WITH (fillfactor = 50)
"""
_BARE_INSERT = (
    "INSERT INTO bare (id, status, body) SELECT i, 'queued', b FROM unnest(%b::text[], %b::bytea[]) AS a(i, b)"
)
_BARE_CLAIM = """
UPDATE bare AS e SET status = 'running', worker = 'w' FROM (
    SELECT n FROM bare WHERE status = 'queued' ORDER BY n LIMIT %b FOR UPDATE SKIP LOCKED) AS c
  WHERE e.n = c.n RETURNING e.id
"""


async def run(count: int = 5_000) -> list[Row]:
    """The rows, with `count` executions each. None where no PostgreSQL is installed."""
    if binaries() is None:
        print(MISSING)
        return []
    with running_postgres() as server:
        rows = await _queue(server.new_database(), count)
        return [*rows, *await _held(server.new_database(), count), *await _chains(server.new_database(), count // 5)]


async def _queue(url: str, count: int) -> list[Row]:
    """Accepting and claiming, beside the same of a table with nothing to it."""
    ids = [f"ex_{number:07}" for number in range(count)]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_BARE_TABLE)
        await connection.execute("CREATE INDEX bare_ready ON bare (n) WHERE status = 'queued'")
        began = time.perf_counter()
        for group in _groups(ids):
            await connection.execute(_BARE_INSERT, (group, [b"x" * 300] * len(group)))
        inserted = count / (time.perf_counter() - began)
        began = time.perf_counter()
        while (await connection.execute(_BARE_CLAIM, (_CLAIM,))).rowcount:
            pass
        taken = count / (time.perf_counter() - began)
    async with _opened(url) as store:
        began = time.perf_counter()
        await _all(ids, lambda id: create(store.executions, id, at=time.time()))
        accepted = count / (time.perf_counter() - began)
        began = time.perf_counter()
        while await store.executions.claim("w", _CLAIM, lease=60.0):
            pass
        claimed = count / (time.perf_counter() - began)
    return [
        Row("PG", f"bare psycopg: rows inserted in groups of {_GROUP}", inserted, "/s"),
        Row("PG", f"accepted, {_AT_ONCE} at once, with their first event", accepted, "/s", "bare", accepted / inserted),
        Row("PG", f"bare psycopg: rows claimed in groups of {_CLAIM}", taken, "/s"),
        Row("PG", f"claimed in groups of {_CLAIM}", claimed, "/s", "bare", claimed / taken),
    ]


async def _held(url: str, count: int) -> list[Row]:
    """How long a claim takes while executions pass through, without and with a snapshot that somebody holds."""
    rows: list[Row] = []
    async with _opened(url) as store, await psycopg.AsyncConnection.connect(url) as reader:
        await reader.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        bare = 0.0
        for held in (False, True):
            if held:
                await reader.execute("SELECT count(*) FROM executions")
            took: list[float] = []
            for group in _groups([f"ex_{held:d}{number:06}" for number in range(2 * count)]):
                await _all(group, lambda id: create(store.executions, id, at=time.time()))
                while True:
                    began = time.perf_counter()
                    claimed = await store.executions.claim("w", _CLAIM, lease=60.0)
                    if not claimed:
                        break
                    took.append((time.perf_counter() - began) * 1000)
                    await _all([one.execution.id for one in claimed], lambda id: end(store.executions, id))
            last = took[len(took) // 2 :]
            name = "snapshot held" if held else "no snapshot held"
            for what, share in (("p50", 0.5), ("p95", 0.95)):
                value = percentile(last, share)
                ratio = value / bare if held and what == "p50" else None
                rows.append(Row("PG", f"a claim, {name}: {what}", value, "ms", "none held" if ratio else "", ratio))
            bare = bare or percentile(last, 0.5)
    return rows


async def _chains(url: str, count: int) -> list[Row]:
    """Executions of ten pure nodes, 50 at once, from start to end: one process on SQLite, and on PostgreSQL."""
    async with engine_on_sqlite("native") as executions:
        sqlite = await _ten(executions, count)
    async with _opened(url) as store:
        registry = Registry()
        for cls in NODES:
            registry.register(cls)
        engines = {one.name: one.create for one in aicflow_engines()}
        executions = Executions(store, registry, engines=engines, options=EngineOptions(engine="native"))
        await executions.open()
        try:
            found = await _ten(executions, count)
        finally:
            await executions.close()
    return [
        Row("PG", "SQLite, one process: executions of ten nodes, 50 at once", sqlite, "/s"),
        Row("PG", "PostgreSQL, one process: the same", found, "/s", "SQLite", found / sqlite),
    ]


async def _ten(executions: Executions, count: int) -> float:
    await save(executions, "chain", [{"id": f"n{i}", "type": "bench.add", "params": {"n": i}} for i in range(10)])

    async def one(_: str) -> None:
        ended = await executions.wait((await executions.start("chain")).execution_id, 60)
        assert ended is not None
        assert ended.status == "succeeded"

    await one("")
    began = time.perf_counter()
    await _all([str(i) for i in range(count)], one, at_once=50)
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _groups(ids: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(ids), _GROUP):
        yield [*ids[at : at + _GROUP]]


async def _all(ids: Sequence[str], do: Callable[[str], Awaitable[Any]], *, at_once: int = _AT_ONCE) -> None:
    left = iter(ids)

    async def worker() -> None:
        for id in left:
            await do(id)

    await asyncio.gather(*[worker() for _ in range(min(at_once, len(ids)))])
