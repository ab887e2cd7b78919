"""The stores that `aicflow` brings, through the same hook as every plugin's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aicflow.kernel.hookspecs import hookimpl
from aicflow.kernel.records import StoreType

if TYPE_CHECKING:
    from aicflow.kernel.ports.store import Store

# what a store needs is imported when one is made: `aicflow validate` makes none


def _sqlite(url: str, settings: Mapping[str, str]) -> Store:
    from aicflow.store.sqlite import SQLiteStore

    return SQLiteStore.from_settings(url, settings)


def _memory(url: str, settings: Mapping[str, str]) -> Store:
    from aicflow.store.memory import MemoryStore

    return MemoryStore()


@hookimpl
def aicflow_stores() -> Sequence[StoreType]:
    """SQLite, and a store in memory that forgets at the end."""
    return [StoreType("sqlite", _sqlite), StoreType("memory", _memory)]
