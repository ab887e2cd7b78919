"""Pages of lists of a million executions, by every combination of the filters that the API documents."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.store.sqlite import SQLiteStore

from tests.benchmarks.lab import Row, percentile, scratch

_EXECUTIONS = 1_000_000
_BEGAN = 1_700_000_000
_TRIES = 3


async def run() -> list[Row]:
    """Milliseconds of processor time for first and second pages of 50, beside those of a list without conditions."""
    path = scratch() / "lists.db"
    store = SQLiteStore(path)
    await store.open()
    await store.workflows.create("wf_7", {"name": "seven", "labels": {"team": "billing"}}, now=_BEGAN)
    await store.close()
    fill(path, _EXECUTIONS)
    await store.open()
    rows: list[Row] = []
    baseline = 0.0
    for case, filters in _cases().items():
        spent = [ms for where in filters for ms in await _pages(store, where)]
        p50, worst = percentile(spent, 0.5), max(spent)
        baseline = baseline or p50
        rows.append(Row("lists", f"{case}, p50 of {len(spent)}", p50, "ms", "without conditions", p50 / baseline))
        rows.append(Row("lists", f"{case}, the slowest", worst, "ms"))
    await store.close()
    return rows


async def _pages(store: SQLiteStore, where: ExecutionFilter) -> list[float]:
    first = await store.executions.list(where, limit=50)
    cursors = [None, first.next_cursor] if first.next_cursor else [None]
    spent = []
    for cursor in cursors:
        tries = []
        for _ in range(_TRIES):
            began = time.process_time()
            await store.executions.list(where, limit=50, cursor=cursor)
            tries.append((time.process_time() - began) * 1000)
        spent.append(min(tries))
    return spent


def _cases() -> dict[str, Sequence[ExecutionFilter]]:
    combinations = [
        ExecutionFilter(
            workflow_id=workflow, statuses=statuses, trigger_kind=kind, created_after=after, created_before=before
        )
        for workflow, statuses, kind, after, before in itertools.product(
            (None, "wf_0", "wf_7"),
            (None, frozenset({"succeeded"}), frozenset({"failed"}), frozenset({"waiting", "running"})),
            (None, "api", "trigger", "failure"),
            (None, _BEGAN + _EXECUTIONS * 0.5),
            (None, _BEGAN + _EXECUTIONS * 0.7),
        )
    ]
    return {
        "no condition": [ExecutionFilter()],
        "workflow, status, kind and time": combinations[1:],
        "the same with a label": [_with(where, labels=(("team", "billing"),)) for where in combinations],
        "the same with text": [_with(where, text=text) for where in combinations for text in ("A-77", "nowhere")],
    }


def _with(where: ExecutionFilter, labels: tuple[tuple[str, str], ...] = (), text: str | None = None) -> ExecutionFilter:
    return ExecutionFilter(
        where.workflow_id,
        where.statuses,
        where.trigger_kind,
        created_after=where.created_after,
        created_before=where.created_before,
        labels=labels,
        text=text,
    )


def fill(path: Path, executions: int) -> None:
    """Add ended executions, their rows only, to a database: of 200 workflows, one of which has half of them; a few
    failed, fewer cancelled, of every kind."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_FILL, {"executions": executions, "began": _BEGAN})


_FILL = """
WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < :executions)
INSERT INTO executions (
  n, id, workflow_id, version, status, created_at, available_at, started_at, finished_at, last_seq, epoch, priority,
  admitted, trigger_kind, binding_id, trigger, input, output)
SELECT n, printf('ex_%013d', n), 'wf_' || iif(n % 2, 0, n / 2 % 200), 1,
  iif(n % 1000 = 7, 'failed', iif(n % 50000 = 11, 'cancelled', 'succeeded')),
  (:began + n) * 1000000, (:began + n) * 1000000, (:began + n) * 1000000, (:began + n) * 1000000 + 500, 20, 1, 0, 1,
  iif(n < 300, 'failure', iif(n % 3 = 0, 'trigger', iif(n % 9973 = 1, 'rerun', iif(n % 17 = 0, 'workflow', 'api')))),
  iif(n % 3 = 0, 'wf_' || (n % 200) || ':hook', NULL),
  CAST(iif(n % 3 = 0, '{"kind":"trigger","trigger_id":"hook"}', '{}') AS BLOB),
  CAST('{"order":"A-' || n || '","customer":{"name":"somebody"},"note":"' || hex(zeroblob(100)) || '"}' AS BLOB),
  CAST('{"total":' || n || '}' AS BLOB) FROM i
"""
