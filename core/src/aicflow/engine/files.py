"""Files: their contents in a folder or bucket, and what the store knows of them.

A content is durable in a place of its own before the store knows it, and the store forgets it before it is removed. So
whatever is killed in between, a file that is known has its content; what may be left over is a content that nobody
knows, and the sweep removes it once nobody can be writing it any more."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import mimetypes
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import batched
from pathlib import Path
from typing import IO, Any, Final, Protocol

from aicflow.engine.unavailable import retry_while_unavailable
from aicflow.kernel.clock import Clock
from aicflow.kernel.context import File
from aicflow.kernel.errors import AICFlowError, Conflict, NotFound, PermanentError, StoreUnavailable, TransientError
from aicflow.kernel.ports.files import FileRecord, FileStore

CHUNK: Final = 1 << 20
UNFINISHED: Final = "unfinished/"
"""Where contents are under a name of their own until they are whole."""
_FOUND: Final = re.compile(rb'\$blob\\*"\s*:\s*\\*"([0-9a-f]{64})\\*"')
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}(;[ -~]{0,200})?")
_NOT_IN_NAMES: Final = re.compile(r"[\x00-\x1f\x7f/\\]+")
_HANDED_OVER: Final = 600.0
"""For so many seconds a file that a step made is there, whatever becomes of its execution."""
_ABANDONED: Final = 86_400.0
"""After so many seconds without a change nobody can be writing a content any more."""


class Writer(Protocol):
    """A content that is being written."""

    def write(self, data: bytes) -> None: ...

    def commit(self, place: str) -> None:
        """Make it durable in its place."""
        ...

    def close(self) -> None:
        """Remove it, unless it was committed."""
        ...


class Contents(Protocol):
    """Where contents are. Its methods block, and are called in threads."""

    def open(self, owner: str) -> None: ...
    def close(self) -> None: ...
    def check(self) -> None: ...
    def create(self, name: str) -> Writer: ...
    def read(self, place: str) -> IO[bytes]: ...
    def path(self, place: str) -> Path | None: ...
    def exists(self, place: str) -> bool: ...
    def remove(self, place: str) -> None: ...
    def discard(self, name: str) -> None: ...
    def older(self, before: float) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Most bytes of one file and of all; for how many seconds a file is kept that nobody uses."""

    max_bytes: int = 2 << 30
    quota: int | None = None
    lifetime: float = 86_400.0


def files_in(*encoded: bytes) -> set[str]:
    """The files that JSON names, also inside of strings that are JSON."""
    return {found.decode() for text in encoded if b"$blob" in text for found in _FOUND.findall(text)}


