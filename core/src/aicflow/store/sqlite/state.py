"""What workflows keep between executions, on SQLite."""

from __future__ import annotations

import sqlite3
from typing import Any

from aicflow.kernel.context import StateEntry
from aicflow.kernel.ports.executions import Idempotency, Page
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import check_limit, next_state
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, now, seconds
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.part import Part, reads, writes


class SQLiteState(Part):
    """Entries by workflow and key."""

    @reads
    def get(self, connection: sqlite3.Connection, workflow_id: str, key: str) -> StateEntry | None:
        return _get(connection, workflow_id, key)

    @writes
    def put(
        self,
        connection: sqlite3.Connection,
        workflow_id: str,
        key: str,
        value: Any,
        *,
        lifetime: float | None = None,
        version: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> StateEntry:
        check_key(connection, idempotency)
        entry = next_state(_get(connection, workflow_id, key), key, value, lifetime=lifetime, version=version)
        at, until = micros(entry.updated_at), micros(entry.expires_at)
        connection.execute("DELETE FROM state WHERE workflow_id = ? AND expires_at <= ?", (workflow_id, at))
        connection.execute(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)",
            (workflow_id, key, dumps(value).decode(), entry.version, at, until),
        )
        add_key(connection, idempotency, str(entry.version), entry.updated_at)
        return entry

    @writes
    def delete(self, connection: sqlite3.Connection, workflow_id: str, key: str, *, version: int | None = None) -> bool:
        before = _get(connection, workflow_id, key)
        next_state(before, key, None, version=version)
        connection.execute("DELETE FROM state WHERE workflow_id = ? AND key = ?", (workflow_id, key))
        return before is not None

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self, workflow_id: str, *, prefix: str = "", limit: int, cursor: str | None = None
    ) -> Page[StateEntry]:
        check_limit(limit)
        after = str(read_cursor("state", cursor, str)[0]) if cursor is not None else ""
        rows = await self.rows(
            f"{_SELECT} AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?",
            workflow_id,
            micros(now(None)),
            after,
            prefix,
            prefix + "\x7f",  # keys are of characters that come before it
            limit + 1,
        )
        found = [_entry(row) for row in rows[:limit]]
        return Page(found, make_cursor("state", found[-1].key) if len(rows) > limit else None)


_SELECT = """SELECT key, value, version, updated_at, expires_at FROM state
  WHERE workflow_id = ? AND (expires_at IS NULL OR expires_at > ?)"""


def _get(connection: sqlite3.Connection, workflow_id: str, key: str) -> StateEntry | None:
    row = connection.execute(f"{_SELECT} AND key = ?", (workflow_id, micros(now(None)), key)).fetchone()
    return None if row is None else _entry(row)


def _entry(row: Any) -> StateEntry:
    key, value, version, updated_at, expires_at = row
    return StateEntry(key, loads(value), version, seconds(updated_at), seconds(expires_at))
