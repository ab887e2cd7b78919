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
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

__all__ = ["SQLiteKeys"]

_COLUMNS: Final = "id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at"
_TOUCH_EVERY: Final = 30.0


class SQLiteKeys:
    """API keys. When a key was last used is written at most every half minute, and at the close."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._touched: dict[str, float] = {}
        self._flushed_at = 0.0

    async def create(self, record: ApiKeyRecord, *, idempotency: Idempotency | None = None) -> None:
        row = (
            record.id,
            record.name,
            record.hash,
            dumps(record.scopes).decode(),
            micros(record.created_at),
            micros(record.expires_at),
            micros(record.last_used_at),
            micros(record.revoked_at),
        )
        sql = f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608

        def run(connection: sqlite3.Connection) -> None:
            check_key(connection, idempotency)
            connection.execute(sql, row)
            add_key(connection, idempotency, record.id, record.created_at)

        await self._writer.run(run)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        sql = f"SELECT {_COLUMNS} FROM api_keys WHERE hash = ?"  # noqa: S608
        rows = await self._readers.run(lambda connection: connection.execute(sql, (key_hash,)).fetchall())
        return self._record(rows[0]) if rows else None

    async def list(self) -> list[ApiKeyRecord]:
        sql = f"SELECT {_COLUMNS} FROM api_keys ORDER BY n"  # noqa: S608
        rows = await self._readers.run(lambda connection: connection.execute(sql).fetchall())
        return [self._record(row) for row in rows]

    async def revoke(self, key_id: str, *, now: float) -> None:
        def run(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (micros(now), key_id)
            ).rowcount
            if not changed:
                raise NotFound("API key", key_id)

        await self._writer.run(run)

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
        await self._writer.run(lambda connection: connection.execute(_TOUCH, (used,)) and None)
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
