"""The queue, which is the same rows: claiming, leases, cancel requests and answers. Called in the writer's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from aicflow.kernel.errors import Conflict, EventsDamaged, NotFound
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution
from aicflow.kernel.ports.executions import Claimed, StoredAnswer
from aicflow.kernel.values import dumps, loads
from aicflow.store.concurrency import ConcurrencyLimiter
from aicflow.store.instants import micros, now, seconds
from aicflow.store.rows import trigger_from
from aicflow.store.sqlite.batch import request_cancel
from aicflow.store.sqlite.rows import EVENT_ROWS, ROW, decoded, events_from, execution_from

__all__ = ["answer", "cancel", "claim", "hand_back", "next_due", "reclaim", "renew"]


def claim(
    connection: sqlite3.Connection,
    worker: str,
    limit: int,
    *,
    lease: float,
    at: float | None = None,
    cancelled_only: bool = False,
) -> list[Claimed]:
    """Take up to `limit` executions: first what was begun and goes on, then queued ones by priority and age."""
    instant = now(at)  # read in the writer's thread: a claim cannot be born expired
    next_ones = _CANCELLED if cancelled_only else _NEXT
    rows = loads(connection.execute(next_ones, {"now": micros(instant), "limit": limit}).fetchone()[0])
    if not rows:
        return []
    numbers = dumps([row[0] for row in rows]).decode()
    connection.execute(_CLAIM, (worker, micros(instant + lease), numbers))
    claimed = {}
    more = []
    for n, row, input, has_more in rows:
        execution = execution_from(row, payload=True)
        execution.status = "running"
        execution.epoch += 1
        execution.wake_at = None
        execution.input = decoded(input)
        claimed[n] = Claimed(execution, [], {}, [])
        if execution.last_seq > 1 or has_more:
            more.append(n)
    if more:
        for n, events, payloads, answers in connection.execute(_MORE, (dumps(more).decode(),)).fetchall():
            try:
                _complete(claimed[n], events, payloads, answers)
            except EventsDamaged as damage:
                claimed[n].damage = damage  # the others go on
    return list(claimed.values())


def _complete(claimed: Claimed, events: str | None, payloads: str, answers: str) -> None:
    execution = claimed.execution
    if execution.last_seq > 1:
        first, claimed.events = events_from(execution.id, events)
        if first != 1 or len(claimed.events) != execution.last_seq:
            missing = (1, first - 1) if first != 1 else (len(claimed.events) + 1, execution.last_seq)
            raise EventsDamaged(execution.id, *missing)
    for name, body in loads(payloads).items():
        if name == "$input":
            claimed.execution.input = loads(body)
        elif name == "$trigger":
            claimed.execution.trigger = trigger_from(body)
        else:
            claimed.outputs[name] = body.encode()
    claimed.answers = [StoredAnswer(node, kind, value.encode(), call) for node, call, kind, value in loads(answers)]


def renew(
    connection: sqlite3.Connection, worker: str, ids: Sequence[str], *, lease: float, at: float | None = None
) -> frozenset[str]:
    """Extend this worker's leases; returns which of them are to be cancelled."""
    wanted = dumps(ids).decode()
    connection.execute(_RENEW, (micros(now(at) + lease), wanted, worker))
    return frozenset(loads(connection.execute(_TO_CANCEL, (wanted, worker)).fetchone()[0]))


def hand_back(connection: sqlite3.Connection, worker: str, execution_id: str, epoch: int) -> None:
    """Give up a claim; a stale one is quiet."""
    connection.execute(
        "UPDATE executions SET status = 'queued', worker = NULL, due_at = -1"
        " WHERE id = ? AND epoch = ? AND worker = ? AND status = 'running'",
        (execution_id, epoch, worker),
    )


def reclaim(connection: sqlite3.Connection, worker: str) -> int:
    """Put back into the queue whatever another worker holds."""
    return connection.execute(
        "UPDATE executions SET status = 'queued', worker = NULL, due_at = -1"
        " WHERE status = 'running' AND worker IS NOT ?",
        (worker,),
    ).rowcount


def next_due(connection: sqlite3.Connection, *, at: float | None = None) -> float | None:
    """Seconds until something becomes claimable by time."""
    due = connection.execute(_NEXT_DUE).fetchone()[0]
    return None if due is None else max(0.0, seconds(due) - now(at))


def cancel(connection: sqlite3.Connection, book: ConcurrencyLimiter, execution_id: str) -> Execution:
    """Note a cancel request; gives the row after it."""
    execution = _row(connection, execution_id)
    if execution.status in TERMINAL_STATUSES or execution.cancel_requested:
        return execution
    request_cancel(connection, [execution_id])
    book.cancel(execution_id)
    execution.cancel_requested = True
    return execution


