"""How executions ended, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aicflow.ports import (
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

from aicflow_postgres.database import Connection, Part, fetch, send, writes

_MICRO = 1_000_000
_THROUGH = "SELECT hour FROM ended_hours_through"


class PostgresStatistics(Part, HourlyStatistics):
    """Counts from the executions themselves, and from the hours that are written down."""

    async def counted(self, since: int, until: int, step: int) -> list[Ended]:
        values = since * _MICRO, step * _MICRO, since * _MICRO, until * _MICRO
        return ended_from_rows(await self.rows(_COUNTED, *values), since, step)

    async def hours(self, since: int, until: int) -> list[Ended]:
        return [ended_hour(*row) for row in await self.rows(_HOURS, since, until)]

    async def through(self) -> int:
        rows = await self.rows(_THROUGH)
        return rows[0][0] if rows else 0

    async def first_end(self, since: int) -> int | None:
        first: int | None = (await self.rows(_FIRST, since * _MICRO))[0][0]
        return first

    async def failures(self, since: int, until: int) -> list[Failures]:
        rows = await self.rows(_FAILURES, since * _MICRO, until * _MICRO, NEWEST_FAILURES)
        return [Failures(*row) for row in rows]

    @writes
    async def write_hours(
        self, connection: Connection, start: int, end: int, ended: Sequence[Ended], *, forget: int
    ) -> None:
        await send(connection, "LOCK TABLE ended_hours_through IN EXCLUSIVE MODE")
        rows = await fetch(connection, _THROUGH)
        if rows and rows[0][0] > start:
            return  # another host has
        await send(connection, "DELETE FROM ended_hours WHERE hour < %b", forget)
        columns: tuple[list[Any], ...] = ([], [], [], [])
        for one in ended:
            values = one.start, one.workflow_id, one.status, durations_text(one.durations)
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        await send(connection, _ADD, *columns)
        await send(connection, "DELETE FROM ended_hours_through")
        await send(connection, "INSERT INTO ended_hours_through VALUES (%b)", end)


_HOURS = "SELECT hour, workflow_id, status, durations FROM ended_hours WHERE hour >= %b AND hour < %b"
_ADD = "INSERT INTO ended_hours SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[])"
_FIRST = "SELECT min(finished_at) FROM executions WHERE finished_at >= %b"
_COUNTED = f"""SELECT (finished_at - %b::bigint) / %b::bigint, workflow_id, status,
    CASE WHEN started_at IS NULL THEN {UNKNOWN_DURATION}
         ELSE ceil(log(greatest(finished_at - started_at, 1000) / 1e3::float8) / log(2::float8) * {PER_DOUBLING})::int
    END, count(*)
  FROM executions WHERE finished_at >= %b AND finished_at < %b GROUP BY 1, 2, 3, 4"""  # noqa: S608
_FAILURES = """SELECT workflow_id, error ->> 'node_id', coalesce(error ->> 'code', ''), count(*), max(id) FROM (
    SELECT id, workflow_id, convert_from(error, 'UTF8')::json AS error FROM executions
      WHERE finished_at >= %b AND finished_at < %b AND status = 'failed' ORDER BY finished_at DESC LIMIT %b) AS failed
  GROUP BY 1, 2, 3 ORDER BY 4 DESC, 5 DESC"""
