"""The smaller tables: what triggers keep, API keys, settings of node types, the state of workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakValueDictionary

from aicflow.ports import (
    KEY_COLUMNS,
    ApiKeyRecord,
    Conflict,
    Delivery,
    Idempotency,
    LastUsed,
    NodeSetting,
    NotFound,
    Page,
    StateEntry,
    check_limit,
    dumps,
    key_row,
    loads,
    make_cursor,
    micros,
    next_state,
    now,
    read_cursor,
    rotated_key,
    seconds,
)

from aicflow_postgres.database import Connection, Database, Part, changed, fetch, send, writes
from aicflow_postgres.idempotency import add_key, check_key
from aicflow_postgres.values import bytes_of, text_of


class PostgresTriggers(Part):
    """States, pauses and deliveries."""

    async def load_state(self, binding_id: str) -> dict[str, Any]:
        rows = await self.rows("SELECT state FROM triggers WHERE binding_id = %b", binding_id)
        state: dict[str, Any] = loads(rows[0][0]) if rows else {}
        return state

    async def save_state(self, binding_id: str, state: dict[str, Any]) -> None:
        await self.write(_SAVE_STATE, binding_id, dumps(state))

    async def paused(self) -> frozenset[str]:
        return frozenset(id for (id,) in await self.rows("SELECT binding_id FROM triggers WHERE paused"))

    async def set_paused(self, binding_id: str, paused: bool) -> None:
        await self.write(_PAUSE, binding_id, paused)

    async def deliveries(
        self, binding_id: str, *, limit: int, cursor: str | None = None, started: bool | None = None
    ) -> Page[Delivery]:
        check_limit(limit)
        after = read_cursor("deliveries", cursor, int, int) if cursor is not None else [2**62, 0]
        rows = await self.rows(_DELIVERIES, binding_id, *after, started, started, limit + 1)
        items = [_delivery(id, binding_id, at, key, None, *made) for _, id, at, key, *made in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items, make_cursor("deliveries", last[2], last[0]) if last else None)

    async def delivery(self, delivery_id: str) -> Delivery:
        rows = await self.rows(_DELIVERY, delivery_id)
        if not rows:
            raise NotFound("delivery", delivery_id)
        id, binding_id, at, key, payload, *made = rows[0]
        return _delivery(id, binding_id, at, key, loads(payload), *made)

    async def keep_delivery(self, delivery: Delivery) -> None:
        received_at, key, error = micros(delivery.received_at), bytes_of(delivery.key), bytes_of(delivery.error)
        row = (
            delivery.id,
            delivery.binding_id,
            received_at,
            key,
            delivery.execution_id,
            error,
            dumps(delivery.payload),
        )
        if not await self.write(_KEEP_DELIVERY, *row):
            raise Conflict(f"The delivery {delivery.id} is kept already.")


def _delivery(
    id: str, binding_id: str, at: int, key: bytes | None, payload: Any, execution_id: str | None, error: bytes | None
) -> Delivery:
    return Delivery(id, binding_id, seconds(at), text_of(key), payload, execution_id, text_of(error))


class PostgresKeys(Part):
    """API keys."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._used = LastUsed()

    @writes
    async def create(
        self, connection: Connection, record: ApiKeyRecord, *, idempotency: Idempotency | None = None
    ) -> None:
        await check_key(connection, idempotency)
        if await fetch(connection, f"{_SELECT_KEY} {_BY_HASH}", record.hash, record.hash):
            raise Conflict(f"API key {record.id!r} exists already.")
        if not await fetch(connection, _ADD_KEY, *key_row(record)):
            raise Conflict(f"API key {record.id!r} exists already.")
        await add_key(connection, idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        rows = await self.rows(f"{_SELECT_KEY} {_BY_HASH}", key_hash, key_hash)
        return self._used.record(rows[0]) if rows else None

    @writes
    async def rotate(
        self,
        connection: Connection,
        key_id: str,
        key_hash: str,
        *,
        previous_expires_at: float,
        idempotency: Idempotency | None = None,
    ) -> ApiKeyRecord:
        await check_key(connection, idempotency)
        rows = await fetch(connection, f"{_SELECT_KEY} WHERE id = %b FOR UPDATE", key_id)
        rotated = rotated_key(self._used.record(rows[0]) if rows else None, key_id, key_hash, previous_expires_at)
        if await fetch(connection, f"{_SELECT_KEY} {_BY_HASH}", key_hash, key_hash):
            raise Conflict(f"API key {key_id!r} has this hash already.")
        await send(connection, _ROTATE, key_hash, micros(previous_expires_at), key_id)
        await add_key(connection, idempotency, key_id, now())
        return rotated

    @writes
    async def keep_ticket(
        self, connection: Connection, ticket_hash: str, owner: dict[str, Any], *, now: float, expires_at: float
    ) -> None:
        await send(connection, "DELETE FROM tickets WHERE expires_at <= %b", micros(now))
        await send(connection, "INSERT INTO tickets VALUES (%b, %b, %b)", ticket_hash, dumps(owner), micros(expires_at))

    async def find_ticket(self, ticket_hash: str, *, now: float) -> dict[str, Any] | None:
        sql = "SELECT owner FROM tickets WHERE hash = %b AND expires_at > %b"
        found = await self.rows(sql, ticket_hash, micros(now))
        return loads(found[0][0]) if found else None

    @writes
    async def take_ticket(self, connection: Connection, ticket_hash: str, *, now: float) -> dict[str, Any] | None:
        taken = await fetch(connection, "DELETE FROM tickets WHERE hash = %b RETURNING owner, expires_at", ticket_hash)
        return loads(taken[0][0]) if taken and taken[0][1] > micros(now) else None

    async def list(self) -> list[ApiKeyRecord]:
        return [self._used.record(row) for row in await self.rows(f"{_SELECT_KEY} ORDER BY n")]

    @writes
    async def revoke(self, connection: Connection, key_id: str, *, now: float) -> None:
        sql = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, %b) WHERE id = %b"
        if not await changed(connection, sql, micros(now), key_id):
            raise NotFound("API key", key_id)

    async def touch(self, key_id: str, *, now: float) -> None:
        if self._used.note(key_id, now):
            await self.flush()

    async def flush(self) -> None:
        """Write down when keys were last used."""
        await self._used.flush(lambda used: self.rows(_TOUCH, [*used], [*used.values()]))


