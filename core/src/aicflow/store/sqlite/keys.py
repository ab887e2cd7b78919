"""API keys on SQLite."""

from __future__ import annotations

import sqlite3
from typing import Final

from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.checks import rotated_key
from aicflow.store.instants import micros, now
from aicflow.store.keys import KEY_COLUMNS, LastUsed, key_row
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.part import Part, writes
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_FIND: Final = f"SELECT {KEY_COLUMNS} FROM api_keys WHERE hash = :hash OR previous_hash = :hash"  # noqa: S608


class SQLiteKeys(Part):
    """API keys."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        super().__init__(writer, readers)
        self._used = LastUsed()

    @writes
    def create(
        self, connection: sqlite3.Connection, record: ApiKeyRecord, *, idempotency: Idempotency | None = None
    ) -> None:
        check_key(connection, idempotency)
        if connection.execute(_FIND, {"hash": record.hash}).fetchone() is not None:
            raise Conflict(f"API key {record.id!r} exists already.")
        *row, limits = key_row(record)
        connection.execute(
            f"INSERT INTO api_keys ({KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (*row, limits.decode()),
        )
        add_key(connection, idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        rows = await self.readers.run(lambda connection: connection.execute(_FIND, {"hash": key_hash}).fetchall())
        return self._used.record(rows[0]) if rows else None

    @writes
    def rotate(
        self,
        connection: sqlite3.Connection,
        key_id: str,
        key_hash: str,
        *,
        previous_expires_at: float,
        idempotency: Idempotency | None = None,
    ) -> ApiKeyRecord:
        check_key(connection, idempotency)
        row = connection.execute(f"SELECT {KEY_COLUMNS} FROM api_keys WHERE id = ?", (key_id,)).fetchone()  # noqa: S608
        rotated = rotated_key(self._used.record(row) if row else None, key_id, key_hash, previous_expires_at)
        if connection.execute(_FIND, {"hash": key_hash}).fetchone() is not None:
            raise Conflict(f"API key {key_id!r} has this hash already.")
        sql = "UPDATE api_keys SET previous_hash = hash, hash = ?, previous_expires_at = ? WHERE id = ?"
        connection.execute(sql, (key_hash, micros(previous_expires_at), key_id))
        add_key(connection, idempotency, key_id, now())
        return rotated

    @writes
    def keep_ticket(
        self, connection: sqlite3.Connection, ticket_hash: str, owner: JsonObject, *, now: float, expires_at: float
    ) -> None:
        connection.execute("DELETE FROM tickets WHERE expires_at <= ?", (micros(now),))
        connection.execute(
            "INSERT INTO tickets VALUES (?, ?, ?)", (ticket_hash, dumps(owner).decode(), micros(expires_at))
        )

    async def find_ticket(self, ticket_hash: str, *, now: float) -> JsonObject | None:
        found = await self.rows("SELECT owner FROM tickets WHERE hash = ? AND expires_at > ?", ticket_hash, micros(now))
        return loads(found[0][0]) if found else None

    @writes
    def take_ticket(self, connection: sqlite3.Connection, ticket_hash: str, *, now: float) -> JsonObject | None:
        taken = connection.execute(
            "DELETE FROM tickets WHERE hash = ? RETURNING owner, expires_at", (ticket_hash,)
        ).fetchall()
        return loads(taken[0][0]) if taken and taken[0][1] > micros(now) else None

    async def list(self) -> list[ApiKeyRecord]:
        return [self._used.record(row) for row in await self.rows(f"SELECT {KEY_COLUMNS} FROM api_keys ORDER BY n")]  # noqa: S608

    @writes
    def revoke(self, connection: sqlite3.Connection, key_id: str, *, now: float) -> None:
        sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?"
        if not connection.execute(sql, (micros(now), key_id)).rowcount:
            raise NotFound("API key", key_id)

    async def touch(self, key_id: str, *, now: float) -> None:
        if self._used.note(key_id, now):
            await self.flush()

    async def flush(self) -> None:
        """Write down when keys were last used."""
        await self._used.flush(lambda used: self.write(_TOUCH, dumps([*used.items()]).decode()))


_TOUCH = """
UPDATE api_keys SET last_used_at = json_extract(u.value, '$[1]')
  FROM json_each(?) AS u WHERE api_keys.id = json_extract(u.value, '$[0]')
"""
