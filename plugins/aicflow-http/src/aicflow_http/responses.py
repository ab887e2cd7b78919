"""A response and its bytes: decompressed a piece at a time, then read as a JSON value, text or base64."""

from __future__ import annotations

import base64
import codecs
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal
from urllib.parse import unquote

import httpx2
from aicflow import File, PermanentError, cut, decode_text
from pydantic_core import from_json, to_json

from aicflow_http.params import ResponseOptions
from aicflow_http.requests import Outgoing

_PIECE = 65_536
_MOST_ENCODINGS = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, its body read and decoded. `truncated`: it was longer than the cap. `file`: where the body is
    when it was asked for as one; `content` is empty then."""

    request: Outgoing
    status: int
    headers: httpx2.Headers
    content: bytes
    truncated: bool = False
    file: File | None = None

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return len(self.content) if self.file is None else self.file.size

    @property
    def is_redirect(self) -> bool:
        """Whether it sends the client elsewhere."""
        return self.status in (301, 302, 303, 307, 308) and "location" in self.headers


class Decoder:
    """Takes the raw bytes of a body and returns the decoded ones in pieces of at most 64 kB."""

    def __init__(self, content_encoding: str) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        unknown = [name for name in names if name not in ("gzip", "x-gzip", "deflate")]
        if unknown or len(names) > _MOST_ENCODINGS:
            raise PermanentError(
                f"The response is encoded as {cut(content_encoding, 80)!r}, which was not asked for.",
                code="http-encoding",
                hint="Only gzip and deflate are understood; remove an 'Accept-Encoding' header of your own.",
            )
        self._stages = [_Inflater(name) for name in reversed(names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces of these bytes. Raises PermanentError for bytes that are not what they claim to be."""
        pieces: Iterator[bytes] = iter((data,))
        for stage in self._stages:
            pieces = _through(stage, pieces)
        yield from pieces

    def complete(self) -> bool:
        """Whether the body may end here; a compressed one that was cut off says no."""
        return all(stage.complete() for stage in self._stages)


