"""The store in memory: the same behaviour as SQLite, for tests and for `aicflow run`. Gone with its process."""

from aicflow.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
