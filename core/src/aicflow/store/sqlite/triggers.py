"""What triggers keep, on SQLite."""

from __future__ import annotations

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Page
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject, dumps, loads
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.part import Part


class SQLiteTriggers(Part):
    """States, pauses and deliveries."""

    async def load_state(self, binding_id: str) -> JsonObject:
        rows = await self.rows("SELECT state FROM triggers WHERE binding_id = ?", binding_id)
        state: JsonObject = loads(rows[0][0]) if rows else {}
        return state

    async def save_state(self, binding_id: str, state: JsonObject) -> None:
        await self.write(_SAVE, binding_id, dumps(state).decode())

    async def paused(self) -> frozenset[str]:
        rows = await self.rows("SELECT binding_id FROM triggers WHERE paused")
        return frozenset(row[0] for row in rows)

    async def set_paused(self, binding_id: str, paused: bool) -> None:
        await self.write(_PAUSE, binding_id, paused)

    async def deliveries(
        self, binding_id: str, *, limit: int, cursor: str | None = None, started: bool | None = None
    ) -> Page[Delivery]:
        check_limit(limit)
        after = read_cursor("deliveries", cursor, int, int) if cursor is not None else [2**62, 0]
        rows = await self.rows(_DELIVERIES, binding_id, *after, started, started, limit + 1)
        items = [Delivery(id, binding_id, seconds(at), key, None, *made) for _, id, at, key, *made in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items, make_cursor("deliveries", last[2], last[0]) if last else None)

    async def delivery(self, delivery_id: str) -> Delivery:
        rows = await self.rows(_DELIVERY, delivery_id)
        if not rows:
            raise NotFound("delivery", delivery_id)
        id, binding_id, at, key, payload, *made = rows[0]
        return Delivery(id, binding_id, seconds(at), key, loads(payload), *made)

    async def keep_delivery(self, delivery: Delivery) -> None:
        await self.write(
            _KEEP,
            delivery.id,
            delivery.binding_id,
            micros(delivery.received_at),
            delivery.key,
            delivery.execution_id,
            delivery.error,
            dumps(delivery.payload),
        )


_SAVE = """
INSERT INTO triggers (binding_id, state) VALUES (?, ?)
  ON CONFLICT (binding_id) DO UPDATE SET state = excluded.state
"""
_PAUSE = """
INSERT INTO triggers (binding_id, paused) VALUES (?, ?)
  ON CONFLICT (binding_id) DO UPDATE SET paused = excluded.paused
"""
_KEEP = """
INSERT INTO deliveries (id, binding_id, received_at, key, execution_id, error, payload) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_DELIVERIES = """
SELECT n, id, received_at, key, execution_id, error FROM deliveries
  WHERE binding_id = ? AND (received_at, n) < (?, ?) AND (? IS NULL OR (execution_id IS NOT NULL) = ?)
  ORDER BY received_at DESC, n DESC LIMIT ?
"""
_DELIVERY = """
SELECT id, binding_id, received_at, key, payload, execution_id, error FROM deliveries WHERE id = ?
"""
