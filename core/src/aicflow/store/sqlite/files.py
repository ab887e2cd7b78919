"""Files, on SQLite: what is known of them and which executions hold them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Page
from aicflow.kernel.ports.files import FileRecord
from aicflow.kernel.values import dumps
from aicflow.store.checks import check_limit, check_quota, file_in_use
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.part import Part, reads, writes


class SQLiteFiles(Part):
    """Files. Triggers of the schema count holders and bytes."""

    @writes
    def add(
        self,
        connection: sqlite3.Connection,
        file: FileRecord,
        *,
        execution_id: str | None = None,
        quota: int | None = None,
        instead_of: str | None = None,
    ) -> FileRecord:
        known = connection.execute(f"{_SELECT} WHERE sha256 = ?", (file.sha256,)).fetchone()
        if known is None:
            check_quota(file, _total(connection), quota)
        connection.execute(
            _ADD,
            {
                "sha256": file.sha256,
                "size": file.size,
                "type": file.type,
                "name": file.name,
                "place": file.place,
                "created_at": micros(file.created_at),
                "expires_at": micros(file.expires_at),
                "instead_of": instead_of,
            },
        )
        _hold(connection, [file.sha256], execution_id)
        return _record(connection.execute(f"{_SELECT} WHERE sha256 = ?", (file.sha256,)).fetchone())

    async def hold(
        self, sha256s: Collection[str], *, execution_id: str | None = None, until: float = 0.0
    ) -> Mapping[str, FileRecord]:
        return await self._hold(list(sha256s), execution_id, micros(until)) if sha256s else {}

    @writes
    def _hold(
        self, connection: sqlite3.Connection, sha256s: Sequence[str], execution_id: str | None, until: int
    ) -> dict[str, FileRecord]:
        names = dumps(sha256s).decode()
        connection.execute(
            f"UPDATE files SET expires_at = ? WHERE {_AMONG} AND expires_at < ?",  # noqa: S608
            (until, names, until),
        )
        _hold(connection, sha256s, execution_id)
        return {row[0]: _record(row) for row in connection.execute(f"{_SELECT} WHERE {_AMONG}", (names,)).fetchall()}

    async def get(self, sha256: str) -> FileRecord:
        rows = await self.rows(f"{_SELECT} WHERE sha256 = ?", sha256)
        if not rows:
            raise NotFound("file", sha256)
        return _record(rows[0])

    @reads
    def total_bytes(self, connection: sqlite3.Connection) -> int:
        return _total(connection)

    @writes
    def remove(self, connection: sqlite3.Connection, sha256: str) -> FileRecord:
        row = connection.execute(f"{_SELECT} WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise NotFound("file", sha256)
        record = _record(row)
        if record.executions:
            raise file_in_use(record)
        connection.execute("DELETE FROM files WHERE sha256 = ?", (sha256,))
        return record

    async def expire(self, *, now: float, batch: int = 1000) -> Sequence[str]:
        values = micros(now), batch
        return await self._expire(*values) if await self.rows(f"{_EXPIRED} LIMIT 1", values[0]) else []

    @writes
    def _expire(self, connection: sqlite3.Connection, now: int, batch: int) -> list[str]:
        found = connection.execute(f"DELETE FROM files WHERE n IN ({_EXPIRED} LIMIT ?) RETURNING place", (now, batch))  # noqa: S608
        return [place for (place,) in found.fetchall()]

    async def unknown(self, places: Collection[str]) -> frozenset[str]:
        sql = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT place FROM files)"
        return frozenset(place for (place,) in await self.rows(sql, dumps(list(places)).decode()))

    # last in the class, so that `list` means the type everywhere above
    async def list(self, *, limit: int, cursor: str | None = None) -> Page[FileRecord]:
        check_limit(limit)
        before = read_cursor("files", cursor, int)[0] if cursor is not None else 2**63 - 1
        rows = await self.rows(f"{_SELECT} WHERE n < ? ORDER BY n DESC LIMIT ?", before, limit + 1)
        more = len(rows) > limit
        found = rows[:limit]
        return Page([_record(row) for row in found], make_cursor("files", found[-1][-1]) if more else None)


_SELECT = "SELECT sha256, size, type, name, created_at, expires_at, place, executions, n FROM files"
_AMONG = "sha256 IN (SELECT value FROM json_each(?))"
_EXPIRED = "SELECT n FROM files WHERE executions = 0 AND expires_at <= ?"
_ADD = """
INSERT INTO files (sha256, size, type, name, place, created_at, expires_at)
  VALUES (:sha256, :size, :type, :name, :place, :created_at, :expires_at)
  ON CONFLICT (sha256) DO UPDATE SET
    type = CASE WHEN excluded.type = 'application/octet-stream' THEN type ELSE excluded.type END,
    name = coalesce(excluded.name, name), expires_at = max(expires_at, excluded.expires_at),
    place = CASE WHEN place = :instead_of THEN excluded.place ELSE place END
"""
_HOLD = f"""
INSERT OR IGNORE INTO file_holds SELECT f.sha256, e.id FROM files AS f, executions AS e
  WHERE f.{_AMONG} AND e.id = ?
"""  # noqa: S608


def _hold(connection: sqlite3.Connection, sha256s: Sequence[str], execution_id: str | None) -> None:
    if execution_id is not None:
        connection.execute(_HOLD, (dumps(sha256s).decode(), execution_id))


def _total(connection: sqlite3.Connection) -> int:
    total: int = connection.execute("SELECT total FROM file_bytes").fetchone()[0]
    return total


def _record(row: Any) -> FileRecord:
    sha256, size, type, name, created_at, expires_at, place, executions, _ = row
    return FileRecord(sha256, size, type, name, seconds(created_at), seconds(expires_at), place, executions)
