"""What the database weighs for each execution of three small nodes, once its log is carried over."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

from tests.benchmarks.lab import Row, engine_on_sqlite, save

_EXECUTIONS = 2_000
_AT_ONCE = 100


async def run() -> list[Row]:
    """The file's bytes by execution, beside those of the execution's events as they are shown."""
    async with engine_on_sqlite("native") as executions:
        nodes = [
            {"id": id, "type": "bench.add", "params": {"n": reference}}
            for id, reference in (("a", 0), ("b", "${{ nodes.a.output }}"), ("c", "${{ nodes.b.output }}"))
        ]
        await save(executions, "three", nodes)
        for _ in range(_EXECUTIONS // _AT_ONCE):
            started = await asyncio.gather(*[executions.start("three", {"order": i}) for i in range(_AT_ONCE)])
            ended = await asyncio.gather(*[executions.wait(one.execution_id, 60) for one in started])
            assert all(one is not None and one.status == "succeeded" for one in ended)
        one = started[0].execution_id
        shown = sum(map(len, await executions.events(one)))
        path = executions.store.path  # type: ignore[attr-defined]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        tables = json.loads(connection.execute(_TABLES).fetchone()[0]) if _has_dbstat(connection) else {}
    weight = path.stat().st_size / _EXECUTIONS
    rows = [Row("weight", "an execution of three small nodes", weight, "bytes", "its events as shown", weight / shown)]
    for name, size in tables.items():
        if size > 10 * _EXECUTIONS:
            rows.append(Row("weight", f"of which {name}", size / _EXECUTIONS, "bytes"))
    return rows


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    return ("ENABLE_DBSTAT_VTAB",) in connection.execute("PRAGMA compile_options").fetchall()


_TABLES = """
SELECT json_group_object(name, size) FROM (
  SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC)
"""
