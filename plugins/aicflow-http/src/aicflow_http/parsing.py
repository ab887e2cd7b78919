"""Turning an answer's bytes into a JSON value, text, or base64."""

from __future__ import annotations

import base64
import codecs
from email.message import Message
from typing import Any, Literal

from aicflow import PermanentError
from pydantic_core import from_json

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
# Python can decode by these, but they are no encodings of text, or need quadratic time.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"})


def content_type(reply: Reply) -> tuple[str | None, str | None]:
    """The media type in lower case and the charset, as far as the answer names them."""
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
    wanted = options.as_
    if not reply.content and wanted in ("auto", "json"):
        return None, "empty"
    media, charset = content_type(reply)
    if wanted == "auto":
        wanted = _kind(media, charset, reply)
    if wanted == "json":
        return parse_json(reply, options), "json"
    if wanted == "text":
        return text_of(reply, options), "text"
    return base64.b64encode(reply.content).decode("ascii"), "base64"


def parse_json(reply: Reply, options: ResponseOptions) -> Any:
    """The JSON value. Raises PermanentError with line and column."""
    media, charset = content_type(reply)
    charset = options.charset or charset
    content = reply.content.removeprefix(codecs.BOM_UTF8)
    unicode_bom = content.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE))
    if unicode_bom or (charset is not None and _codec(charset) != "utf-8"):
        content = text_of(reply, options).encode("utf-8", "replace")
    try:
        return from_json(content, allow_inf_nan=False)
    except ValueError as error:
        cut = " It was cut at response.max_bytes." if reply.truncated else ""
        raise PermanentError(
            f"The answer ({media or 'no content type'}, {len(reply.content)} bytes) is not JSON: {error}.{cut}",
            code="http-parse",
            hint="Set response.as to 'text' to look at it.",
        ) from None


def text_of(reply: Reply, options: ResponseOptions) -> str:
    """The text by the charset that was set, the one the answer names, or UTF-8; what does not fit becomes �."""
    charset = options.charset or content_type(reply)[1]
    if charset is None:
        for bom, name in (
            (codecs.BOM_UTF8, "utf-8-sig"),
            (codecs.BOM_UTF16_LE, "utf-16"),
            (codecs.BOM_UTF16_BE, "utf-16"),
        ):
            if reply.content.startswith(bom):
                return reply.content.decode(name, "replace")
    text = reply.content.decode(_codec(charset or "utf-8") or "utf-8", "replace")
    # Half a surrogate pair cannot be stored or sent on.
    return text.removeprefix("\ufeff").encode("utf-8", "replace").decode()


def _codec(charset: str) -> str | None:
    """Python's name of the charset, None when it is not one."""
    try:
        info = codecs.lookup(charset)
    except (LookupError, ValueError):
        return None
    known = getattr(info, "_is_text_encoding", True) and info.name.replace("_", "-") not in _NO_CHARSETS
    return info.name if known else None


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
