"""Files, on PostgreSQL: what is known of them and which executions hold them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aicflow.ports import (
    FileRecord,
    NotFound,
    Page,
    check_limit,
    check_quota,
    file_in_use,
    make_cursor,
    micros,
    read_cursor,
    seconds,
)

from aicflow_postgres.creates import hold_files
from aicflow_postgres.database import Connection, Part, fetch, send, writes
from aicflow_postgres.values import bytes_of, text_of


class PostgresFiles(Part):
    """Files."""

    @writes
    async def add(
        self,
        connection: Connection,
        file: FileRecord,
        *,
        execution_id: str | None = None,
        quota: int | None = None,
        instead_of: str | None = None,
    ) -> FileRecord:
        await send(connection, _LOCK)  # two that come together are both counted
        if not await fetch(connection, f"{_SELECT} WHERE sha256 = %b", file.sha256):
            check_quota(file, await _total(connection), quota)
        times = micros(file.created_at), micros(file.expires_at)
        row = (file.sha256, file.size, bytes_of(file.type), bytes_of(file.name), file.place, *times)
        await send(connection, _ADD, *row, instead_of)
        if execution_id is not None:
            await _hold(connection, [file.sha256], execution_id)
        return _record((await fetch(connection, f"{_SELECT} WHERE sha256 = %b", file.sha256))[0])

    async def hold(
        self, sha256s: Collection[str], *, execution_id: str | None = None, until: float = 0.0
    ) -> Mapping[str, FileRecord]:
        return await self._hold(sorted(sha256s), execution_id, micros(until)) if sha256s else {}

    @writes
    async def _hold(
        self, connection: Connection, sha256s: Sequence[str], execution_id: str | None, until: int
    ) -> dict[str, FileRecord]:
        await send(connection, _KEEP, sha256s, until, until)
        if execution_id is not None:
            await _hold(connection, sha256s, execution_id)
        found = await fetch(connection, f"{_SELECT} WHERE sha256 = ANY(%b::text[])", sha256s)
        return {row[0]: _record(row) for row in found}

    async def get(self, sha256: str) -> FileRecord:
        rows = await self.rows(f"{_SELECT} WHERE sha256 = %b", sha256)
        if not rows:
            raise NotFound("file", sha256)
        return _record(rows[0])

    async def total_bytes(self) -> int:
        async with self.database.connection() as connection:
            return await _total(connection)

    @writes
    async def remove(self, connection: Connection, sha256: str) -> FileRecord:
        rows = await fetch(connection, f"{_SELECT} WHERE sha256 = %b FOR UPDATE", sha256)
        if not rows:
            raise NotFound("file", sha256)
        record = _record(rows[0])
        if record.executions:
            raise file_in_use(record)
        await send(connection, "DELETE FROM files WHERE sha256 = %b", sha256)
        return record

    async def expire(self, *, now: float, batch: int = 1000) -> Sequence[str]:
        return [place for (place,) in await self.rows(_EXPIRE, micros(now), batch)]

    async def unknown(self, places: Collection[str]) -> frozenset[str]:
        sql = "SELECT p FROM unnest(%b::text[]) AS a(p) WHERE NOT EXISTS (SELECT 1 FROM files WHERE place = p)"
        return frozenset(place for (place,) in await self.rows(sql, list(places)))

    # last in the class, so that `list` means the type everywhere above
    async def list(self, *, limit: int, cursor: str | None = None) -> Page[FileRecord]:
        check_limit(limit)
        before = read_cursor("files", cursor, int)[0] if cursor is not None else 2**62
        rows = await self.rows(f"{_SELECT} WHERE n < %b ORDER BY n DESC LIMIT %b", before, limit + 1)
        found = rows[:limit]
        return Page([_record(row) for row in found], make_cursor("files", found[-1][-1]) if len(rows) > limit else None)


async def _hold(connection: Connection, sha256s: Sequence[str], execution_id: str) -> None:
    # its row is locked, so that it does not go before what it holds is noted
    if await fetch(connection, "SELECT 1 FROM executions WHERE id = %b FOR KEY SHARE", execution_id):
        await hold_files(connection, [(execution_id, sha256) for sha256 in sha256s])


async def _total(connection: Connection) -> int:
    return int((await fetch(connection, "SELECT coalesce(sum(size), 0) FROM files"))[0][0])


def _record(row: tuple[Any, ...]) -> FileRecord:
    sha256, size, type, name, created_at, expires_at, place, executions, _ = row
    times = seconds(created_at), seconds(expires_at)
    return FileRecord(sha256, size, text_of(type) or "", text_of(name), *times, place, executions)


_SELECT = "SELECT sha256, size, type, name, created_at, expires_at, place, executions, n FROM files"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('aicflow files', 0))"
_ADD = """
INSERT INTO files AS f (sha256, size, type, name, place, created_at, expires_at) VALUES (%b, %b, %b, %b, %b, %b, %b)
  ON CONFLICT (sha256) DO UPDATE SET
    type = CASE WHEN excluded.type = 'application/octet-stream' THEN f.type ELSE excluded.type END,
    name = coalesce(excluded.name, f.name), expires_at = greatest(f.expires_at, excluded.expires_at),
    place = CASE WHEN f.place = %b THEN excluded.place ELSE f.place END
"""
_KEEP = """
WITH l AS (SELECT n FROM files WHERE sha256 = ANY(%b::text[]) AND expires_at < %b ORDER BY sha256 FOR UPDATE)
UPDATE files AS f SET expires_at = %b FROM l WHERE f.n = l.n
"""
_EXPIRE = """
DELETE FROM files WHERE n IN (
    SELECT n FROM files WHERE executions = 0 AND expires_at <= %b LIMIT %b FOR UPDATE SKIP LOCKED)
  RETURNING place
"""
