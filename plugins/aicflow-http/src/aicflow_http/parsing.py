"""Turning a response's bytes into a JSON value, text, or base64."""

from __future__ import annotations

import base64
import codecs
from contextlib import suppress
from email.message import Message
from typing import Any, Literal

from aicflow import PermanentError, decode_text
from pydantic_core import from_json, to_json

from aicflow_http.exchange import Reply
from aicflow_http.params import ResponseOptions

__all__ = ["BodyType", "content_type", "parse", "parse_json", "text_of"]

type BodyType = Literal["json", "text", "base64", "empty"]

_TEXTS = frozenset(
    {
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/ndjson",
        "application/sql",
        "application/toml",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    }
)
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


def parse(reply: Reply, options: ResponseOptions) -> tuple[Any, BodyType]:
    """The body and what it is. Raises PermanentError for a body that claims to be JSON and is not."""
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
