"""Node types for files as text: read and write plain text or bytes, take the text out of a PDF."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from aicflow import Context, File, Node, Output, Params, PermanentError, TransientError, cut
from pydantic import Field, model_validator

from aicflow_files.encodings import detected_encoding, undecodable
from aicflow_files.threads import in_thread, named

_PDF_MEMORY = 1 << 30
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV")


class ReadParams(Params):
    """Which file, and as what."""

    file: File
    as_: Literal["text", "base64"] = Field(default="text", alias="as")
    encoding: str = Field(default="auto", description="`auto` goes by the byte order mark, else UTF-8; or a name")
    max_bytes: int = Field(default=1_000_000, ge=1, le=100_000_000, description="A larger file is an error")


class ReadOutput(Output):
    """The content, and how it was encoded."""

    content: str
    encoding: str


class Read(Node[ReadParams, ReadOutput]):
    """Read a file into text, or into base64."""

    type_id = "file.read"
    title = "Read file"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        "too-large": "The file is larger than `max_bytes`",
        "bad-encoding": "The file is not text in its encoding",
    }

    async def run(self, ctx: Context, params: ReadParams) -> ReadOutput:
        """Read all of it."""
        if params.file.size > params.max_bytes:
            raise PermanentError(
                f"The file has {params.file.size} bytes, more than {params.max_bytes}.",
                code="too-large",
                pointer="/max_bytes",
                hint="Raise max_bytes, or hand the file itself on.",
            )
        async with ctx.files.path(params.file) as path:
            return await in_thread(lambda: self._read(path, params))

    @staticmethod
    def _read(path: Path, params: ReadParams) -> ReadOutput:
        with open(path, "rb") as file:
            if params.as_ == "base64":
                return ReadOutput(content=base64.b64encode(file.read()).decode(), encoding="base64")
            encoding = detected_encoding(file) if params.encoding == "auto" else params.encoding
            try:
                return ReadOutput(content=file.read().decode(encoding), encoding=encoding)
            except LookupError:
                raise PermanentError(
                    f"There is no encoding {cut(encoding, 40)!r}.", code="bad-encoding", pointer="/encoding"
                ) from None
            except UnicodeError:
                raise undecodable(file, encoding) from None


class WriteParams(Params):
    """Text, or bytes as base64."""

    text: str | None = None
    base64: str | None = None
    name: str = Field(min_length=1, max_length=200, description="Name of the file: its ending tells its type")
    type: str | None = Field(default=None, description="Media type, where it is not the ending's: text/csv")
    encoding: str = Field(default="utf-8", description="Of the text")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("needs either 'text' or 'base64'")
        return self


class FileOutput(Output):
    """The file."""

    file: File


class Write(Node[WriteParams, FileOutput]):
    """Make a file of text, or of bytes given as base64."""

    type_id = "file.write"
    title = "Write file"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        "bad-encoding": "The text cannot be written in the encoding",
        "bad-base64": "`base64` is not base64",
    }

    async def run(self, ctx: Context, params: WriteParams) -> FileOutput:
        """Write all of it."""
        try:
            if params.base64 is not None:
                content = base64.b64decode("".join(params.base64.split()), validate=True)
            else:
                content = (params.text or "").encode(params.encoding)
        except binascii.Error:
            raise PermanentError("The text is not base64.", code="bad-base64", pointer="/base64") from None
        except (LookupError, UnicodeError) as error:
            raise PermanentError(
                f"The text cannot be written: {error}.", code="bad-encoding", pointer="/encoding", hint="Use utf-8."
            ) from None
        kind = params.type or named(params.name, None, "")[1]
        return FileOutput(file=await ctx.files.write(content, name=params.name, type=kind))


class ReadPdfParams(Params):
    """Which file, and which of its pages."""

    file: File
    pages: list[int] | None = Field(default=None, min_length=1, description="Numbers from 1; else all pages")
    password: str | None = Field(default=None, repr=False, json_schema_extra={"x-aicflow": {"secret": True}})
    max_pages: int = Field(default=500, ge=1, le=10_000, description="More are an error")
    max_characters: int = Field(default=2_000_000, ge=1, le=50_000_000, description="More text is an error")
    seconds: int = Field(default=60, ge=1, le=3_600, description="Of processor time; a file that takes more is refused")


class Page(Output):
    """The text of one page; empty where it is a picture, as scans are."""

    page: int
    text: str


class ReadPdfOutput(Output):
    """The pages that were read, their text in one, and how many pages the file has."""

    pages: list[Page]
    text: str
    page_count: int


class ReadPdf(Node[ReadPdfParams, ReadPdfOutput]):
    """Take the text out of a PDF.

    The file is read in a process of its own, with limits on memory and time, because a PDF may be made to exhaust its
    reader. Pictures of text, as scanners make them, have none.
    """

    type_id = "file.read_pdf"
    title = "Read PDF"
    category = "files"
    pure = True
    errors: ClassVar[Mapping[str, str]] = {
        "bad-pdf": "The file is not a PDF that can be read",
        "pdf-password": "The file has a password, or another one",
        "too-large": "The file has more pages or text, or takes more memory or time, than it may",
    }

    async def run(self, ctx: Context, params: ReadPdfParams) -> ReadPdfOutput:
        """Have the process read."""
        async with ctx.files.path(params.file) as path:
            options = {
                "path": str(path),
                "password": params.password or "",
                "pages": params.pages,
                "max_pages": params.max_pages,
                "max_characters": params.max_characters,
                "memory_bytes": _PDF_MEMORY,
                "cpu_seconds": params.seconds,
            }
            said = await _read_pdf(options, params.seconds)
        for word in said:
            if "error" in word:
                message = ctx.redact(word["error"]).removesuffix(".")
                raise PermanentError(f"The PDF cannot be read: {message}.", code=word["code"])
        pages = [Page(page=word["page"], text=word["text"]) for word in said if "page" in word]
        count = next((word["pages"] for word in said if "pages" in word), 0)
        for number in params.pages or ():
            if not 0 < number <= count:
                raise PermanentError(f"The PDF has {count} pages, and no page {number}.", pointer="/pages")
        return ReadPdfOutput(pages=pages, text="\n\n".join(page.text for page in pages), page_count=count)


async def _read_pdf(options: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """What the process says. Raises PermanentError when it was ended for what it used."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-X", "utf8", "-m", "aicflow_files.pdf_process"),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise TransientError(f"The process that reads the PDF could not be started: {error}.") from None
    try:
        async with asyncio.timeout(2 * seconds + 10):
            out, _ = await process.communicate(json.dumps(options).encode() + b"\n")
    except TimeoutError:
        raise _too_long(seconds) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _too_long(seconds)
    return [json.loads(line) for line in out.splitlines()]


def _too_long(seconds: float) -> PermanentError:
    return PermanentError(
        f"The PDF cannot be read within {seconds:g} s and {_PDF_MEMORY >> 20} MiB of memory.",
        code="too-large",
        hint="Ask for fewer `pages`, or raise `seconds`.",
    )


NODES: list[type[Node[Any, Any]]] = [Read, Write, ReadPdf]
