"""Whether a database is sound: its pages, the numbers of its events, and rows that agree with their events."""

from __future__ import annotations

import sqlite3
from typing import Final

from aicflow.events import event_type
from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.store.sqlite.event_rows import unpack

MOST_PROBLEMS: Final = 100
_CHUNK: Final = 500


def problems(connection: sqlite3.Connection) -> list[str]:
    """What is wrong, in sentences; at most a hundred."""
    found = [
        f"SQLite: {text}"
        for (text,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})").fetchall()
        if text != "ok"
    ]
    for sql, sentence in _CHECKS:
        found += [sentence.format(*row) for row in connection.execute(sql, (MOST_PROBLEMS,)).fetchall()]
    if len(found) < MOST_PROBLEMS:
        found += _disagreements(connection)
    return found[:MOST_PROBLEMS]


def _disagreements(connection: sqlite3.Connection) -> list[str]:
    """Batches whose events are not numbered as their row says, executions whose status is not what they end with."""
    found: list[str] = []
    place = ("", 0)
    while len(found) < MOST_PROBLEMS:
        rows = connection.execute(_BATCHES, (*place, _CHUNK)).fetchall()
        if not rows:
            break
        for execution_id, first_seq, last_seq, body, status, is_last in rows:
            found += _check_batch(execution_id, first_seq, last_seq, body, status if is_last else None)
        place = rows[-1][:2]
    return found


def _check_batch(execution_id: str, first_seq: int, last_seq: int, body: bytes, status: str | None) -> list[str]:
    where = f"Execution {execution_id}, events {first_seq} to {last_seq}"
    try:
        last_type = event_type(unpack(execution_id, first_seq, last_seq, body)[-1])
    except EventsDamaged:
        return [f"{where}: unreadable."]
    ended = last_type.removeprefix("execution.")
    ended = ended if ended in TERMINAL_STATUSES and last_type != ended else ""
    if status is not None and ended != (status if status in TERMINAL_STATUSES else ""):
        return [f"{where}: its status is {status}, but its last event is {last_type}."]
    return []


_CHECKS: Final = (
    (
        """SELECT execution_id, name FROM payloads WHERE hash IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM contents WHERE hash = payloads.hash) LIMIT ?""",
        "Execution {0}: the value {1} is missing.",
    ),
    (
        """SELECT lower(hex(hash)) FROM contents WHERE NOT EXISTS (
             SELECT 1 FROM payloads WHERE hash = contents.hash) LIMIT ?""",
        "The value {0} belongs to no execution.",
    ),
    (
        """SELECT id, last_seq FROM executions AS e WHERE removed & 1 = 0 AND NOT EXISTS (
             SELECT 1 FROM events WHERE execution_id = e.id) LIMIT ?""",
        "Execution {0}: none of its {1} events is there.",
    ),
    (
        """SELECT * FROM (SELECT execution_id, first_seq, 1 + lag(last_seq, 1, 0) OVER (
             PARTITION BY execution_id ORDER BY first_seq) AS wanted FROM events) WHERE first_seq <> wanted LIMIT ?""",
        "Execution {0}: event {2} should follow, but the next is {1}.",
    ),
    (
        """SELECT e.id, e.last_seq, v.last FROM executions AS e JOIN (
             SELECT execution_id, max(last_seq) AS last FROM events GROUP BY execution_id) AS v
             ON v.execution_id = e.id WHERE v.last <> e.last_seq LIMIT ?""",
        "Execution {0}: its row says {1} events, there are {2}.",
    ),
    (
        """SELECT DISTINCT execution_id FROM (SELECT execution_id FROM events
             UNION ALL SELECT execution_id FROM payloads
             UNION ALL SELECT execution_id FROM items UNION ALL SELECT execution_id FROM answers) AS o
             WHERE NOT EXISTS (SELECT 1 FROM executions WHERE id = o.execution_id) LIMIT ?""",
        "Events or outputs of an execution {0} that does not exist.",
    ),
    (
        """SELECT w.id, w.version FROM workflows AS w WHERE NOT EXISTS (
             SELECT 1 FROM workflow_versions WHERE workflow_id = w.id AND version = w.version) LIMIT ?""",
        "Workflow {0}: its current version {1} is missing.",
    ),
)
_BATCHES = """
SELECT v.execution_id, v.first_seq, v.last_seq, v.body, e.status, v.last_seq = e.last_seq
  FROM events AS v LEFT JOIN executions AS e ON e.id = v.execution_id
  WHERE (v.execution_id, v.first_seq) > (?, ?) ORDER BY v.execution_id, v.first_seq LIMIT ?
"""
