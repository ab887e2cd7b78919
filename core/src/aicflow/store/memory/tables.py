"""The smaller ports in memory: what triggers keep, API keys, settings of node types."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports import ApiKeyRecord, NodeSetting, Page
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.instants import micros
from aicflow.store.memory.pages import page_of

__all__ = ["DeliveryRow", "MemoryKeys", "MemoryNodeSettings", "MemoryTriggers"]


@dataclass(slots=True)
class DeliveryRow:
    """A delivery as kept: its payload encoded."""

    n: int
    id: str
    binding_id: str
    received_at: float
    key: str | None
    payload: bytes
    execution_id: str


class MemoryTriggers:
    """States, pauses and deliveries."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}
        self._paused: set[str] = set()
        self._deliveries: dict[str, DeliveryRow] = {}
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
        mine = (row for row in self._deliveries.values() if row.binding_id == binding_id)
        return page_of(
            "deliveries",
            mine,
            lambda row: (micros(row.received_at), row.n),
            lambda row: Delivery(row.id, row.binding_id, row.received_at, row.key, {}, row.execution_id),
            limit=limit,
            cursor=cursor,
        )

    async def delivery(self, delivery_id: str) -> Delivery:
        row = self._deliveries.get(delivery_id)
        if row is None:
            raise NotFound("delivery", delivery_id)
        return Delivery(row.id, row.binding_id, row.received_at, row.key, loads(row.payload), row.execution_id)

    def keep(
        self, id: str, binding_id: str, received_at: float, key: str | None, payload: bytes, execution_id: str
    ) -> None:
        """Keep a delivery."""
        self._n += 1
        self._deliveries[id] = DeliveryRow(self._n, id, binding_id, received_at, key, payload, execution_id)

    def has(self, delivery_id: str) -> bool:
        return delivery_id in self._deliveries

    def forget_workflow(self, workflow_id: str) -> None:
        """Remove what the triggers of a workflow kept."""
        prefix = f"{workflow_id}:"
        self._states = {id: state for id, state in self._states.items() if not id.startswith(prefix)}
        self._paused = {id for id in self._paused if not id.startswith(prefix)}
        self._deliveries = {id: row for id, row in self._deliveries.items() if not row.binding_id.startswith(prefix)}

    def forget_executions(self, ids: set[str]) -> None:
        """Remove the deliveries that started these."""
        self._deliveries = {id: row for id, row in self._deliveries.items() if row.execution_id not in ids}


class MemoryKeys:
    """API keys."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKeyRecord] = {}

    async def create(self, record: ApiKeyRecord) -> None:
        if record.id in self._keys or await self.find(record.hash):
            raise Conflict(f"API key {record.id!r} exists already.")
        self._keys[record.id] = record

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
