"""Stores: what keeps workflows, executions and their events. They know the kernel only."""

from typing import TYPE_CHECKING

from aicflow_language.lazy import lazy_names

if TYPE_CHECKING:
    from aicflow.store.memory import MemoryStore
    from aicflow.store.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore"]

if not TYPE_CHECKING:  # `aicflow run` needs no database
    __getattr__ = lazy_names(__name__, memory="MemoryStore", sqlite="SQLiteStore")
