"""A store over tables: every rule of the store port, for whoever brings mappings from keys to rows."""

from aicflow.store.tables.part import Table
from aicflow.store.tables.store import TableStore

__all__ = ["Table", "TableStore"]