class PostgresNodeSettings(Part):
    """How an operator configured node types."""

    async def all(self) -> list[NodeSetting]:
        rows = await self.rows("SELECT type_id, enabled, default_params FROM node_settings ORDER BY type_id")
        return [NodeSetting(type_id, enabled, loads(params)) for type_id, enabled, params in rows]

    async def put(self, setting: NodeSetting) -> None:
        await self.write(_PUT_SETTING, setting.type_id, setting.enabled, dumps(setting.default_params))

    async def delete(self, type_id: str) -> None:
        await self.write("DELETE FROM node_settings WHERE type_id = %b", type_id)


class PostgresState(Part):
    """What workflows keep between executions. Those of this process that change one entry stand in line here, not each
    with a connection in its hands."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._lines: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def _in_line[T](self, workflow_id: str, key: str, run: Callable[[Connection], Awaitable[T]]) -> T:
        line = self._lines.setdefault((workflow_id, key), asyncio.Lock())
        async with line:
            return await self.database.write(run, pipeline=True)

    async def get(self, workflow_id: str, key: str) -> StateEntry | None:
        rows = await self.rows(f"{_SELECT_STATE} AND key = %b", workflow_id, micros(now(None)), key)
        return _entry(rows[0]) if rows else None

    async def put(
        self,
        workflow_id: str,
        key: str,
        value: Any,
        *,
        lifetime: float | None = None,
        version: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> StateEntry:
        async def run(connection: Connection) -> StateEntry:
            await check_key(connection, idempotency)
            before = await _locked(connection, workflow_id, key)
            entry = next_state(before, key, value, lifetime=lifetime, version=version)
            at, until = micros(entry.updated_at), micros(entry.expires_at)
            await send(connection, "DELETE FROM state WHERE workflow_id = %b AND expires_at <= %b", workflow_id, at)
            await send(connection, _PUT_STATE, workflow_id, key, dumps(value), entry.version, at, until)
            await add_key(connection, idempotency, str(entry.version), entry.updated_at)
            return entry

        return await self._in_line(workflow_id, key, run)

    async def delete(self, workflow_id: str, key: str, *, version: int | None = None) -> bool:
        async def run(connection: Connection) -> bool:
            before = await _locked(connection, workflow_id, key)
            next_state(before, key, None, version=version)
            await send(connection, "DELETE FROM state WHERE workflow_id = %b AND key = %b", workflow_id, key)
            return before is not None

        return await self._in_line(workflow_id, key, run)

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self, workflow_id: str, *, prefix: str = "", limit: int, cursor: str | None = None
    ) -> Page[StateEntry]:
        check_limit(limit)
        after = str(read_cursor("state", cursor, str)[0]) if cursor is not None else ""
        rows = await self.rows(
            f"{_SELECT_STATE} AND key > %b AND key >= %b AND key < %b ORDER BY key LIMIT %b",
            workflow_id,
            micros(now(None)),
            after,
            prefix,
            prefix + "\x7f",  # keys are of characters that come before it
            limit + 1,
        )
        found = [_entry(row) for row in rows[:limit]]
        return Page(found, make_cursor("state", found[-1].key) if len(rows) > limit else None)


async def _locked(connection: Connection, workflow_id: str, key: str) -> StateEntry | None:
    """The entry, which nobody else changes until the transaction ends, also when there is none."""
    await send(connection, _LOCK_STATE, f"{workflow_id} {key}")
    rows = await fetch(connection, f"{_SELECT_STATE} AND key = %b", workflow_id, micros(now(None)), key)
    return _entry(rows[0]) if rows else None


def _entry(row: tuple[Any, ...]) -> StateEntry:
    key, value, version, updated_at, expires_at = row
    return StateEntry(key, loads(value), version, seconds(updated_at), seconds(expires_at))


_SAVE_STATE = """
INSERT INTO triggers (binding_id, state) VALUES (%b, %b) ON CONFLICT (binding_id) DO UPDATE SET state = excluded.state
"""
_PAUSE = """
INSERT INTO triggers (binding_id, paused) VALUES (%b, %b)
  ON CONFLICT (binding_id) DO UPDATE SET paused = excluded.paused
