"""How executions ended, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from aicflow.statistics import (
    NEWEST_FAILURES,
    PER_DOUBLING,
    UNKNOWN_DURATION,
    Ended,
    Failures,
    HourlyStatistics,
    durations_text,
    ended_from_rows,
    ended_hour,
)
from aicflow.store.sqlite.part import Part, reads, writes

_MICRO = 1_000_000


class SQLiteStatistics(Part, HourlyStatistics):
    """Counts from the executions themselves, and from the hours that are written down."""

    @reads
    def counted(self, connection: sqlite3.Connection, since: int, until: int, step: int) -> list[Ended]:
        values = since * _MICRO, step * _MICRO, since * _MICRO, until * _MICRO
        return ended_from_rows(connection.execute(_COUNTED, values), since, step)

    @reads
    def hours(self, connection: sqlite3.Connection, since: int, until: int) -> list[Ended]:
        return [ended_hour(*row) for row in connection.execute(_HOURS, (since, until))]

    @reads
    def through(self, connection: sqlite3.Connection) -> int:
        return _through(connection)

    @reads
    def first_end(self, connection: sqlite3.Connection, since: int) -> int | None:
        first: int | None = connection.execute(_FIRST, (since * _MICRO,)).fetchone()[0]
        return first

    @reads
    def failures(self, connection: sqlite3.Connection, since: int, until: int) -> list[Failures]:
        rows = connection.execute(_FAILURES, (since * _MICRO, until * _MICRO, NEWEST_FAILURES))
        return [Failures(*row) for row in rows]

    @writes
    def write_hours(
        self, connection: sqlite3.Connection, start: int, end: int, ended: Sequence[Ended], *, forget: int
    ) -> None:
        if _through(connection) > start:
            return  # another host has
        connection.execute("DELETE FROM ended_hours WHERE hour < ?", (forget,))
        connection.executemany(
            "INSERT INTO ended_hours VALUES (?, ?, ?, ?)",
            [(one.start, one.workflow_id, one.status, durations_text(one.durations)) for one in ended],
        )
        connection.execute("DELETE FROM ended_hours_through")
        connection.execute("INSERT INTO ended_hours_through VALUES (?)", (end,))


def _through(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT hour FROM ended_hours_through").fetchone()
    return 0 if row is None else int(row[0])


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
