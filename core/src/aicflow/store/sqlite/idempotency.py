"""Idempotency keys on SQLite. Whatever makes something calls `check_key` before its first write and `add_key` after."""

from __future__ import annotations

import sqlite3

from aicflow.kernel.errors import KeyUsed
from aicflow.kernel.ports.executions import Idempotency
from aicflow.store.instants import micros
from aicflow.store.sqlite.part import Part, reads, writes


def check_key(connection: sqlite3.Connection, idempotency: Idempotency | None) -> None:
    """Raise KeyUsed for a key that was used before."""
    if idempotency is not None and (used := _find(connection, idempotency.scope, idempotency.key)) is not None:
        raise used


def add_key(connection: sqlite3.Connection, idempotency: Idempotency | None, result: str, now: float) -> None:
    """Note a key with the id of what was made, in the transaction that makes it."""
    if idempotency is not None:
        connection.execute(
            "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?, ?, ?)",
            (
                idempotency.scope,
                idempotency.key,
                idempotency.fingerprint,
                result,
                micros(now),
                idempotency.owner,
            ),
        )


def _find(connection: sqlite3.Connection, scope: str, key: str) -> KeyUsed | None:
    sql = "SELECT fingerprint, result FROM idempotency_keys WHERE scope = ? AND key = ?"
    rows = connection.execute(sql, (scope, key)).fetchall()
    return KeyUsed(key, *rows[0]) if rows else None


class SQLiteIdempotency(Part):
    """Idempotency keys."""

    @reads
    def find(self, connection: sqlite3.Connection, scope: str, key: str) -> KeyUsed | None:
        return _find(connection, scope, key)

    @writes
    def use(self, connection: sqlite3.Connection, idempotency: Idempotency, result: str, *, now: float) -> None:
        check_key(connection, idempotency)
        add_key(connection, idempotency, result, now)
