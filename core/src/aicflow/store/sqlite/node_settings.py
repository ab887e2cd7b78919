"""Settings of node types on SQLite."""

from __future__ import annotations

from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.values import dumps, loads
from aicflow.store.sqlite.part import Part


class SQLiteNodeSettings(Part):
    """How an operator configured node types."""

    async def all(self) -> list[NodeSetting]:
        rows = await self.rows("SELECT * FROM node_settings ORDER BY type_id")
        return [NodeSetting(type_id, bool(enabled), loads(params)) for type_id, enabled, params in rows]

    async def put(self, setting: NodeSetting) -> None:
        row = (setting.type_id, setting.enabled, dumps(setting.default_params).decode())
        await self.write("INSERT OR REPLACE INTO node_settings VALUES (?, ?, ?)", *row)

    async def delete(self, type_id: str) -> None:
        await self.write("DELETE FROM node_settings WHERE type_id = ?", type_id)
