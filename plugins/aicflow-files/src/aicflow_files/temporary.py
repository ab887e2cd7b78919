"""Temporary folders: gone when they were used, and what a killed process left behind is removed by the next one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

if sys.platform != "win32":  # there, what is left stays
    import fcntl

_PREFIX: Final = "aicflow-table-"
_YOUNG: Final = 60.0
"""Seconds for which a folder is left alone: its maker may not hold its lock yet."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of one's own. Its lock says that somebody uses it, and ends with the process."""
    remove_left()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left(older: float = _YOUNG) -> None:
    """Remove the folders of this user that no process uses any more."""
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.geteuid() or found.st_mtime > time.time() - older:
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use
        finally:
            os.close(lock)
