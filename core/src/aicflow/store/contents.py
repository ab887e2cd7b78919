"""Where the contents of files are: a folder, or what fsspec opens under a URL.

A content is written to a temporary name first and has its place only when all of it is durable."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit

from aicflow.kernel.errors import AICFlowError

_PLACE: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}\.[0-9a-f]{8}")
_UNFINISHED: Final = "unfinished"
_OWNER: Final = "owner"
_BLOCK: Final = 8 << 20
"""What is sent and read at a time: buckets take ten thousand parts, and a part of a file is asked for often."""


def _checked(place: str) -> str:
    if not _PLACE.fullmatch(place):
        raise ValueError(f"{place!r} is no place of a content.")
    return place


class _FolderWriter:
    """A content that is being written to a folder. Threads may call it, one after another."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._temporary = folder / _UNFINISHED / name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file: int | None = os.open(self._temporary, flags, 0o600)
        self._lock = Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            view = memoryview(data)
            while len(view):
                if self._file is None:
                    raise OSError("The file is closed.")
                view = view[os.write(self._file, view) :]

    def commit(self, place: str) -> None:
        """Make it durable in its place."""
        target = self._folder / place
        with self._lock:
            if self._file is None:
                raise OSError("The file is closed.")
            os.fsync(self._file)
            for folder in (target.parent.parent, target.parent):
                with suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                    _sync(folder.parent)
            self._temporary.rename(target)
            _sync(target.parent)

    def close(self) -> None:
        """Remove it, unless it was committed."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
                self._temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderContents:
    """Contents in a folder, for its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, owner: str) -> None:
        """Make the folder. Raises AICFlowError when it cannot be used, or belongs to another store."""
        try:
            (self._folder / _UNFINISHED).mkdir(mode=0o700, parents=True, exist_ok=True)
            marker = self._folder / _OWNER
            if not marker.exists():
                name = secrets.token_hex(16)
                writer = _FolderWriter(self._folder, name)
                try:
                    writer.write(owner.encode())
                    with suppress(FileExistsError):
                        os.link(self._folder / _UNFINISHED / name, marker)
                finally:
                    writer.close()
            found = marker.read_bytes()
        except OSError as error:
            raise AICFlowError(
                f"The folder of files {self._folder} cannot be used: {error.strerror or error}.",
                hint="Set AICFLOW_FILES to a folder that this user can write to.",
            ) from error
        _check_owner(found, owner, str(self._folder), str(marker))

    def close(self) -> None:
        """Nothing is open."""

    def check(self) -> None:
        """Raises OSError when nothing can be written."""
        writer = _FolderWriter(self._folder, secrets.token_hex(16))
        try:
            writer.write(b"check")
        finally:
            writer.close()

    def create(self, name: str) -> _FolderWriter:
        """Begin a content under a name of its own."""
        return _FolderWriter(self._folder, name)

    def read(self, place: str) -> IO[bytes]:
        """Raises FileNotFoundError."""
        return (self._folder / _checked(place)).open("rb", buffering=0)

    def path(self, place: str) -> Path:
        return self._folder / _checked(place)

    def exists(self, place: str) -> bool:
        return self.path(place).is_file()

    def remove(self, place: str) -> None:
        """Quiet when it is not there."""
        self.path(place).unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Remove what was not finished."""
        (self._folder / _UNFINISHED / Path(name).name).unlink(missing_ok=True)

    def older(self, before: float) -> Iterator[str]:
        """Places, and names of what was not finished, that were last written before an instant."""
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                place = path.relative_to(self._folder).as_posix()
                with suppress(FileNotFoundError):
                    if (_PLACE.fullmatch(place) or place.startswith(_UNFINISHED)) and path.stat().st_mtime < before:
                        yield place


class TemporaryContents(FolderContents):
    """Contents in a folder that is made when it is opened and removed when it is closed."""

    def __init__(self) -> None:
        super().__init__(Path())

    def open(self, owner: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="aicflow-files-"))
        super().open(owner)

    def close(self) -> None:
        """Remove all of it."""
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)


class _RemoteWriter:
    """A content that is being written to a file system of fsspec."""

    def __init__(self, system: Any, root: str, name: str) -> None:
        self._system, self._root = system, root
        self._path = f"{root}/{_UNFINISHED}/{name}"
        self._file: Any = system.open(self._path, "wb", block_size=_BLOCK)
        self._written = self._committed = False
        self._lock = Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._file.write(data)

    def commit(self, place: str) -> None:
        with self._lock:
            self._file.close()
            self._written = True
            target = f"{self._root}/{place}"
            _make_folder(self._system, target.rpartition("/")[0])
            self._system.mv(self._path, target)
            self._committed = True

    def close(self) -> None:
        with self._lock:
            if self._committed:
                return
            if not self._written:
                with suppress(Exception):  # some systems only learn to throw it away by not being closed
                    if hasattr(self._file, "discard"):
                        self._file.discard()
                        self._file.closed = True  # it would close itself when it is collected, and fail
                    else:
                        self._file.close()
            with suppress(FileNotFoundError):
                self._system.rm_file(self._path)


def _make_folder(system: Any, path: str) -> None:
    """A path that begins with its bucket needs none, and would make the bucket when its name is wrong."""
    if path.startswith("/"):
        system.makedirs(path, exist_ok=True)


class RemoteContents:
    """Contents under a URL that fsspec opens, such as `s3://bucket/files`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._system: Any = None
        self._root = ""

    def open(self, owner: str) -> None:
        """Connect. Raises AICFlowError when the place cannot be used, or belongs to another store."""
        shown = urlsplit(self._url)._replace(query="").geturl().rpartition("@")[2]
        try:
            fsspec: Any = import_module("fsspec")  # takes a while, and most use a folder
            self._system, root = fsspec.core.url_to_fs(self._url, use_listings_cache=False)  # others write, too
            self._root = root.rstrip("/")
            marker = f"{self._root}/{_OWNER}"
            _make_folder(self._system, f"{self._root}/{_UNFINISHED}")
            if not self._system.exists(marker):
                self._system.pipe_file(marker, owner.encode())
            found = self._system.cat_file(marker)
        except ImportError as error:
            raise AICFlowError(
                f"AICFLOW_FILES names {shown}, for which a package is missing: {error}",
                hint="Install it beside aicflow, such as `pip install s3fs`.",
            ) from error
        except Exception as error:
            raise AICFlowError(f"The place of files {shown} cannot be used: {error}") from error
        _check_owner(found, owner, shown, marker)

    def close(self) -> None:
        """fsspec closes what it opened."""

    def check(self) -> None:
        """Raises an exception when nothing can be written."""
        path = f"{self._root}/{_UNFINISHED}/{secrets.token_hex(16)}"
        self._system.pipe_file(path, b"check")
        self._system.rm_file(path)

    def create(self, name: str) -> _RemoteWriter:
        """Begin a content under a name of its own."""
        return _RemoteWriter(self._system, self._root, name)

    def read(self, place: str) -> IO[bytes]:
        """Raises FileNotFoundError."""
        file: IO[bytes] = self._system.open(f"{self._root}/{_checked(place)}", "rb", block_size=_BLOCK)
        return file

    def path(self, place: str) -> Path | None:
        """There is none on this machine."""
        return None

    def exists(self, place: str) -> bool:
        return bool(self._system.exists(f"{self._root}/{_checked(place)}"))

    def remove(self, place: str) -> None:
        """Quiet when it is not there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{_checked(place)}")

    def discard(self, name: str) -> None:
        """Remove what was not finished."""
        with suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{_UNFINISHED}/{Path(name).name}")

    def older(self, before: float) -> Iterator[str]:
        """Places, and names of what was not finished, that were last written before an instant."""
        self._system.invalidate_cache()
        for path, known in self._system.find(self._root, detail=True).items():
            place = path[len(self._root) + 1 :]
            if _PLACE.fullmatch(place) or place.startswith(_UNFINISHED):
                with suppress(FileNotFoundError):
                    written = known.get("LastModified") or self._system.modified(path)
                    if written.timestamp() < before:
                        yield place


def _check_owner(found: bytes, owner: str, where: str, marker: str) -> None:
    if found != owner.encode():
        raise AICFlowError(
            f"The files in {where} belong to another AIC Flow.",
            hint=f"Give each a place of its own with AICFLOW_FILES. If this is the same one and its server.secret is "
            f"new, remove {marker}.",
        )


def open_contents(url: str) -> FolderContents | RemoteContents:
    """The contents behind `file:///path` or another URL of fsspec."""
    if url.startswith("file://"):
        return FolderContents(Path(unquote(url.removeprefix("file://"))))
    return RemoteContents(url)
