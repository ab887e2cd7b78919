"""API keys on SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any, Final

from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.checks import rotated_key
from aicflow.store.instants import micros, now, seconds
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.part import Part, writes
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_COLUMNS: Final = (
    "id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at, previous_expires_at, previous_hash,"
    " limits"
)
_FIND: Final = f"SELECT {_COLUMNS} FROM api_keys WHERE hash = :hash OR previous_hash = :hash"  # noqa: S608
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
        if connection.execute(_FIND, {"hash": record.hash}).fetchone() is not None:
            raise Conflict(f"API key {record.id!r} exists already.")
        instants = (
            record.created_at, record.expires_at, record.last_used_at, record.revoked_at, record.previous_expires_at
        )  # fmt: skip
        connection.execute(
            f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            (
                record.id,
                record.name,
                record.hash,
                dumps(record.scopes).decode(),
                *[micros(instant) for instant in instants],
                record.previous_hash,
                dumps([record.workflows, record.labels, record.addresses, record.max_queued]).decode(),
            ),
        )
        add_key(connection, idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        rows = await self.readers.run(lambda connection: connection.execute(_FIND, {"hash": key_hash}).fetchall())
        return self._record(rows[0]) if rows else None

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
        row = connection.execute(f"SELECT {_COLUMNS} FROM api_keys WHERE id = ?", (key_id,)).fetchone()  # noqa: S608
        rotated = rotated_key(self._record(row) if row else None, key_id, key_hash, previous_expires_at)
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
        for key_id, instant in touched.items():
            if self._touched.get(key_id) == instant:
                del self._touched[key_id]

    def _record(self, row: tuple[Any, ...]) -> ApiKeyRecord:
        key_id, name, key_hash, scopes, created_at, *instants, previous_hash, limits = row
        workflows, labels, addresses, *later = loads(limits)  # a row of an earlier version has fewer
        expires_at, used_at, revoked_at, previous_expires_at = map(seconds, instants)
        record = ApiKeyRecord(
            key_id, name, key_hash, tuple(loads(scopes)), seconds(created_at), expires_at, used_at, revoked_at,
            tuple(workflows), labels, tuple(addresses), previous_hash, previous_expires_at, *later,
        )  # fmt: skip
        used = self._touched.get(key_id)
        return record if used is None else replace(record, last_used_at=used)


_TOUCH = """
UPDATE api_keys SET last_used_at = json_extract(u.value, '$[1]')
  FROM json_each(?) AS u WHERE api_keys.id = json_extract(u.value, '$[0]')
"""
