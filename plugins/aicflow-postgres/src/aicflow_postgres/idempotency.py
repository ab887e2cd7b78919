"""Idempotency keys on PostgreSQL. What makes something calls `check_key` before its first write and `add_key` after."""

from __future__ import annotations

from aicflow.ports import Idempotency, KeyUsed, micros

from aicflow_postgres.database import Connection, Part, fetch, send, writes
from aicflow_postgres.values import indexed


async def check_key(connection: Connection, idempotency: Idempotency | None) -> None:
    """Raise KeyUsed for a key that was used before. Whoever uses the same key at this moment comes after."""
    if idempotency is not None:
        await send(connection, _LOCK, f"{idempotency.scope} {indexed(idempotency.key).hex()}")
        rows = await fetch(connection, _FIND, idempotency.scope, indexed(idempotency.key))
        if rows:
            raise KeyUsed(idempotency.key, *rows[0])


async def add_key(connection: Connection, idempotency: Idempotency | None, result: str, now: float) -> None:
    """Note a key with the id of what was made, in the transaction that makes it."""
    if (one := idempotency) is not None:
        row = (one.scope, indexed(one.key), one.fingerprint, result, micros(now), one.owner)
        await send(connection, "INSERT INTO idempotency_keys VALUES (%b, %b, %b, %b, %b, %b)", *row)


class PostgresIdempotency(Part):
    """Idempotency keys."""

    async def find(self, scope: str, key: str) -> KeyUsed | None:
        rows = await self.rows(_FIND, scope, indexed(key))
        return KeyUsed(key, *rows[0]) if rows else None

    @writes
    async def use(self, connection: Connection, idempotency: Idempotency, result: str, *, now: float) -> None:
        await check_key(connection, idempotency)
        await add_key(connection, idempotency, result, now)


_FIND = "SELECT fingerprint, result FROM idempotency_keys WHERE scope = %b AND key = %b"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('aicflow key ' || %b::text, 0))"
