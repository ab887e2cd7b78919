"""Settings of node types on SQLite."""

from __future__ import annotations

from aicflow.kernel.ports.tables import NodeSetting
from aicflow.kernel.values import dumps, loads
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

__all__ = ["SQLiteNodeSettings"]


class SQLiteNodeSettings:
    """How an operator configured node types."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def all(self) -> list[NodeSetting]:
        rows = await self._readers.run(
            lambda connection: connection.execute("SELECT * FROM node_settings ORDER BY type_id").fetchall()
        )
        return [NodeSetting(type_id, bool(enabled), loads(params)) for type_id, enabled, params in rows]

    async def put(self, setting: NodeSetting) -> None:
        row = (setting.type_id, setting.enabled, dumps(setting.default_params).decode())
        await self._writer.run(
            lambda connection: connection.execute("INSERT OR REPLACE INTO node_settings VALUES (?, ?, ?)", row) and None
        )

    async def delete(self, type_id: str) -> None:
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM node_settings WHERE type_id = ?", (type_id,)) and None
        )
