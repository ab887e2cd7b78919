"""API keys on SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any, Final

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.tables import ApiKeyRecord
from aicflow.kernel.values import dumps, loads
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.part import Part, writes
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_COLUMNS: Final = "id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at"
_TOUCH_EVERY: Final = 30.0


class SQLiteKeys(Part):
    """API keys. When a key was last used is written at most every half minute, and at the close."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        super().__init__(writer, readers)
        self._touched: dict[str, float] = {}
        self._flushed_at = 0.0

    @writes
    def create(
        self, connection: sqlite3.Connection, record: ApiKeyRecord, *, idempotency: Idempotency | None = None
    ) -> None:
        check_key(connection, idempotency)
        instants = (record.created_at, record.expires_at, record.last_used_at, record.revoked_at)
        connection.execute(
            f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                record.id,
                record.name,
                record.hash,
                dumps(record.scopes).decode(),
                *[micros(instant) for instant in instants],
            ),
        )
        add_key(connection, idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        rows = await self.rows(f"SELECT {_COLUMNS} FROM api_keys WHERE hash = ?", key_hash)  # noqa: S608
        return self._record(rows[0]) if rows else None

    async def list(self) -> list[ApiKeyRecord]:
        return [self._record(row) for row in await self.rows(f"SELECT {_COLUMNS} FROM api_keys ORDER BY n")]  # noqa: S608

    @writes
    def revoke(self, connection: sqlite3.Connection, key_id: str, *, now: float) -> None:
        sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?"
        if not connection.execute(sql, (micros(now), key_id)).rowcount:
            raise NotFound("API key", key_id)

    async def touch(self, key_id: str, *, now: float) -> None:
        self._touched[key_id] = now
        if abs(now - self._flushed_at) >= _TOUCH_EVERY:
            self._flushed_at = now
            await self.flush()

    async def flush(self) -> None:
        """Write down when keys were last used."""
        if not self._touched:
            return
        # kept until they are written, so that a list in between tells the truth
        touched = dict(self._touched)
        used = dumps([[key_id, micros(now)] for key_id, now in touched.items()]).decode()
        await self.write(_TOUCH, used)
        for key_id, now in touched.items():
            if self._touched.get(key_id) == now:
                del self._touched[key_id]

    def _record(self, row: tuple[Any, ...]) -> ApiKeyRecord:
        key_id, name, key_hash, scopes, *instants = row
        record = ApiKeyRecord(key_id, name, key_hash, tuple(loads(scopes)), *map(seconds, instants))
        used = self._touched.get(key_id)
        return record if used is None else replace(record, last_used_at=used)


_TOUCH = """
UPDATE api_keys SET last_used_at = json_extract(u.value, '$[1]')
  FROM json_each(?) AS u WHERE api_keys.id = json_extract(u.value, '$[0]')
"""
