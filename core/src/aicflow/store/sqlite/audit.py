"""The audit chain on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from aicflow.kernel.ports.audit import AuditEntry, AuditFilter, AuditRow
from aicflow.kernel.ports.executions import Page
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.sqlite.chain import LAST, ROW, add_entries
from aicflow.store.sqlite.part import Part, reads, writes


class SQLiteAudit(Part):
    """The chain."""

    @writes
    def add(self, connection: sqlite3.Connection, entries: Sequence[AuditEntry]) -> AuditRow:
        return add_entries(connection, entries)

    @reads
    def last(self, connection: sqlite3.Connection) -> AuditRow | None:
        found = connection.execute(LAST).fetchone()
        return AuditRow(*found) if found else None

    async def read(self, *, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        found = await self.rows(f"SELECT {ROW} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)  # noqa: S608
        return [AuditRow(*row) for row in found]

    @writes
    def drop(self, connection: sqlite3.Connection, through: int, entry: AuditEntry) -> int:
        add_entries(connection, [entry])
        return connection.execute("DELETE FROM audit WHERE seq <= ?", (through,)).rowcount

    @writes
    def erase_personal(self, connection: sqlite3.Connection, texts: Sequence[str]) -> int:
        sql = "UPDATE audit SET personal = NULL WHERE instr(lower(personal), lower(?))"
        return sum(connection.execute(sql, (text,)).rowcount for text in texts)

    # last in the class, so that `list` means the type everywhere above
    async def list(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> Page[AuditRow]:
        check_limit(limit)
        conditions, values = ["seq < ?"], [read_cursor("audit", cursor, int)[0] if cursor is not None else 2**62]
        for sql, value in (
            ("body ->> '$.actor' = ?", where.actor),
            ("body ->> '$.action' = ?", where.action),
            ("body ->> '$.at' >= ?", where.since),
            ("body ->> '$.at' < ?", where.until),
            (_TARGET, where.target),
        ):
            if value is not None:
                conditions.append(sql)
                values += [value] * sql.count("?")
        sql = f"SELECT {ROW} FROM audit WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        rows: Any = await self.rows(sql, *values, limit + 1)
        more = make_cursor("audit", rows[limit - 1][0]) if len(rows) > limit else None
        return Page([AuditRow(*row) for row in rows[:limit]], more)


_TARGET = """(body ->> '$.target' = ? OR body ->> '$.made' = ?
  OR EXISTS (SELECT 1 FROM json_each(body, '$.many') WHERE value = ?))"""
