"""Putting a damaged database right: events and rows of executions are made again from each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from aicflow.events import encode_event
from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.values import dumps, loads
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.event_rows import pack, readable, unpack

_CHUNK: Final = 500
_PACKED: Final = 100


def repair(connection: sqlite3.Connection, now: float) -> list[str]:
    """What was done, in sentences. Runs in a transaction."""
    done = []
    if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
        connection.execute("REINDEX")
        sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
        done.append("Made all indexes again." if sound else "Pages are damaged: restore a backup; indexes were remade.")
    for table in ("events", "payloads", "items", "answers"):
        gone = connection.execute(
            f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM executions WHERE id = execution_id)"  # noqa: S608
        ).rowcount
        if gone:
            done.append(f"Removed {gone} rows of {table} whose executions do not exist.")
    place = 0
    while rows := connection.execute(_EXECUTIONS, (place, _CHUNK)).fetchall():
        for row in rows:
            done += _mend(connection, _Row(*row[1:]), now)
        place = rows[-1][0]
    return done


class _Row:
    """What an execution's row says."""

    def __init__(self, id: str, workflow_id: str, version: int, kind: str | None, *more: Any) -> None:
        self.id = id
        self.queued = {"workflow_id": workflow_id, "version": version, "trigger": kind or "api"}
        self.status, self.created_at, self.finished_at, self.last_seq, self.output, self.error = more

    def end(self) -> dict[str, Any]:
        """The data of its terminal event."""
        name = {"succeeded": "output", "failed": "error"}.get(self.status)
        value = {"output": self.output, "error": self.error}.get(name or "")
        return {} if name is None else {name: _value(value)}


def _mend(connection: sqlite3.Connection, row: _Row, now: float) -> Iterable[str]:
    batches = connection.execute(_BATCHES, (row.id,)).fetchall()
    found: dict[int, bytes] = {}
    whole = True
    for first_seq, last_seq, body in batches:
        try:
            events = dict(enumerate(unpack(row.id, first_seq, last_seq, body), first_seq))
        except EventsDamaged:
            events, whole = {n: one for n, one in readable(row.id, body).items() if 1 <= n <= row.last_seq}, False
        found = {**events, **found}
    last_seq = max([row.last_seq, *found])
    kinds = {seq: loads(event)["type"] for seq, event in found.items() if seq in (1, last_seq)}
    ended = str(kinds.get(last_seq, "")).removeprefix("execution.")
    ended = ended if ended in TERMINAL_STATUSES else ""
    over = row.status in TERMINAL_STATUSES
    lost = [seq for seq in range(1, last_seq + 1) if seq not in found]
    if whole and not lost and last_seq == row.last_seq and ended == (row.status if over else ""):
        return []
    kept, told = len(found), []
    if 1 in lost:
        found[1] = encode_event(1, seconds(row.created_at), "execution.queued", row.id, data=row.queued)
        told.append("event 1 was made again from its row")
    if ended and ended != row.status:
        event = loads(found[last_seq])
        output, error = (dumps(event["data"][name]) if name in event["data"] else None for name in ("output", "error"))
        at = datetime.fromisoformat(event["time"]).timestamp() if "time" in event else now
        connection.execute(_END, (ended, micros(at), output, error, row.id))
        told.append(f"its row said {row.status} and says {ended} now")
    elif over and not ended:
        # its end was committed with its row
        last_seq = last_seq if last_seq in lost else last_seq + 1
        at = seconds(row.finished_at) if row.finished_at is not None else now
        found[last_seq] = encode_event(last_seq, at, f"execution.{row.status}", row.id, data=row.end())
        told.append(f"event {last_seq} was made again from its row")
    lost = [seq for seq in lost if seq not in found]
    if lost:
        found.update({seq: encode_event(seq, now, "event.lost", row.id) for seq in lost})
        told.append(f"lost: {_ranges(lost)}")
    if lost and not (over or ended):
        connection.execute("UPDATE executions SET due_at = -1 WHERE id = ? AND status = 'waiting'", (row.id,))
        told.append("it fails when it goes on, since it is not known what it had done")
    connection.execute("DELETE FROM events WHERE execution_id = ?", (row.id,))
    for start in range(1, last_seq + 1, _PACKED):
        end = min(start + _PACKED - 1, last_seq)
        body = pack(row.id, [found[seq] for seq in range(start, end + 1)])
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (row.id, start, end, body))
    connection.execute("UPDATE executions SET last_seq = ? WHERE id = ?", (last_seq, row.id))
    return [f"Execution {row.id}: {'; '.join([f'{kept} events could be read', *told])}."]


def _value(encoded: bytes | None) -> Any:
    try:
        return None if encoded is None else loads(encoded)
    except ValueError:
        return None


def _ranges(numbers: list[int]) -> str:
    """`2 to 4, 7`."""
    runs = ([n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]))
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


_EXECUTIONS = """
SELECT n, id, workflow_id, version, trigger_kind, status, created_at, finished_at, last_seq,
    coalesce(output, (SELECT body FROM stored WHERE execution_id = id AND name = '$output')), error
  FROM executions WHERE n > ? AND removed & 1 = 0 ORDER BY n LIMIT ?
"""
_BATCHES = "SELECT first_seq, last_seq, body FROM events WHERE execution_id = ? ORDER BY first_seq"
_END = """
UPDATE executions SET status = ?, finished_at = ?, output = ?, error = ?, worker = NULL, due_at = NULL, wake_at = NULL,
  epoch = epoch + 1 WHERE id = ?
"""
