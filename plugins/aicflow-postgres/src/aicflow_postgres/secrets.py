"""Secrets on PostgreSQL, sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aicflow.ports import SecretRecord, check_secret_version, dumps, loads, micros, seconds

from aicflow_postgres.database import Connection, Part, fetch, send, writes
from aicflow_postgres.values import bytes_of, text_of


class PostgresSecrets(Part):
    """Secrets by name."""

    @writes
    async def put(self, connection: Connection, record: SecretRecord) -> None:
        check_secret_version(record.name, await _locked_version(connection, record.name), record.version - 1)
        await send(
            connection,
            _PUT,
            record.name,
            record.version,
            bytes_of(record.description),
            dumps(record.workflows),
            dumps(dict(record.labels)),
            *[micros(at) for at in (record.created_at, record.updated_at, record.last_used_at)],
            *(record.kek_id, record.wrapped_key, record.nonce, record.ciphertext),
        )

    async def get(self, name: str) -> SecretRecord | None:
        rows = await self.rows(f"{_SELECT} WHERE name = %b", name)
        return _record(rows[0]) if rows else None

    @writes
    async def rewrap(self, connection: Connection, records: Sequence[SecretRecord]) -> None:
        for one in sorted(records, key=lambda record: record.name):
            await send(connection, _REWRAP, one.kek_id, one.wrapped_key, one.name, one.version)

    async def touch(self, names: Sequence[str], *, now: float) -> None:
        await self.rows(_TOUCH, list(names), micros(now))

    @writes
    async def delete(self, connection: Connection, name: str, *, version: int) -> None:
        check_secret_version(name, await _locked_version(connection, name), version)
        await send(connection, "DELETE FROM secrets WHERE name = %b", name)

    # last in the class, so that `list` means the type everywhere above
    async def list(self, *, not_under: str | None = None, limit: int | None = None) -> list[SecretRecord]:
        rows = await self.rows(_LIST, not_under, limit)
        return [_record(row) for row in rows]


async def _locked_version(connection: Connection, name: str) -> int:
    """The kept version, 0 when there is none, which nobody else changes until the transaction ends."""
    await send(connection, "SELECT pg_advisory_xact_lock(hashtextextended('aicflow secret ' || %b::text, 0))", name)
    rows = await fetch(connection, "SELECT version FROM secrets WHERE name = %b", name)
    return int(rows[0][0]) if rows else 0


def _record(row: tuple[Any, ...]) -> SecretRecord:
    name, version, description, workflows, labels, created, updated, used, kek_id, *sealed = row
    instants = (seconds(created), seconds(updated), seconds(used))
    limits = (tuple(loads(workflows)), loads(labels))
    return SecretRecord(name, version, text_of(description), *limits, *instants, kek_id, *map(bytes, sealed))


_SELECT = """
SELECT name, version, description, workflows, labels, created_at, updated_at, last_used_at, kek_id, wrapped_key, nonce,
    ciphertext FROM secrets
"""
_LIST = f"{_SELECT} WHERE kek_id IS DISTINCT FROM %b::text ORDER BY name LIMIT %b::bigint"
_PUT = """
INSERT INTO secrets VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b) ON CONFLICT (name) DO UPDATE
  SET version = excluded.version, description = excluded.description, workflows = excluded.workflows,
    labels = excluded.labels, created_at = excluded.created_at, updated_at = excluded.updated_at,
    last_used_at = excluded.last_used_at, kek_id = excluded.kek_id, wrapped_key = excluded.wrapped_key,
    nonce = excluded.nonce, ciphertext = excluded.ciphertext
"""
_REWRAP = "UPDATE secrets SET kek_id = %b, wrapped_key = %b WHERE name = %b AND version = %b"
_TOUCH = """
WITH l AS (SELECT name FROM secrets WHERE name = ANY(%b::text[]) ORDER BY name FOR UPDATE)
UPDATE secrets AS s SET last_used_at = %b FROM l WHERE s.name = l.name
"""
