"""What SQLite says, in the words of the kernel's error tree."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from aicflow.kernel.errors import AICFlowError, Conflict, StoreUnavailable

_MESSAGES: Final = {
    sqlite3.SQLITE_FULL: ("is full", "Free some disk space; work goes on by itself once there is room."),
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Find and end whatever holds a write lock on the file."),
    sqlite3.SQLITE_LOCKED: ("is locked", "Find and end whatever holds a lock on the file."),
    sqlite3.SQLITE_READONLY: ("cannot be written to", "Check the owner and mode of the file and its folder."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk that it is on."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check that its folder exists and may be written to."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore a backup; `PRAGMA integrity_check` shows what is damaged."),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database", "Check the path, or restore a backup."),
    sqlite3.SQLITE_NOMEM: ("needs more memory than there is", "Give the process more memory."),
    sqlite3.SQLITE_TOOBIG: ("cannot keep a value this large", "Values are limited to about one gigabyte."),
}


def _primary(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_fatal(error: BaseException) -> bool:
    """Whether trying the parts of a failed group one by one would only fail (and wait) again for each of them."""
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY)


def translate_error(error: BaseException, database: Path) -> BaseException:
    """The error to raise in its place."""
    if isinstance(error, AICFlowError) or not isinstance(error, sqlite3.Error | OSError):
        return error
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict("A record with the same id or key exists already.")
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.NotSupportedError):
        return error
    what, hint = _MESSAGES.get(_primary(error), ("cannot answer", None))
    unavailable = StoreUnavailable(f"The database {database} {what} ({error}).", hint=hint)
    unavailable.__cause__ = error
    return unavailable
