"""A request's body as a JSON value, by its content type; whatever is wrong with it is a `BodyRejected`."""

import base64
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from aicflow import JsonError, decode_text, read_json

from aicflow_trigger.errors import BodyRejected
from aicflow_trigger.multipart_bodies import Part, UploadedFile, parse_options, read_parts

BodyKind = Literal["empty", "json", "form", "multipart", "text", "bytes"]

_TEXT_TYPES: Final = frozenset(
    ("application/xml", "application/yaml", "application/x-yaml", "application/x-ndjson", "application/graphql")
)
_JSON_TYPES: Final = frozenset(("application/json", "text/json"))
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a body: bytes (also after decompression), JSON nesting, fields of a form, parts of a multipart form."""

    max_bytes: int = 1_048_576
    max_depth: int = 64
    max_fields: int = 1_000
    max_parts: int = 100


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """What came: `value` is plain JSON.

    json: the value. form and multipart: an object; a field that came several times has a list, a part without a name
    is "". text: a string.
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
    """Decode a body. `accept` narrows the kinds taken. Text is in the charset that the sender declares, UTF-8 unless
    declared; bytes that do not fit it are refused, never replaced. A body without a content type is JSON when it is
    an object or a list in JSON, else text when it is UTF-8, else bytes.

    Errors: `BodyRejected` with 400 (malformed), 413 (over a limit), 415 (a type or encoding not taken).
    """
    limits = limits or BodyLimits()
    body = _decompressed(body, content_encoding, limits.max_bytes)
    media_type, options = parse_options(content_type)
    charset = options.get("charset")
    value: Any
    if body and not media_type:
        media_type = _guessed_type(body, limits.max_depth)
    kind = _kind(media_type) if body else "empty"
    media_type = media_type or "application/octet-stream"
    if accept is not None and kind not in (taken := set(accept)):
        wanted = f"send {', '.join(sorted(taken))}"
        if kind == "empty":
            raise BodyRejected(400, f"the body is empty; {wanted}")
        raise BodyRejected(415, f"the content type {media_type[:100]} is not taken here; {wanted}")
    fields: list[tuple[str, str]] = []
    files: list[UploadedFile] = []
    match kind:
        case "empty":
            value = None
        case "json":
            value = _json(_text(body, charset, "JSON body") if charset else body, limits.max_depth)
        case "form":
            value = _grouped(_form_fields(body, charset, limits.max_fields))
        case "multipart":
            parts = read_parts(options.get("boundary", ""), body, limits.max_parts)
            declared = next((part.data.decode("latin-1").strip() for part in parts if part.name == "_charset_"), None)
            for part in parts:
                if part.filename is not None or _kind(part.content_type or "text/plain") == "bytes":
                    files.append(_file(part))
                else:
                    text = _text(bytes(part.data), part.charset or declared, f"field {part.name[:100]!a}")
                    fields.append((part.name, text))
            value = _grouped(fields)
        case "text":
            value = _text(body, charset, "text")
        case _:
            encoded = base64.b64encode(body).decode()
            value = {"base64": encoded, "size": len(body), "content_type": media_type}
    return DecodedBody(kind, value, media_type, tuple(files))


def _json(body: bytes | str, max_depth: int) -> Any:
    try:
        return read_json(body, max_depth)
    except JsonError as error:
        raise BodyRejected(400, f"the JSON body {error}") from None


def _guessed_type(body: bytes, max_depth: int) -> str:
    """The type of a body whose sender does not say (RFC 9110, 8.3: it may be examined)."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        with suppress(JsonError):
            read_json(body, max_depth)
            return "application/json"
    with suppress(UnicodeDecodeError):
        if "\0" not in decode_text(body):
            return "text/plain"
    return "application/octet-stream"


def _kind(media_type: str) -> BodyKind:
    if media_type in _JSON_TYPES or media_type.endswith("+json"):
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


def _form_fields(body: bytes, charset: str | None, max_fields: int) -> list[tuple[str, str]]:
    if body.count(b"&") >= max_fields:
        raise BodyRejected(413, f"the form has more than {max_fields} fields")
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    charset = charset or dict(pairs).get("_charset_")
    return [
        (_text(name.encode("latin-1"), charset, "form"), _text(value.encode("latin-1"), charset, "form"))
        for name, value in pairs
    ]


def _file(part: Part) -> UploadedFile:
    return UploadedFile(
        field=part.name,
        filename=part.filename or "",
        content_type=part.content_type or "application/octet-stream",
        size=len(part.data),
        base64=base64.b64encode(part.data).decode(),
    )


def _grouped(fields: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in fields:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def _text(data: bytes, charset: str | None, what: str) -> str:
    try:
        return decode_text(data, charset)
    except LookupError as error:
        raise BodyRejected(415, f"the {what} cannot be read: {error}; send UTF-8") from None
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        hint = "" if charset else ", and no charset is declared"
        raise BodyRejected(400, f"the {what} is not {(charset or 'UTF-8')[:40]} at byte {at}{hint}") from None