def named_files(
    value: Any, place: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """The files that a value names, with where in it they are."""
    if isinstance(value, dict):
        if isinstance(name := value.get("$blob"), str) and _SHA256.fullmatch(name):
            yield place, value
        for key, part in value.items():
            yield from named_files(part, (*place, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from named_files(part, (*place, index))


def clean_name(name: str | None) -> str | None:
    """The last part of a path, as it can be shown and saved; None when nothing is left."""
    parts = [part.strip(" .") and part.strip() for part in _NOT_IN_NAMES.split(name or "")]
    kept = next((part for part in reversed(parts) if part), None)
    return kept[-200:] if kept else None


def clean_type(type: str | None, name: str | None = None) -> str:
    """The media type, or what the name says, or that of any bytes."""
    if type is not None and _TYPE.fullmatch(type):
        return type
    return (mimetypes.guess_type(name)[0] if name else None) or _ANY


_ANY: Final = "application/octet-stream"


class Files:
    """Files of one host. `open` it on an open store and `close` it before the store."""

    def __init__(
        self, store: FileStore, contents: Contents, clock: Clock, *, owner: str = "", limits: FileLimits | None = None
    ) -> None:
        self.store = store
        self.limits = limits or FileLimits()
        self._contents = contents
        self._clock = clock
        self._owner = owner
        self._opening: asyncio.Task[None] | None = None
        self._writing: set[str] = set()
        self._finishing: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Make the folder, or connect. Raises AICFlowError. Done by itself before the first use."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._contents.open, self._owner))
        try:
            await asyncio.shield(self._opening)
        except AICFlowError:
            self._opening = None
            raise

    async def close(self) -> None:
        """What is being made durable comes to its end."""
        while self._finishing:
            await asyncio.wait(self._finishing)
        if self._opening is not None:
            await asyncio.to_thread(self._contents.close)
            self._opening = None

    async def check(self) -> None:
        """Raises AICFlowError, or what the place raises, when nothing can be written."""
        await self.open()
        await asyncio.to_thread(self._contents.check)

    async def write(
        self,
        chunks: AsyncIterable[bytes] | bytes,
        *,
        name: str | None = None,
        type: str | None = None,
        execution_id: str | None = None,
        lifetime: float = 0.0,
    ) -> FileRecord:
        """Keep a file for `lifetime` seconds and as long as the execution. Durable when it returns. Raises Conflict
        (`file-too-large`, `files-full`) and StoreUnavailable; then nothing is kept."""
        await self.open()
        name_meanwhile = secrets.token_hex(16)
        self._writing.add(name_meanwhile)  # before it is there to be swept
        try:
            writer = await _in_thread(self._contents.create, name_meanwhile)
        except BaseException:
            self._writing.discard(name_meanwhile)
            raise
        try:
            digest, size = hashlib.sha256(), 0

            def write(data: bytes) -> None:
                writer.write(data)
                digest.update(data)

            room = None if self.limits.quota is None else self.limits.quota - await self.store.total_bytes()
            async with aclosing(_in_chunks(chunks)) as pieces:
                async for data in pieces:
                    size += len(data)
                    self.check_size(size, room)
                    await _in_thread(write, data)
            now = self._clock.now()
            sha256 = digest.hexdigest()
            place = f"{sha256[:2]}/{sha256[2:4]}/{sha256}.{secrets.token_hex(4)}"
            record = FileRecord(sha256, size, clean_type(type, name), clean_name(name), now, now + lifetime, place)
            # a cancel must not come between the content and the store: its caller goes, this comes to its end
            return await self._finish(self._keep(writer, record, execution_id))
        finally:
            await self._finish(asyncio.to_thread(writer.close))
            self._writing.discard(name_meanwhile)

    async def _finish[T](self, work: Any) -> T:
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def check_size(self, size: int, room: int | None = None) -> None:
        """Raises Conflict (`file-too-large`, `files-full`) for a file that may not be kept."""
        if size > self.limits.max_bytes:
            raise Conflict(
                f"A file may have {self.limits.max_bytes:,} bytes.",
                code="file-too-large",
                hint="Make it smaller, or raise AICFLOW_MAX_FILE_BYTES.",
            )
        if room is not None and size > room:
            raise Conflict(
                f"There is room for {max(room, 0):,} more bytes of files.",
                code="files-full",
                hint="Delete files or executions that hold them, or raise AICFLOW_FILES_QUOTA.",
            )

    async def _keep(self, writer: Writer, record: FileRecord, execution_id: str | None) -> FileRecord:
        place = record.place
        self._writing.add(place)
        try:
            await _in_thread(writer.commit, place)
            add = partial(self.store.add, execution_id=execution_id, quota=self.limits.quota)
            try:
                kept = await add(record)
                if kept.place != place and not await asyncio.to_thread(self._contents.exists, kept.place):
                    kept = await add(record, instead_of=kept.place)  # its content was lost
            except Conflict:
                await asyncio.to_thread(self._contents.remove, place)
                raise
            if kept.place != place:
                await asyncio.to_thread(self._contents.remove, place)
            return kept
        finally:
            self._writing.discard(place)

    async def read(self, file: FileRecord, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Its content from `start` up to before `end`. Raises NotFound when it is lost."""
        end = file.size if end is None else min(end, file.size)
        await self.open()
        try:
            source = await asyncio.to_thread(self._contents.read, file.place)
        except FileNotFoundError:
            raise _lost(file) from None
        try:
            if start:
                await asyncio.to_thread(source.seek, start)
            while start < end:
                data = await asyncio.to_thread(source.read, min(CHUNK, end - start))
                if not data:
                    raise _lost(file)
                start += len(data)
                yield data
        finally:
            source.close()

    @asynccontextmanager
    async def path(self, file: FileRecord) -> AsyncIterator[Path]:
        """A local path of its content, only meanwhile. Raises NotFound when it is lost."""
        await self.open()
        local = self._contents.path(file.place)
        if local is not None:
            if not local.is_file():
                raise _lost(file)
            yield local
            return
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="aicflow-file-")
        try:
            copy = Path(folder, file.sha256)
            target = await asyncio.to_thread(copy.open, "wb")
            with target:
                async for data in self.read(file):
                    await asyncio.to_thread(target.write, data)
            yield copy
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def delete(self, sha256: str) -> None:
        """Raises NotFound, Conflict (`file-in-use`)."""
        record = await self.store.remove(sha256)
        await self.open()
        await asyncio.to_thread(self._contents.remove, record.place)

    async def sweep(self) -> int:
        """Remove files that have expired and that no execution holds; returns how many."""
        removed = 0
        while places := await self.store.expire(now=self._clock.now()):
            removed += len(places)
            await self.open()
            for place in places:
                await asyncio.to_thread(self._contents.remove, place)
        return removed

    async def remove_leftovers(self, before: float | None = None) -> int:
        """Remove contents that no file has and that nobody can be writing: last written before this instant, a day
        ago when none is given; returns how many."""
        await self.open()
        before = self._clock.now() - _ABANDONED if before is None else before
        removed = 0
        older = self._contents.older(before)
        while names := await asyncio.to_thread(lambda: next(batched(older, 500), ())):
            writing = set(self._writing)  # what is here now may be known a moment later
            unknown = await self.store.unknown([name for name in names if name.count("/") == 2])
            for name in names:
                if name.removeprefix(UNFINISHED) in writing:
                    continue
                if name in unknown:
                    await asyncio.to_thread(self._contents.remove, name)
                elif name.count("/") != 2:
                    await asyncio.to_thread(self._contents.discard, name.removeprefix(UNFINISHED))
                else:
                    continue
                removed += 1
        return removed


async def _in_chunks(chunks: AsyncIterable[bytes] | bytes) -> AsyncGenerator[bytes]:
    """In pieces that are worth a thread each."""
    if isinstance(chunks, bytes | bytearray | memoryview):
        view = memoryview(chunks)
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])
        return
    pending = bytearray()
    async for data in chunks:
        pending += data
        while len(pending) >= CHUNK:
            yield bytes(pending[:CHUNK])
            del pending[:CHUNK]
    if pending:
        yield bytes(pending)


async def _in_thread[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what writes a content. Raises Conflict (`files-full`), StoreUnavailable."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        why = f"The file cannot be written: {getattr(error, 'strerror', None) or error}."
        if full:
            raise Conflict(why, code="files-full", hint="Make room where AICFLOW_FILES is.") from error
        raise StoreUnavailable(why, hint="`aicflow doctor` checks where AICFLOW_FILES is.") from error


def _lost(file: FileRecord) -> NotFound:
    return NotFound("content of the file", file.sha256, hint="It was removed from where files are kept.")


class StepFiles:
    """The files of one execution, as its steps use them. Whoever knows the hash of a file may read it."""

    def __init__(self, files: Files | None, execution_id: str) -> None:
        self._service = files
        self._execution_id = execution_id
        self._held: dict[str, FileRecord] = {}

    @property
    def _files(self) -> Files:
        if self._service is None:
            raise PermanentError("There is no place for files here.", code="file-not-found")
        return self._service

    async def read(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `Files` of the context."""
        try:
            async for data in self._files.read(await self._hold(file), start, end):
                yield data
        except (NotFound, OSError) as error:
            raise _unread(error, file) from error

    def path(self, file: File) -> AbstractAsyncContextManager[Path]:
        """See `Files` of the context."""
        return self._path(file)

    @asynccontextmanager
    async def _path(self, file: File) -> AsyncIterator[Path]:
        record = await self._hold(file)
        opened = self._files.path(record)
        try:
            path = await opened.__aenter__()
        except (NotFound, OSError) as error:
            raise _unread(error, file) from error
        try:
            yield path
        finally:
            await opened.__aexit__(None, None, None)

    async def write(
        self, chunks: AsyncIterable[bytes] | bytes, *, name: str | None = None, type: str | None = None
    ) -> File:
        """See `Files` of the context."""
        try:
            record = await self._files.write(
                chunks, name=name, type=type, execution_id=self._execution_id, lifetime=_HANDED_OVER
            )
        except Conflict as error:
            raise PermanentError(error.message, code=error.code, hint=error.hint) from error
        except StoreUnavailable as error:
            raise TransientError(error.message, code="file-unwritable", hint=error.hint) from error
        self._held[record.sha256] = record
        return file_of(record, name=name, type=type)

    async def _hold(self, file: File) -> FileRecord:
        """What is known of the file, which the execution holds from now on. Raises PermanentError."""
        if file.sha256 not in self._held:
            hold = partial(self._files.store.hold, [file.sha256], execution_id=self._execution_id)
            found = await retry_while_unavailable(hold, self._execution_id)
            if file.sha256 not in found:
                raise PermanentError(
                    f"There is no file {file.sha256}{f' ({file.name})' if file.name else ''}.",
                    code="file-not-found",
                    hint="It has expired, or was deleted; or it was never uploaded.",
                )
            self._held[file.sha256] = found[file.sha256]
        return self._held[file.sha256]


def _unread(error: Exception, file: File) -> PermanentError | TransientError:
    if isinstance(error, NotFound):
        return PermanentError(error.message, code="file-not-found", hint=error.hint)
    return TransientError(f"The file {file.sha256} cannot be read: {error}", code="file-unreadable")


def file_of(record: FileRecord, *, name: str | None = None, type: str | None = None) -> File:
    """The file as JSON names it; name and type are what this one is called."""
    return File(
        sha256=record.sha256,
        size=record.size,
        type=clean_type(type, name) if type or name else record.type,
        name=clean_name(name) or record.name,
    )
