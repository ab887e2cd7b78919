"""The smaller ports in memory: what triggers keep, API keys, settings of node types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.executions import Idempotency, Page
from aicflow.kernel.ports.tables import ApiKeyRecord, NodeSetting
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.instants import micros
from aicflow.store.memory.idempotency import MemoryIdempotency
from aicflow.store.memory.pages import page_of

__all__ = ["MemoryKeys", "MemoryNodeSettings", "MemoryTriggers"]


@dataclass(slots=True)
class _Row:
    n: int
    delivery: Delivery
    payload: bytes


class MemoryTriggers:
    """States, pauses and deliveries."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}
        self._paused: set[str] = set()
        self._deliveries: dict[str, _Row] = {}
        self._n = 0

    async def load_state(self, binding_id: str) -> JsonObject:
        state: JsonObject = loads(self._states.get(binding_id, b"{}"))
        return state

    async def save_state(self, binding_id: str, state: JsonObject) -> None:
        self._states[binding_id] = dumps(state)

    async def paused(self) -> frozenset[str]:
        return frozenset(self._paused)

    async def set_paused(self, binding_id: str, paused: bool) -> None:
        (self._paused.add if paused else self._paused.discard)(binding_id)

    async def deliveries(self, binding_id: str, *, limit: int, cursor: str | None = None) -> Page[Delivery]:
        mine = (row for row in self._deliveries.values() if row.delivery.binding_id == binding_id)
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
        return replace(row.delivery, payload=loads(row.payload))

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
        self._states = {id: state for id, state in self._states.items() if not id.startswith(prefix)}
        self._paused = {id for id in self._paused if not id.startswith(prefix)}
        self._keep_only(lambda delivery: not delivery.binding_id.startswith(prefix))

    def forget_executions(self, ids: set[str]) -> None:
        """Remove the deliveries that started these."""
        self._keep_only(lambda delivery: delivery.execution_id not in ids)

    def forget_refused(self, before: float) -> None:
        """Remove old deliveries that started nothing."""
        self._keep_only(lambda delivery: delivery.execution_id is not None or delivery.received_at > before)

    def _keep_only(self, wanted: Callable[[Delivery], bool]) -> None:
        self._deliveries = {id: row for id, row in self._deliveries.items() if wanted(row.delivery)}


class MemoryKeys:
    """API keys."""

    def __init__(self, idempotency: MemoryIdempotency) -> None:
        self._idempotency = idempotency
        self._keys: dict[str, ApiKeyRecord] = {}

    async def create(self, record: ApiKeyRecord, *, idempotency: Idempotency | None = None) -> None:
        self._idempotency.check(idempotency)
        if record.id in self._keys or await self.find(record.hash):
            raise Conflict(f"API key {record.id!r} exists already.")
        self._keys[record.id] = record
        self._idempotency.add(idempotency, record.id, record.created_at)

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        return next((record for record in self._keys.values() if record.hash == key_hash), None)

    async def list(self) -> list[ApiKeyRecord]:
        return list(self._keys.values())

    async def revoke(self, key_id: str, *, now: float) -> None:
        record = self._keys.get(key_id)
        if record is None:
            raise NotFound("API key", key_id)
        if record.revoked_at is None:
            self._keys[key_id] = replace(record, revoked_at=now)

    async def touch(self, key_id: str, *, now: float) -> None:
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], last_used_at=now)


class MemoryNodeSettings:
    """Settings of node types."""

    def __init__(self) -> None:
        self._settings: dict[str, tuple[bool, bytes]] = {}

    async def all(self) -> list[NodeSetting]:
        return [NodeSetting(id, enabled, loads(params)) for id, (enabled, params) in sorted(self._settings.items())]

    async def put(self, setting: NodeSetting) -> None:
        self._settings[setting.type_id] = (setting.enabled, dumps(setting.default_params))

    async def delete(self, type_id: str) -> None:
        self._settings.pop(type_id, None)
