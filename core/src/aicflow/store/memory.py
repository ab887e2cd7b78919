"""The store in memory: the same behaviour as SQLite, for tests and for `aicflow run`. Gone with its process."""

from __future__ import annotations

from aicflow.store.tables import Table, TableStore


class MemoryStore(TableStore):
    """Keeps everything in this process. What it keeps can be read on after `close`."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        return self._tables.setdefault(name, {})

    async def commit(self) -> None:
        """Memory is as durable as it gets."""
