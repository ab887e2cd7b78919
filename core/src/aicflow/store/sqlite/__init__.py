"""The store on SQLite: write-ahead log, one writer with group commit, a few readers."""

from aicflow.store.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
