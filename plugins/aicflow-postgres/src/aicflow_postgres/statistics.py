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
    durations_from,
    durations_text,
    ended_from_rows,
    in_larger_steps,
)

from aicflow_postgres.database import Connection, Part, fetch, send, writes

_MICRO = 1_000_000
_HOUR = 3600
_HOURS_AT_ONCE = 24


class PostgresStatistics(Part):
    """Counts from the executions themselves, and from the hours that are written down."""

    async def ended(self, since: int, until: int, step: int) -> Sequence[Ended]:
        through = await self._through() if since % _HOUR == 0 and step % _HOUR == 0 else 0
        if through <= since:
            return await self._counted(since, until, step)
        whole = min(through, until // _HOUR * _HOUR)
        parts = [_ended(*row) for row in await self.rows(_HOURS, since, whole)]
        return in_larger_steps([*parts, *await self._counted(whole, until, _HOUR)], since, step)

    async def failures(self, since: int, until: int) -> Sequence[Failures]:
        rows = await self.rows(_FAILURES, since * _MICRO, until * _MICRO, NEWEST_FAILURES)
        return [Failures(*row) for row in rows]

    async def roll_up(self, before: float, *, keep: float) -> int:
        through = await self._through()
        first = (await self.rows(_FIRST, through * _MICRO))[0][0]
        if first is None:
            return 0
        start = first // (_HOUR * _MICRO) * _HOUR
        end = min(start + _HOURS_AT_ONCE * _HOUR, int(before) // _HOUR * _HOUR)
        if end <= start:
            return 0
        await self._write(start, end, await self._counted(start, end, _HOUR), int(before - keep))
        return int((end - start) // _HOUR)

    async def _through(self) -> int:
        rows = await self.rows("SELECT hour FROM ended_hours_through")
        return rows[0][0] if rows else 0

    async def _counted(self, since: int, until: int, step: int) -> list[Ended]:
        return ended_from_rows(
            await self.rows(_COUNTED, since * _MICRO, step * _MICRO, since * _MICRO, until * _MICRO), since, step
        )

    @writes
    async def _write(self, connection: Connection, start: int, end: int, ended: Sequence[Ended], forget: int) -> None:
        await send(connection, "LOCK TABLE ended_hours_through IN EXCLUSIVE MODE")
        rows = await fetch(connection, "SELECT hour FROM ended_hours_through")
        if rows and rows[0][0] > start:
            return  # another host has
        await send(connection, "DELETE FROM ended_hours WHERE hour < %b", forget)
        columns: tuple[list[Any], ...] = ([], [], [], [])
        for one in ended:
            for column, value in zip(
                columns, (one.start, one.workflow_id, one.status, durations_text(one.durations)), strict=True
            ):
                column.append(value)
        await send(connection, _ADD, *columns)
        await send(connection, "DELETE FROM ended_hours_through")
        await send(connection, "INSERT INTO ended_hours_through VALUES (%b)", end)


def _ended(hour: int, workflow_id: str, status: str, durations: str) -> Ended:
    counts = durations_from(durations)
    return Ended(hour, workflow_id, status, sum(counts.values()), counts)


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
