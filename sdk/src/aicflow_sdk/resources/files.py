"""Files: contents that executions take and return by reference."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import unquote

from aicflow_sdk.errors import AICFlowError, ConnectionFailed, UnexpectedReply
from aicflow_sdk.messages import Pieces, Request, error_of, path
from aicflow_sdk.models import StoredFile
from aicflow_sdk.resources.base import Resource
from aicflow_sdk.session import AsyncPages

_PIECE = 256 * 1024

type Source = str | os.PathLike[str] | bytes | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
type Wanted = str | StoredFile | Mapping[str, Any]


class AsyncFiles(Resource):
    """Files that executions take and return."""

    async def upload(self, source: Source, *, name: str | None = None, type: str | None = None) -> StoredFile:
        """Upload a file: a path, bytes, an open binary file, or an iterable of bytes (the asyncio client takes an
        asynchronous one too). Nothing is held in memory as a whole; a path, bytes and files that can seek are sent
        again when the connection breaks. Raises TooLarge, ServerError (no room)."""
        if isinstance(source, str | os.PathLike):
            name = name or Path(source).name
        body, again = _pieces(source)
        return await self._session.call(
            StoredFile,
            "POST",
            "files",
            query={"name": name, "type": type},
            content=(body, "application/octet-stream"),
            # the same content is the same file, however often it arrives
            repeatable=again,
        )

    async def read(self, file: Wanted) -> bytes:
        """The whole content of a file, held in memory. Raises NotFound, UnexpectedReply."""
        memory = BytesIO()
        await self._receive(_sha256(file), memory)
        return memory.getvalue()

    async def download(self, file: Wanted, to: str | os.PathLike[str]) -> Path:
        """Write the content of a file to a path, or into a folder under the file's own name; returns the path. A
        download that breaks off goes on where it was, also when this is called again. What has come is compared with
        the file's hash. Raises NotFound, UnexpectedReply."""
        sha256 = _sha256(file)
        try:
            with _unfinished(Path(to), sha256) as content:
                name = await self._receive(sha256, content)
        except AICFlowError:
            _forget_empty(Path(to), sha256)
            raise
        return _finished(Path(to), sha256, name)

    async def _receive(self, sha256: str, content: BinaryIO) -> str | None:
        """Append what is missing; returns the file's name."""
        digest = hashlib.sha256()
        content.seek(0)
        while data := content.read(_PIECE):
            digest.update(data)

        def write(data: bytes) -> None:
            content.write(data)
            digest.update(data)

        tried = 0
        name = None
        while True:
            have = content.seek(0, os.SEEK_END)
            headers = {"range": f"bytes={have}-", "if-range": f'"{sha256}"'} if have else {}
            request = Request(method="GET", path=path("files", sha256), headers=headers, repeatable=True)
            tried += 1
            try:
                reply = await self._session.transport.receive(request, write)
            except ConnectionFailed as failure:
                tried = 1 if content.tell() > have else tried  # it does go on
                error: AICFlowError = failure
            else:
                if reply.status in (200, 206):
                    name = _name(reply.headers.get("content-disposition", ""))
                    break
                if reply.status == 416:  # all of it has come before
                    break
                error = error_of(reply)
            await self._session.again(error, tried, self._session.retry)
        if digest.hexdigest() != sha256:
            content.truncate(0)
            raise UnexpectedReply(f"What came is not the file {sha256}: its hash is {digest.hexdigest()}.")
        return name

    def list(self, *, limit: int | None = None) -> AsyncPages[StoredFile]:
        """Files, newest first."""
        return AsyncPages(self._session, StoredFile, "files", limit=limit)

    async def delete(self, file: Wanted) -> None:
        """Delete a file. Raises NotFound; Conflict while executions hold it."""
        await self._session.call(type(None), "DELETE", "files", _sha256(file), gone_is_done=True)


def _part(to: Path, sha256: str) -> Path:
    return (to if to.is_dir() else to.parent) / f".{sha256}.part"


def _unfinished(to: Path, sha256: str) -> BinaryIO:
    """What has come of it before, to be gone on with."""
    return _part(to, sha256).open("a+b")


def _forget_empty(to: Path, sha256: str) -> None:
    if not _part(to, sha256).stat().st_size:
        _part(to, sha256).unlink()


def _finished(to: Path, sha256: str, name: str | None) -> Path:
    target = to / (name or sha256) if to.is_dir() else to
    _part(to, sha256).replace(target)
    return target


def _sha256(file: Wanted) -> str:
    if isinstance(file, StoredFile):
        return file.sha256
    found = file if isinstance(file, str) else file.get("$blob") or file.get("sha256")
    if not isinstance(found, str):
        raise ValueError("A file is named by its SHA-256, or by an object with it under `$blob`")
    return found


def _pieces(source: Source) -> tuple[Pieces, bool]:
    """The body, and whether it can be sent again."""
    if isinstance(source, str | os.PathLike):
        opened = Path(source)
        return Pieces(partial(_of_path, opened), opened.stat().st_size), True
    if isinstance(source, bytes | bytearray | memoryview):
        return Pieces(lambda: _of_stream(BytesIO(source)), len(source)), True
    if hasattr(source, "read"):
        stream = cast("IO[bytes]", source)
        with suppress(OSError, ValueError, AttributeError):
            start = stream.tell()
            size = stream.seek(0, os.SEEK_END) - start
            stream.seek(start)

            def from_start() -> Iterator[bytes]:
                stream.seek(start)
                return _of_stream(stream)

            return Pieces(from_start, size), True
        return Pieces(lambda: _of_stream(stream)), False
    return Pieces(lambda: source), False


def _of_path(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from _of_stream(stream)


def _of_stream(stream: IO[bytes]) -> Iterator[bytes]:
    while data := stream.read(_PIECE):
        yield data


def _name(disposition: str) -> str | None:
    """The last part of the name, so that it stays in the folder."""
    encoded = disposition.partition("filename*=UTF-8''")[2].partition(";")[0]
    name = unquote(encoded).replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return name if name not in ("", ".", "..") else None
