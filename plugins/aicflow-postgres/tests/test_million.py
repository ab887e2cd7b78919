"""Lists stay quick with a million executions, whatever is asked for. Long: `make proof`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import psycopg
import pytest
from aicflow.ports import ExecutionFilter
from aicflow.testing.postgres import Postgres
from aicflow_postgres.migrate import known
from aicflow_postgres.queries import list_query

pytestmark = pytest.mark.proof
_ROWS = 1_000_000
_FIRST = 1_790_000_000
_EACH = 0.6  # seconds between two of them
# Workflow wf_0 has half of them, wf_9 next to none, of which none failed. One in fifty failed, one in a hundred was
# cancelled, the last 2,000 have not ended. Triggers begin one in ten, none of wf_3.
_FILL = """
INSERT INTO executions (id, workflow_id, version, status, created_at, available_at, started_at, finished_at, last_seq,
    epoch, due_at, priority, admitted, trigger_kind, binding_id, rerun_of, parent_execution_id, trigger, input, output)
  SELECT 'ex_' || lpad(g::text, 26, '0'), w, 1, s, at, at, at, CASE WHEN ended THEN at + 2000000 END, 9,
    1, CASE s WHEN 'queued' THEN at WHEN 'running' THEN at WHEN 'waiting' THEN at + 9e9 END, 0, true,
    k, CASE WHEN k = 'trigger' THEN w || ':t' END, CASE WHEN g % 97 = 0 THEN 'ex_' || g % 5000 END,
    CASE WHEN g % 89 = 0 THEN 'ex_' || g % 5000 END, '{"kind": "api"}', '{"a": 1}', '{"b": 2}'
  FROM (SELECT *, CASE WHEN NOT ended THEN (ARRAY['queued', 'running', 'waiting'])[1 + g % 3]
        WHEN g % 50 = 7 AND w <> 'wf_9' THEN 'failed' WHEN g % 100 = 13 THEN 'cancelled' ELSE 'succeeded' END AS s
      FROM (SELECT g, g <= ROWS - 2000 AS ended, (1790000000 + g * 0.6)::bigint * 1000000 AS at,
          CASE WHEN g % 2 = 0 THEN 'wf_0' WHEN g % 50001 = 0 THEN 'wf_9' ELSE 'wf_' || 1 + g % 7 END AS w,
          CASE WHEN g % 10 = 1 AND g % 7 <> 2 THEN 'trigger' WHEN g % 200 = 5 THEN 'rerun' ELSE 'api' END AS k
        FROM generate_series(1, ROWS) AS g) AS a) AS b
"""


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.new_database(), autocommit=True) as connection:
        for _, _, sql in known():
            connection.execute(sql)  # type: ignore[call-overload]
        connection.execute(_FILL.replace("ROWS", str(_ROWS)))  # type: ignore[call-overload]
        connection.execute("VACUUM (ANALYZE) executions")
        yield connection


def _milliseconds(connection: psycopg.Connection[Any], sql: str, values: list[Any]) -> float:
    """The database's time of a query that has been asked before."""
    times = []
    for _ in range(2):
        row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values, prepare=False).fetchone()  # type: ignore[call-overload]
        assert row is not None
        times.append(float(row[0][0]["Execution Time"]))
    return min(times)


_STATUSES: tuple[frozenset[Any] | None, ...] = (
    None,
    *(frozenset({s}) for s in ("queued", "running", "waiting", "succeeded", "failed", "cancelled")),
    frozenset({"failed", "cancelled"}),
    frozenset({"running", "failed"}),
    frozenset({"queued", "running", "waiting"}),
)
_WORKFLOWS = (None, "wf_0", "wf_3", "wf_9", "wf_none")
_KINDS = (None, "api", "trigger", "rerun")
_WINDOWS = ((None, None), (_FIRST + 100_000.0, _FIRST + 101_000.0))


def test_each_list_takes_ten_milliseconds_at_most(connection: psycopg.Connection[Any]) -> None:
    slow = []
    filters = [
        ExecutionFilter(workflow_id=w, statuses=s, trigger_kind=k, created_after=after, created_before=before)
        for w, s, k, (after, before) in product(_WORKFLOWS, _STATUSES, _KINDS, _WINDOWS)
    ]
    filters += [ExecutionFilter(binding_id="wf_1:t", statuses=s) for s in _STATUSES]
    filters += [ExecutionFilter(rerun_of="ex_97", statuses=s) for s in _STATUSES]
    filters += [ExecutionFilter(parent_execution_id="ex_89", statuses=s) for s in _STATUSES]
    for where in filters:
        sql, values = list_query(where, 51, None)
        if (took := _milliseconds(connection, sql, values)) > 10:
            slow.append((took, where))
    assert not slow, "\n".join(map(str, sorted(slow, key=lambda one: -one[0])))
