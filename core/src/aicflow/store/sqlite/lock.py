"""What keeps others out: the modes of the database's files, and the lock against a second host."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from aicflow.kernel.errors import StoreUnavailable


def make_private(database: Path) -> None:
    """Make the file for its owner only, or close it and its log to others; SQLite gives new logs the file's mode."""
    with suppress(FileExistsError):
        os.close(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    # by name: to open and close a file that SQLite has open in this process would drop its locks
    for path in (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # another user's file, which `aicflow doctor` tells about
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)


class FileLock:
    """An exclusive lock on `<database>.lock`, held by the operating system for as long as this process lives."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises StoreUnavailable that names who has it."""
        # the file stays when the lock goes: removing it would let two hosts lock two different files
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise StoreUnavailable(
                f"The database {self._database} is in use by another host (process {holder}).",
                hint="Stop that process, or give this one a database of its own.",
            ) from None
        except OSError:
            os.close(file)
            raise
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        """Let go of it; quiet when it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
