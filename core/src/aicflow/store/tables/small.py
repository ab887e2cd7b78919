"""The smaller ports over tables: what triggers and workflows keep, API keys, settings of node types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.access import ApiKeyRecord, NodeSetting, SecretRecord
from aicflow.kernel.ports.executions import Idempotency, Page
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.checks import check_limit, check_secret_version, next_state, rotated_key
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, now
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.pages import page_of
from aicflow.store.tables.part import Part, Table, key_of, writes


@dataclass(slots=True)
class _Row:
    n: int
    delivery: Delivery
    payload: bytes


class TableTriggers(Part):
    """States, pauses and deliveries."""

    def __init__(self, commit: Callable[[], Awaitable[None]], states: Table, paused: Table, deliveries: Table) -> None:
        super().__init__(commit)
        self._states = states
        self._paused = paused
        self._deliveries = deliveries
        self._n = max((row.n for row in deliveries.values()), default=0)

    async def load_state(self, binding_id: str) -> JsonObject:
        state: JsonObject = loads(self._states.get(binding_id, b"{}"))
        return state

    @writes
    async def save_state(self, binding_id: str, state: JsonObject) -> None:
        self._states[binding_id] = dumps(state)

    async def paused(self) -> frozenset[str]:
        return frozenset(self._paused)

    @writes
    async def set_paused(self, binding_id: str, paused: bool) -> None:
        if paused:
            self._paused[binding_id] = True
        else:
            self._paused.pop(binding_id, None)

    async def deliveries(
        self, binding_id: str, *, limit: int, cursor: str | None = None, started: bool | None = None
    ) -> Page[Delivery]:
        mine = (
            row
            for row in self._deliveries.values()
            if row.delivery.binding_id == binding_id and started in (None, row.delivery.execution_id is not None)
        )
        return page_of(
            "deliveries",
            mine,
            lambda row: (micros(row.delivery.received_at), row.n),
            lambda row: row.delivery,
            limit=limit,
            cursor=cursor,
        )

    async def delivery(self, delivery_id: str) -> Delivery:
        row = self._deliveries.get(delivery_id)
        if row is None:
            raise NotFound("delivery", delivery_id)
        delivery: Delivery = replace(row.delivery, payload=loads(row.payload))
        return delivery

    @writes
    async def keep_delivery(self, delivery: Delivery) -> None:
        if delivery.id in self._deliveries:
            raise Conflict(f"Delivery {delivery.id!r} exists already.")
        self.keep(replace(delivery, payload=None), dumps(delivery.payload))

    def keep(self, delivery: Delivery, payload: bytes) -> None:
        """Keep a delivery with its payload encoded beside it."""
        self._n += 1
        self._deliveries[delivery.id] = _Row(self._n, delivery, payload)

    def has(self, delivery_id: str) -> bool:
        return delivery_id in self._deliveries

    def forget_workflow(self, workflow_id: str) -> None:
        """Remove what the triggers of a workflow kept."""
        prefix = f"{workflow_id}:"
        for table in (self._states, self._paused):
            for binding_id in [id for id in table if id.startswith(prefix)]:
                del table[binding_id]
        self._keep_only(lambda delivery: not delivery.binding_id.startswith(prefix))

    def forget_executions(self, ids: set[str]) -> None:
        """Remove the deliveries that started these."""
        self._keep_only(lambda delivery: delivery.execution_id not in ids)

    def forget_refused(self, before: float) -> None:
        """Remove old deliveries that started nothing."""
        self._keep_only(lambda delivery: delivery.execution_id is not None or delivery.received_at > before)

    def forget_deliveries(self, before: float, batch: int) -> int:
        """Remove up to `batch` that are older."""
        old = [id for id, row in self._deliveries.items() if row.delivery.received_at < before][:batch]
        for delivery_id in old:
            del self._deliveries[delivery_id]
        return len(old)

    def _keep_only(self, wanted: Callable[[Delivery], bool]) -> None:
        for delivery_id in [id for id, row in self._deliveries.items() if not wanted(row.delivery)]:
            del self._deliveries[delivery_id]


class TableKeys(Part):
    """API keys."""

    def __init__(
        self, commit: Callable[[], Awaitable[None]], keys: Table, tickets: Table, idempotency: TableIdempotency
    ) -> None:
        super().__init__(commit)
        self._idempotency = idempotency
        self._keys = keys
        self._tickets = tickets

    @writes
    async def create(self, record: ApiKeyRecord, *, idempotency: Idempotency | None = None) -> None:
        self._idempotency.check(idempotency)
        if record.id in self._keys or await self.find(record.hash) is not None:
            raise Conflict(f"API key {record.id!r} exists already.")
        self._keys[record.id] = record
        self._idempotency.add(idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        hashes = (record for record in self._keys.values() if key_hash in (record.hash, record.previous_hash))
        return next(hashes, None)

    @writes
    async def rotate(
        self, key_id: str, key_hash: str, *, previous_expires_at: float, idempotency: Idempotency | None = None
    ) -> ApiKeyRecord:
        self._idempotency.check(idempotency)
        rotated = rotated_key(self._keys.get(key_id), key_id, key_hash, previous_expires_at)
        if await self.find(key_hash) is not None:
            raise Conflict(f"API key {key_id!r} has this hash already.")
        self._keys[key_id] = rotated
        self._idempotency.add(idempotency, key_id, now())
        return rotated

    @writes
    async def keep_ticket(self, ticket_hash: str, owner: JsonObject, *, now: float, expires_at: float) -> None:
        for old in [old for old, (_, end) in self._tickets.items() if end <= now]:
            del self._tickets[old]
        self._tickets[ticket_hash] = (dumps(owner), expires_at)

    @writes
    async def find_ticket(self, ticket_hash: str, *, now: float) -> JsonObject | None:
        owner, expires_at = self._tickets.get(ticket_hash, (b"null", 0.0))
        return loads(owner) if expires_at > now else None

    async def take_ticket(self, ticket_hash: str, *, now: float) -> JsonObject | None:
        owner, expires_at = self._tickets.pop(ticket_hash, (b"null", 0.0))
        return loads(owner) if expires_at > now else None

    async def list(self) -> list[ApiKeyRecord]:
        return sorted(self._keys.values(), key=lambda record: record.created_at)

    @writes
    async def revoke(self, key_id: str, *, now: float) -> None:
        record = self._keys.get(key_id)
        if record is None:
            raise NotFound("API key", key_id)
        if record.revoked_at is None:
            self._keys[key_id] = replace(record, revoked_at=now)

    @writes
    async def touch(self, key_id: str, *, now: float) -> None:
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=now)


class TableState(Part):
    """What workflows keep between executions."""

    def __init__(self, commit: Callable[[], Awaitable[None]], entries: Table, idempotency: TableIdempotency) -> None:
        super().__init__(commit)
        self._entries = entries
        self._idempotency = idempotency

    async def get(self, workflow_id: str, key: str) -> StateEntry | None:
        entry: StateEntry | None = self._entries.get(key_of(workflow_id, key))
        expired = entry is not None and entry.expires_at is not None and entry.expires_at <= now(None)
        return None if expired else entry

    @writes
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
        self._idempotency.check(idempotency)
        before = await self.get(workflow_id, key)
        entry = next_state(before, key, loads(dumps(value)), lifetime=lifetime, version=version)
        self._entries[key_of(workflow_id, key)] = entry
        self._idempotency.add(idempotency, str(entry.version), entry.updated_at)
        return entry

    @writes
    async def delete(self, workflow_id: str, key: str, *, version: int | None = None) -> bool:
        before = await self.get(workflow_id, key)
        next_state(before, key, None, version=version)
        return self._entries.pop(key_of(workflow_id, key), None) is not None and before is not None

    def forget_workflow(self, workflow_id: str) -> None:
        """Remove what a workflow kept."""
        for name in [name for name in self._entries if loads(name)[0] == workflow_id]:
            del self._entries[name]

    async def list(
        self, workflow_id: str, *, prefix: str = "", limit: int, cursor: str | None = None
    ) -> Page[StateEntry]:
        check_limit(limit)
        after = str(read_cursor("state", cursor, str)[0]) if cursor is not None else ""
        keys = sorted(key for mine, key in map(loads, self._entries) if mine == workflow_id)
        entries = [await self.get(workflow_id, key) for key in keys if key > after and key.startswith(prefix)]
        found = [entry for entry in entries if entry is not None]
        more = len(found) > limit
        return Page(found[:limit], make_cursor("state", found[limit - 1].key) if more else None)


class TableSecrets(Part):
    """Secrets, sealed."""

    def __init__(self, commit: Callable[[], Awaitable[None]], secrets: Table) -> None:
        super().__init__(commit)
        self._secrets = secrets

    def _version(self, name: str) -> int:
        return self._secrets[name].version if name in self._secrets else 0

    @writes
    async def put(self, record: SecretRecord) -> None:
        check_secret_version(record.name, self._version(record.name), record.version - 1)
        self._secrets[record.name] = record

    async def get(self, name: str) -> SecretRecord | None:
        return self._secrets.get(name)

    @writes
    async def rewrap(self, records: Sequence[SecretRecord]) -> None:
        for new in records:
            old = self._secrets.get(new.name)
            if old is not None and old.version == new.version:
                self._secrets[new.name] = replace(old, kek_id=new.kek_id, wrapped_key=new.wrapped_key)

    @writes
    async def touch(self, names: Sequence[str], *, now: float) -> None:
        for name in names:
            if name in self._secrets:
                self._secrets[name] = replace(self._secrets[name], last_used_at=now)

    @writes
    async def delete(self, name: str, *, version: int) -> None:
        check_secret_version(name, self._version(name), version)
        self._secrets.pop(name, None)

    async def list(self, *, not_under: str | None = None, limit: int | None = None) -> list[SecretRecord]:
        found = [record for _, record in sorted(self._secrets.items()) if record.kek_id != not_under]
        return found[:limit]


class TableNodeSettings(Part):
    """Settings of node types."""

    def __init__(self, commit: Callable[[], Awaitable[None]], settings: Table) -> None:
        super().__init__(commit)
        self._settings = settings

    async def all(self) -> list[NodeSetting]:
        return [NodeSetting(id, enabled, loads(params)) for id, (enabled, params) in sorted(self._settings.items())]

    @writes
    async def put(self, setting: NodeSetting) -> None:
        self._settings[setting.type_id] = (setting.enabled, dumps(setting.default_params))

    @writes
    async def delete(self, type_id: str) -> None:
        self._settings.pop(type_id, None)
