"""Node types for ZIP archives."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final

from aicflow import Context, File, Node, Output, Params, PermanentError, cut
from pydantic import Field

from aicflow_files.documents import FileOutput
from aicflow_files.threads import in_thread, named, steps

_PIECE: Final = 1 << 20


class ZipParams(Params):
    """The files that go into the archive."""

    files: list[File] = Field(min_length=1, max_length=1_000)
    names: list[str] | None = Field(
        default=None, description="A name in the archive for each, such as `reports/may.csv`; else their own"
    )
    name: str = Field(default="files.zip", min_length=1, max_length=200)


class Zip(Node[ZipParams, FileOutput]):
    """Pack files into a ZIP archive. Of two files with one name the second is called `name (2)`."""

    type_id = "file.zip"
    title = "Pack ZIP"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {"bad-name": "A name cannot stand in an archive"}

    async def run(self, ctx: Context, params: ZipParams) -> FileOutput:
        """Pack while it is written."""
        names = params.names or [file.name or f"file {number}" for number, file in enumerate(params.files, 1)]
        if len(names) != len(params.files):
            raise PermanentError(
                f"There are {len(names)} names for {len(params.files)} files.", code="bad-name", pointer="/names"
            )
        taken: set[str] = set()
        for position, name in enumerate(names):
            if _safe(name) is None:
                message = f"{cut(name, 100)!r} is not a relative path without '..'."
                raise PermanentError(message, code="bad-name", pointer=f"/names/{position}")
            path, number = PurePosixPath(name), 1
            while name in taken:
                number += 1
                name = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
            taken.add(name)
            names[position] = name
        async with AsyncExitStack() as stack:
            paths = [await stack.enter_async_context(ctx.files.path(file)) for file in params.files]
            pieces = await stack.enter_async_context(steps(_packed(list(zip(names, paths, strict=True)))))
            return FileOutput(file=await ctx.files.write(pieces, name=params.name, type="application/zip"))


class _Sink(io.RawIOBase):
    """What an archive is written to: it cannot go back, so that nothing has to be kept."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last call."""
        data = b"".join(self.parts)
        self.parts.clear()
        return data


def _packed(members: list[tuple[str, Path]]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in members:
            entry = zipfile.ZipInfo(name)  # of 1980, so that equal files make equal archives
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            large = path.stat().st_size > 1 << 30
            with (
                open(path, "rb") as file,
                archive.open(entry, "w", force_zip64=large) as member,
            ):
                while piece := file.read(_PIECE):
                    member.write(piece)
                    yield sink.taken()
    yield sink.taken()


class UnzipParams(Params):
    """An archive, and what to take out of it."""

    file: File
    pattern: str = Field(default="*", description="Which paths, such as `*.csv` or `reports/*`")
    max_files: int = Field(default=1_000, ge=1, le=10_000, description="More are an error")
    max_bytes: int = Field(
        default=1_000_000_000,
        ge=1,
        le=100_000_000_000,
        description="Of all of them, unpacked; more are an error",
    )
    password: str | None = Field(default=None, repr=False, json_schema_extra={"x-aicflow": {"secret": True}})


class Entry(Output):
    """A file of the archive, and its path in there."""

    path: str
    file: File


class UnzipOutput(Output):
    """The files, in the archive's order."""

    entries: list[Entry]


class Unzip(Node[UnzipParams, UnzipOutput]):
    """Take the files out of a ZIP archive. Paths that lead out of it, and what unpacks to too much, are refused."""

    type_id = "file.unzip"
    title = "Unpack ZIP"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        "bad-zip": "The file is not a ZIP archive, is damaged, or needs a password",
        "bad-name": "A path in the archive leads out of it",
        "too-large": "The archive has more files or bytes than it may",
    }

    async def run(self, ctx: Context, params: UnzipParams) -> UnzipOutput:
        """Unpack one after another."""
        entries = []
        async with ctx.files.path(params.file) as path:
            for member in await in_thread(lambda: _members(path, params)):
                member_path = _safe(member.filename)
                assert member_path is not None
                name, kind = named(PurePosixPath(member_path).name, None, "")
                async with steps(_unpacked(path, member, params.password)) as pieces:
                    file = await ctx.files.write(pieces, name=name, type=kind)
                entries.append(Entry(path=member_path, file=file))
        return UnzipOutput(entries=entries)


def _members(path: Path, params: UnzipParams) -> list[zipfile.ZipInfo]:
    """What is to be unpacked, all of it checked before anything is. Raises PermanentError."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise PermanentError(f"The file is not a ZIP archive: {error}.", code="bad-zip") from None
    found = [member for member in found if fnmatchcase(member.filename, params.pattern)]
    size = sum(member.file_size for member in found)
    if len(found) > params.max_files or size > params.max_bytes:
        raise PermanentError(
            f"The archive unpacks to {len(found)} files with {size} bytes; {params.max_files} files and "
            f"{params.max_bytes} bytes are the most.",
            code="too-large",
            pointer="/max_files" if len(found) > params.max_files else "/max_bytes",
        )
    for member in found:
        if _safe(member.filename) is None:
            raise PermanentError(
                f"The path {cut(member.filename, 100)!r} leads out of the archive.",
                code="bad-name",
                hint="Nothing was unpacked. Choose others by 'pattern'.",
            )
        if member.flag_bits & 1 and params.password is None:
            raise PermanentError(
                f"{cut(member.filename, 100)!r} needs a password.", code="bad-zip", hint="Set 'password'."
            )
    return found


def _safe(name: str) -> str | None:
    """The path as it is meant, None when it leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = path.parts
    if not parts or path.is_absolute() or ".." in parts or "\0" in name or ":" in parts[0]:
        return None
    return str(path)


def _unpacked(path: Path, member: zipfile.ZipInfo, password: str | None) -> Iterator[bytes]:
    """Its bytes: never more than its entry said, which was counted before."""
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(member, pwd=password.encode() if password is not None else None) as file,
        ):
            while piece := file.read(_PIECE):
                yield piece
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise PermanentError(
            f"{cut(member.filename, 100)!r} cannot be unpacked: {error or 'it is cut off'}.", code="bad-zip"
        ) from None


NODES: list[type[Node[Any, Any]]] = [Zip, Unzip]
