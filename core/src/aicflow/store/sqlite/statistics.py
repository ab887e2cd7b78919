"""How executions ended, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from aicflow.statistics import (
    HOUR,
    NEWEST_FAILURES,
    PER_DOUBLING,
    UNKNOWN_DURATION,
    Ended,
    Failures,
    durations_from,
    durations_text,
    ended_from_rows,
    in_larger_steps,
)
from aicflow.store.sqlite.part import Part, reads, writes

_MICRO = 1_000_000
_HOURS_AT_ONCE = 24


class SQLiteStatistics(Part):
    """Counts from the executions themselves, and from the hours that are written down."""

    @reads
    def ended(self, connection: sqlite3.Connection, since: int, until: int, step: int) -> Sequence[Ended]:
        through = _through(connection) if since % HOUR == 0 and step % HOUR == 0 else None
        if through is None or through <= since:
            return _counted(connection, since, until, step)
        whole = min(through, until // HOUR * HOUR)
        hours = connection.execute(_HOURS, (since, whole))
        parts: Iterator[Ended] = (_ended(*row) for row in hours)
        return in_larger_steps([*parts, *_counted(connection, whole, until, HOUR)], since, step)

    @reads
    def failures(self, connection: sqlite3.Connection, since: int, until: int) -> Sequence[Failures]:
        rows = connection.execute(_FAILURES, (since * _MICRO, until * _MICRO, NEWEST_FAILURES))
        return [Failures(*row) for row in rows]

    async def roll_up(self, before: float, *, keep: float) -> int:
        hours = await self._closed(before)
        if hours is None:
            return 0
        await self._write(*hours, int(before - keep))
        return (hours[1] - hours[0]) // HOUR

    @reads
    def _closed(self, connection: sqlite3.Connection, before: float) -> tuple[int, int, list[Ended]] | None:
        """Some hours that can be written down: the first, the end of the last, and their counts."""
        through = _through(connection)
        first = connection.execute(_FIRST, ((through or 0) * _MICRO,)).fetchone()[0]
        if first is None:
            return None
        start = first // (HOUR * _MICRO) * HOUR
        end = min(start + _HOURS_AT_ONCE * HOUR, int(before) // HOUR * HOUR)
        return (start, end, _counted(connection, start, end, HOUR)) if end > start else None

    @writes
    def _write(self, connection: sqlite3.Connection, start: int, end: int, ended: Sequence[Ended], forget: int) -> None:
        if (_through(connection) or 0) > start:
            return  # another host has
        connection.execute("DELETE FROM ended_hours WHERE hour < ?", (forget,))
        connection.executemany(
            "INSERT INTO ended_hours VALUES (?, ?, ?, ?)",
            [(one.start, one.workflow_id, one.status, durations_text(one.durations)) for one in ended],
        )
        connection.execute("DELETE FROM ended_hours_through")
        connection.execute("INSERT INTO ended_hours_through VALUES (?)", (end,))


def _counted(connection: sqlite3.Connection, since: int, until: int, step: int) -> list[Ended]:
    values = since * _MICRO, step * _MICRO, since * _MICRO, until * _MICRO
    return ended_from_rows(connection.execute(_COUNTED, values), since, step)


def _ended(hour: int, workflow_id: str, status: str, durations: str) -> Ended:
    counts = durations_from(durations)
    return Ended(hour, workflow_id, status, sum(counts.values()), counts)


def _through(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT hour FROM ended_hours_through").fetchone()
    return None if row is None else int(row[0])


_HOURS = "SELECT hour, workflow_id, status, durations FROM ended_hours WHERE hour >= ? AND hour < ?"
_FIRST = "SELECT min(finished_at) FROM executions WHERE finished_at >= ?"
_COUNTED = f"""SELECT (finished_at - ?) / ?, workflow_id, status,
    CASE WHEN started_at IS NULL THEN {UNKNOWN_DURATION}
         ELSE CAST(ceil(log2(max(finished_at - started_at, 1000) / 1000.0) * {PER_DOUBLING}) AS INTEGER) END, count(*)
  FROM executions WHERE finished_at >= ? AND finished_at < ? GROUP BY 1, 2, 3, 4"""  # noqa: S608
_FAILURES = """SELECT workflow_id, error ->> '$.node_id', coalesce(error ->> '$.code', ''), count(*), max(id) FROM (
    SELECT id, workflow_id, CAST(error AS TEXT) AS error FROM executions
      WHERE finished_at >= ? AND finished_at < ? AND status = 'failed' ORDER BY finished_at DESC LIMIT ?)
  GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 DESC"""
