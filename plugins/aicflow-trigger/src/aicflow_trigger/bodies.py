"""A request's body as a JSON value, by its content type; whatever is wrong with it is a `BodyRejected`."""

import base64
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header

from aicflow_trigger.errors import BodyRejected
from aicflow_trigger.json_bodies import MAX_DEPTH, decode_json
from aicflow_trigger.multipart_bodies import UploadedFile, decode_multipart

BodyKind = Literal["empty", "json", "form", "multipart", "text", "bytes"]

_TEXT_TYPES: Final = frozenset(
    ("application/xml", "application/yaml", "application/x-yaml", "application/x-ndjson", "application/graphql")
)
_CHARSETS: Final = frozenset(
    ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "iso-8859-15", "windows-1252", "cp1252")
) | frozenset(("utf-16", "utf-16le", "utf-16be", "shift_jis", "euc-jp", "euc-kr", "gbk", "gb2312", "big5", "koi8-r"))
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a body: bytes (also after decompression), JSON nesting, fields of a form, parts of a multipart form."""

    max_bytes: int = 1_048_576
    max_depth: int = MAX_DEPTH
    max_fields: int = 1_000
    max_parts: int = 100


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """What came: `value` is plain JSON.

    json: the value. form and multipart: an object; a field that came several times has a list. text: a string.
    bytes: {"base64", "size", "content_type"}. empty: null. `files` are those of a multipart form.
    """

    kind: BodyKind
    value: Any
    content_type: str
    files: tuple[UploadedFile, ...] = ()

    def files_as_json(self) -> list[dict[str, Any]]:
        """The files as plain JSON objects with the keys of `UploadedFile`."""
        return [asdict(file) for file in self.files]


def decode_body(
    content_type: str | None,
    body: bytes,
    limits: BodyLimits | None = None,
    *,
    content_encoding: str | None = None,
    accept: Iterable[BodyKind] | None = None,
) -> DecodedBody:
    """Decode a body. `accept` narrows the kinds taken.

    Errors: `BodyRejected` with 400 (malformed), 413 (over a limit), 415 (a type or encoding not taken).
    """
    limits = limits or BodyLimits()
    body = _decompressed(body, content_encoding, limits.max_bytes)
    media_type, options = _media_type(content_type)
    kind = _kind(media_type) if body else "empty"
    if accept is not None and kind not in (taken := set(accept)):
        wanted = f"send {', '.join(sorted(taken))}"
        if kind == "empty":
            raise BodyRejected(400, f"the body is empty; {wanted}")
        raise BodyRejected(415, f"the content type {media_type[:100]} is not taken here; {wanted}")
    value: Any
    files: list[UploadedFile] = []
    match kind:
        case "empty":
            value = None
        case "json":
            if options.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
                raise BodyRejected(415, f"JSON is UTF-8; the charset {options['charset'][:40]!a} is not taken")
            value = decode_json(body, limits.max_depth)
        case "form":
            value = _grouped(_form_fields(body, limits.max_fields))
        case "multipart":
            fields, files = decode_multipart(options.get("boundary", ""), body, limits.max_parts)
            value = _grouped(fields)
        case "text":
            value = _text(body, options.get("charset", "utf-8"))
        case _:
            encoded = base64.b64encode(body).decode()
            value = {"base64": encoded, "size": len(body), "content_type": media_type}
    return DecodedBody(kind, value, media_type, tuple(files))


def _media_type(header: str | None) -> tuple[str, dict[str, str]]:
    """The bare type in lower case and its parameters; a body without a type is a stream of bytes (RFC 9110, 8.3)."""
    try:
        kind, options = parse_options_header(header)
    except UnicodeEncodeError:
        raise BodyRejected(400, "the header Content-Type holds characters that are not Latin-1") from None
    plain = {name.decode("latin-1"): value.decode("latin-1") for name, value in options.items()}
    return kind.decode("latin-1").strip() or "application/octet-stream", plain


def _kind(media_type: str) -> BodyKind:
    if media_type == "application/json" or media_type.endswith("+json"):
        return "json"
    if media_type == "application/x-www-form-urlencoded":
        return "form"
    if media_type == "multipart/form-data":
        return "multipart"
    if media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+xml", "+yaml")):
        return "text"
    return "bytes"


def _decompressed(body: bytes, encoding: str | None, max_bytes: int) -> bytes:
    too_large = BodyRejected(413, f"the body is larger than {max_bytes} bytes")
    if len(body) > max_bytes:
        raise too_large
    name = (encoding or "identity").strip().lower()
    if name == "identity" or not body:
        return body
    if name not in _WINDOW_BITS:
        raise BodyRejected(415, f"the content encoding {name[:40]!a} is not taken; send gzip, deflate or none")
    inflater = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        raise BodyRejected(400, f"the body is not valid {name}") from None
    if len(plain) > max_bytes:
        raise too_large
    if not inflater.eof or inflater.unused_data:
        raise BodyRejected(400, f"the {name} body is cut off or followed by other bytes")
    return plain


def _form_fields(body: bytes, max_fields: int) -> list[tuple[str, str]]:
    if body.count(b"&") >= max_fields:
        raise BodyRejected(413, f"the form has more than {max_fields} fields")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise BodyRejected(400, "the form holds text that is not UTF-8") from None


def _grouped(fields: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in fields:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def _text(body: bytes, charset: str) -> str:
    if charset.lower() not in _CHARSETS:
        raise BodyRejected(415, f"the charset {charset[:40]!a} is not taken; send UTF-8")
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        raise BodyRejected(400, f"the text is not {charset.lower()} at byte {error.start}") from None
