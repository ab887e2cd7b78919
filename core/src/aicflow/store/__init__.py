"""Stores: what keeps workflows, executions and their events. They know the kernel only."""

from aicflow.store.memory import MemoryStore
from aicflow.store.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore"]