"""
_KEEP_DELIVERY = """
INSERT INTO deliveries (id, binding_id, received_at, key, execution_id, error, payload)
  VALUES (%b, %b, %b, %b, %b, %b, %b) ON CONFLICT (id) DO NOTHING
"""
_DELIVERIES = """
SELECT n, id, received_at, key, execution_id, error FROM deliveries
  WHERE binding_id = %b AND (received_at, n) < (%b, %b) AND (%b::boolean IS NULL OR (execution_id IS NOT NULL) = %b)
  ORDER BY received_at DESC, n DESC LIMIT %b
"""
_DELIVERY = "SELECT id, binding_id, received_at, key, payload, execution_id, error FROM deliveries WHERE id = %b"
_SELECT_KEY = f"SELECT {KEY_COLUMNS} FROM api_keys"  # noqa: S608
_BY_HASH = "WHERE hash = %b OR previous_hash = %b"
_ADD_KEY = f"""
INSERT INTO api_keys ({KEY_COLUMNS})
  VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING RETURNING 1
"""  # noqa: S608
_ROTATE = "UPDATE api_keys SET previous_hash = hash, hash = %b, previous_expires_at = %b WHERE id = %b"
_TOUCH = """
UPDATE api_keys AS k SET last_used_at = greatest(k.last_used_at, u.at)
  FROM unnest(%b::text[], %b::bigint[]) AS u(id, at) WHERE k.id = u.id
"""
_PUT_SETTING = """
INSERT INTO node_settings VALUES (%b, %b, %b)
  ON CONFLICT (type_id) DO UPDATE SET enabled = excluded.enabled, default_params = excluded.default_params
"""
_SELECT_STATE = """
SELECT key, value, version, updated_at, expires_at FROM state
  WHERE workflow_id = %b AND (expires_at IS NULL OR expires_at > %b)
"""
_LOCK_STATE = "SELECT pg_advisory_xact_lock(hashtextextended('aicflow state ' || %b::text, 0))"
_PUT_STATE = """
INSERT INTO state VALUES (%b, %b, %b, %b, %b, %b) ON CONFLICT (workflow_id, key) DO UPDATE
  SET value = excluded.value, version = excluded.version, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at
"""