def _through(stage: _Inflater, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield from stage.feed(piece)


class _Inflater:
    def __init__(self, name: str) -> None:
        self._gzip = name != "deflate"
        self._stream = zlib.decompressobj(31 if self._gzip else 15)
        self._started = False
        self._head = b""  # zlib's two-byte frame is recognised whole, however the bytes arrive

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._started:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
        while data:
            if self._stream.eof:
                if not self._gzip or not data.strip(b"\0"):
                    return  # what follows the end is padding
                self._stream = zlib.decompressobj(31)  # gzip files may follow each other
            yield from self._inflate(data)
            data = self._stream.unused_data if self._stream.eof else b""

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        first, self._started = not self._started, True
        try:
            piece = self._stream.decompress(data, _PIECE)
        except zlib.error:
            if self._gzip or not first:
                raise _damaged() from None
            self._stream = zlib.decompressobj(-15)  # some servers send bare deflate without zlib's frame
            yield from self._inflate(data)
            return
        while piece:
            yield piece
            try:
                piece = self._stream.decompress(self._stream.unconsumed_tail, _PIECE)
            except zlib.error:
                raise _damaged() from None

    def complete(self) -> bool:
        return self._stream.eof or not (self._started or self._head)


def _damaged() -> PermanentError:
    return PermanentError("The response's compressed body is damaged.", code="http-encoding")


type BodyType = Literal["json", "text", "base64", "file", "empty"]

_TEXTS = frozenset(
    f"application/{name}"
    for name in (
        "graphql", "javascript", "jsonl", "ndjson", "sql", "toml", "x-ndjson", "x-www-form-urlencoded", "x-yaml", "xml",
        "yaml",
    )
)  # fmt: skip
_SHAPES = bytes.maketrans(b"123456789E", b"000000000e")


def content_type(reply: Reply) -> tuple[str | None, str | None]:
    """The media type in lower case and the charset, as far as the response names them."""
    text = reply.headers.get("content-type", "").strip()
    if not text:
        return None, None
    if ";" not in text:
        return text.lower(), None
    message = Message()
    message["content-type"] = text[:1000]
    charset = message.get_param("charset")
    return text.partition(";")[0].strip().lower() or None, charset if isinstance(charset, str) else None


def file_name(reply: Reply, options: ResponseOptions) -> str:
    """What the new file is called: as was asked, as the server says, or as the end of the URL."""
    message = Message()
    message["content-disposition"] = reply.headers.get("content-disposition", "")[:1000]
    said = options.name or message.get_filename() or unquote(reply.request.url.path)
    return said.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()[:200] or "download"


def parse(reply: Reply, options: ResponseOptions) -> tuple[Any, BodyType]:
    """The body and what it is. Raises PermanentError for a body that claims to be JSON and is not."""
    if reply.file is not None:
        return reply.file, "file"
    wanted, guessed = options.as_, options.as_ == "auto"
    if not reply.content and wanted in ("auto", "json"):
        return None, "empty"
    media, charset = content_type(reply)
    if wanted == "auto":
        wanted = _kind(media, charset, reply)
    if wanted == "json":
        return parse_json(reply, options), "json"
    if wanted == "text":
        try:
            return text_of(reply, options), "text"
        except UnicodeError as error:
            if not guessed:
                raise PermanentError(
                    f"The response ({media or 'no content type'}, {len(reply.content)} bytes) is not text: {error}.",
                    code="http-parse",
                    hint="Set response.charset to its charset, or response.as to 'bytes'.",
                ) from None
    return base64.b64encode(reply.content).decode("ascii"), "base64"


def parse_json(reply: Reply, options: ResponseOptions) -> Any:
    """The JSON value. Raises PermanentError with line and column."""
    media, charset = content_type(reply)
    content = reply.content.removeprefix(codecs.BOM_UTF8)
    unicode_bom = content.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE))
    try:
        if unicode_bom or options.charset or charset:
            content = text_of(reply, options).encode()
        value = from_json(content, allow_inf_nan=False)
        shape = content.translate(_SHAPES)
        if b"0e000" in shape or b"0e+000" in shape or b"0" * 309 in shape:  # perhaps a number that became infinite
            from_json(to_json(value, inf_nan_mode="constants"), allow_inf_nan=False)
        return value
    except ValueError as error:
        cut = " It was cut at response.max_bytes." if reply.truncated else ""
        raise PermanentError(
            f"The response ({media or 'no content type'}, {len(reply.content)} bytes) is not JSON: {error}.{cut}",
            code="http-parse",
            hint="Set response.as to 'text' to look at it.",
        ) from None


def text_of(reply: Reply, options: ResponseOptions) -> str:
    """The text by the charset that was set, the one the response names if it is known, or UTF-8. Raises
    UnicodeDecodeError: nothing is replaced."""
    charset = options.charset or content_type(reply)[1]
    content = reply.content
    if charset is None and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    # what was cut off may end in the middle of a character
    for end in range(len(content), max(len(content) - 4, 0), -1) if reply.truncated else ():
        with suppress(UnicodeError):
            return _decoded(content[:end], charset)
    return _decoded(content, charset)


def _decoded(content: bytes, charset: str | None) -> str:
    try:
        return decode_text(content, charset)
    except LookupError:
        return decode_text(content)


def _kind(media: str | None, charset: str | None, reply: Reply) -> Literal["json", "text", "bytes"]:
    if media is None:
        return "text" if _is_utf8(reply) else "bytes"
    subtype = media.partition("/")[2]
    if subtype == "json" or subtype.endswith("+json"):
        return "text" if reply.truncated else "json"
    if media.startswith("text/") or media in _TEXTS or subtype.endswith("+xml") or charset is not None:
        return "text"
    return "bytes"


def _is_utf8(reply: Reply) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(reply.content, final=not reply.truncated)
    except UnicodeDecodeError:
        return False
    return b"\0" not in reply.content
