"""The audit chain on PostgreSQL: one for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aicflow.ports import AuditEntry, AuditFilter, AuditRow, Page, check_limit, make_cursor, read_cursor

from aicflow_postgres.database import Connection, Part, add_entries, changed, writes


class PostgresAudit(Part):
    """The chain."""

    @writes
    async def add(self, connection: Connection, entries: Sequence[AuditEntry]) -> AuditRow:
        return await add_entries(connection, entries)

    async def last(self) -> AuditRow | None:
        rows = await self.rows(f"{_SELECT} ORDER BY seq DESC LIMIT 1")
        return _row(rows[0]) if rows else None

    async def read(self, *, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        return [_row(row) for row in await self.rows(f"{_SELECT} WHERE seq > %b ORDER BY seq LIMIT %b", after, limit)]

    @writes
    async def drop(self, connection: Connection, through: int, entry: AuditEntry) -> int:
        await add_entries(connection, [entry])
        return await changed(connection, "DELETE FROM audit WHERE seq <= %b", through)

    @writes
    async def erase_personal(self, connection: Connection, texts: Sequence[str]) -> int:
        sql = "UPDATE audit SET personal = NULL WHERE position(%b::bytea IN personal) > 0"
        return sum([await changed(connection, sql, text.encode()) for text in texts])

    # last in the class, so that `list` means the type everywhere above
    async def list(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> Page[AuditRow]:
        check_limit(limit)
        below = read_cursor("audit", cursor, int)[0] if cursor is not None else 2**62
        conditions, values = ["seq < %b"], list[Any]([below])
        for sql, value in (
            ("actor = %b", None if where.actor is None else where.actor.encode()),
            ("action = %b", where.action),
            ("%b::bytea = ANY(targets)", None if where.target is None else where.target.encode()),
            ("at >= %b", where.since),
            ("at < %b", where.until),
        ):
            if value is not None:
                conditions.append(sql)
                values.append(value)
        sql = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT %b"
        rows = await self.rows(sql, *values, limit + 1)
        more = make_cursor("audit", rows[limit - 1][0]) if len(rows) > limit else None
        return Page([_row(row) for row in rows[:limit]], more)


def _row(row: tuple[Any, ...]) -> AuditRow:
    seq, hash, body, personal = row
    return AuditRow(seq, bytes(hash), body, None if personal is None else bytes(personal).decode())


_SELECT = "SELECT seq, hash, body, personal FROM audit"