def answer(connection: sqlite3.Connection, execution_id: str, given: StoredAnswer) -> None:
    """Keep an answer and make its execution claimable."""
    execution = _row(connection, execution_id)
    # one that was handed back while it ran is queued again, and its parked steps wait on
    begun = execution.status == "queued" and execution.last_seq > 1
    if execution.status not in ("waiting", "running") and not begun:
        raise Conflict(
            f"Execution {execution_id} is {execution.status}; only a waiting step can be answered.", code="not-waiting"
        )
    added = connection.execute(
        "INSERT OR IGNORE INTO answers (execution_id, node_id, call, kind, value) VALUES (?, ?, ?, ?, ?)",
        (execution_id, given.node_id, given.call, given.kind, given.value),
    ).rowcount
    if not added:
        raise Conflict(f"Step {given.node_id!r} of execution {execution_id} has an answer.", code="answered")
    connection.execute("UPDATE executions SET due_at = -1 WHERE id = ? AND status = 'waiting'", (execution_id,))


def _row(connection: sqlite3.Connection, execution_id: str) -> Execution:
    found: Any = connection.execute(f"SELECT {ROW} FROM executions WHERE id = ?", (execution_id,)).fetchone()  # noqa: S608
    if found is None:
        raise NotFound("execution", execution_id)
    return execution_from(loads(found[0]))


_CLAIMABLE = f"""
SELECT json_group_array(json_array(n, {ROW}, CAST(input AS TEXT),
    EXISTS (SELECT 1 FROM payloads AS p WHERE p.execution_id = e.id)
    OR EXISTS (SELECT 1 FROM answers AS a WHERE a.execution_id = e.id)))
FROM ("""  # noqa: S608
# the planner cannot know how few rows these partial indexes hold, so they are named
_NEXT = f"""{_CLAIMABLE}
  SELECT * FROM (SELECT n AS m, 0 AS lane, due_at AS turn, 0 AS rank
    FROM executions INDEXED BY executions_due
    WHERE status <> 'queued' AND due_at <= :now ORDER BY due_at, n LIMIT :limit)
  UNION ALL
  SELECT * FROM (SELECT n, 0, due_at, 0 FROM executions INDEXED BY executions_queued_due
    WHERE status = 'queued' AND due_at = -1 ORDER BY due_at, n LIMIT :limit)
  UNION ALL
  SELECT * FROM (SELECT n, 1, 0, priority FROM executions INDEXED BY executions_ready
    WHERE status = 'queued' AND due_at IS NOT NULL AND due_at BETWEEN 0 AND :now ORDER BY priority DESC, n LIMIT :limit)
  ORDER BY lane, turn, rank DESC, m LIMIT :limit
) CROSS JOIN executions AS e ON e.n = m
"""  # noqa: S608
_CANCELLED = f"""{_CLAIMABLE}
  SELECT n AS m FROM executions INDEXED BY executions_due
    WHERE status <> 'queued' AND due_at = -1 AND cancel_requested AND :now NOT NULL
  UNION ALL
  SELECT n FROM executions INDEXED BY executions_queued_due
    WHERE status = 'queued' AND due_at = -1 AND cancel_requested
  ORDER BY m LIMIT :limit
) CROSS JOIN executions AS e ON e.n = m
"""  # noqa: S608
_CLAIM = """
UPDATE executions SET status = 'running', epoch = epoch + 1, worker = ?, due_at = ?, wake_at = NULL
  WHERE n IN (SELECT value FROM json_each(?))
"""
_MORE = f"""
SELECT n,
  (SELECT {EVENT_ROWS} FROM (
    SELECT first_seq, last_seq, body FROM events WHERE execution_id = e.id ORDER BY first_seq)),
  (SELECT json_group_object(name, CAST(body AS TEXT)) FROM payloads WHERE execution_id = e.id),
  (SELECT json_group_array(json_array(node_id, call, kind, CAST(value AS TEXT))) FROM answers WHERE execution_id = e.id)
FROM executions AS e WHERE n IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_RENEW = """
UPDATE executions SET due_at = ?
  WHERE id IN (SELECT value FROM json_each(?)) AND worker = ? AND +status = 'running'
"""
_TO_CANCEL = """
SELECT json_group_array(id) FROM executions
  WHERE id IN (SELECT value FROM json_each(?)) AND worker = ? AND +status = 'running' AND cancel_requested
"""
_NEXT_DUE = """
SELECT min(due) FROM (
  SELECT min(due_at) AS due FROM executions INDEXED BY executions_due WHERE status <> 'queued' AND due_at IS NOT NULL
  UNION ALL
  SELECT min(due_at) FROM executions INDEXED BY executions_queued_due WHERE status = 'queued' AND due_at IS NOT NULL)
"""
