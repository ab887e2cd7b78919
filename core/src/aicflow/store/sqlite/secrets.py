"""Secrets on SQLite, sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from aicflow.kernel.ports.access import SecretRecord
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import check_secret_version
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.part import Part, writes


class SQLiteSecrets(Part):
    """Secrets by name."""

    @writes
    def put(self, connection: sqlite3.Connection, record: SecretRecord) -> None:
        check_secret_version(record.name, _version(connection, record.name), record.version - 1)
        r = record
        connection.execute(
            "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(r.name, r.version, r.description, dumps(r.workflows).decode(), dumps(dict(r.labels)).decode()),
                *(micros(r.created_at), micros(r.updated_at), micros(r.last_used_at)),
                *(r.kek_id, r.wrapped_key, r.nonce, r.ciphertext),
            ),
        )

    async def get(self, name: str) -> SecretRecord | None:
        rows = await self.rows("SELECT * FROM secrets WHERE name = ?", name)
        return _record(rows[0]) if rows else None

    @writes
    def rewrap(self, connection: sqlite3.Connection, records: Sequence[SecretRecord]) -> None:
        connection.executemany(
            "UPDATE secrets SET kek_id = ?, wrapped_key = ? WHERE name = ? AND version = ?",
            [(record.kek_id, record.wrapped_key, record.name, record.version) for record in records],
        )

    async def touch(self, names: Sequence[str], *, now: float) -> None:
        sql = "UPDATE secrets SET last_used_at = ? WHERE name IN (SELECT value FROM json_each(?))"
        await self.write(sql, micros(now), dumps(names).decode())

    @writes
    def delete(self, connection: sqlite3.Connection, name: str, *, version: int) -> None:
        check_secret_version(name, _version(connection, name), version)
        connection.execute("DELETE FROM secrets WHERE name = ?", (name,))

    # last in the class, so that `list` means the type everywhere above
    async def list(self, *, not_under: str | None = None, limit: int | None = None) -> list[SecretRecord]:
        sql = "SELECT * FROM secrets WHERE kek_id IS NOT ? ORDER BY name LIMIT ?"
        return [_record(row) for row in await self.rows(sql, not_under, -1 if limit is None else limit)]


def _version(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT version FROM secrets WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def _record(row: tuple[Any, ...]) -> SecretRecord:
    name, version, description, workflows, labels, created, updated, used, *sealed = row
    instants = (seconds(created), seconds(updated), seconds(used))
    return SecretRecord(name, version, description, tuple(loads(workflows)), loads(labels), *instants, *sealed)
