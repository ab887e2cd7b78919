"""A request's body as a JSON value, by its content type; whatever is wrong with it is a `BodyRejected`."""

import base64
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from aicflow import JsonError, cut, decode_text, read_json

from aicflow_trigger.errors import BodyRejected

_MAX_HEADERS = 8
_MAX_HEADER = 4_096


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form: the field it came in, its name and type as claimed by the sender, its bytes in base64; None for
    a large one, whose bytes are in `DecodedBody.large`."""

    field: str
    filename: str
    content_type: str
    size: int
    base64: str | None


@dataclass(slots=True)
class Part:
    """A part as it came. `name` is empty when it has none; `filename` is None when it has none."""

    headers: dict[str, str] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    data: bytearray = field(default_factory=bytearray)
    name: str = ""
    filename: str | None = None
    content_type: str = ""
    charset: str | None = None


class _Collector:
    """Receives the parser's callbacks and keeps whole parts."""

    def __init__(self, max_parts: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._max_parts = max_parts

    def begin(self) -> None:
        if len(self.parts) >= self._max_parts:
            raise BodyRejected(413, f"the form has more than {self._max_parts} parts")
        self.parts.append(Part())

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].header_value += data[start:end]

    def header_end(self) -> None:
        part = self.parts[-1]
        part.headers[part.header_name.decode("latin-1").lower()] = part.header_value.decode("latin-1").strip()
        part.header_name.clear()
        part.header_value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def end(self) -> None:
        self.ended = True


def read_parts(boundary: str, body: bytes, max_parts: int) -> list[Part]:
    """The form's parts in order. Errors: `BodyRejected` (400, 413)."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    if not boundary or not boundary.isascii() or len(boundary) > 70:
        raise BodyRejected(400, "the Content-Type of the form has no boundary of 1 to 70 ASCII characters")
    collector = _Collector(max_parts)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.begin,
                "on_header_field": collector.header_name,
                "on_header_value": collector.header_value,
                "on_header_end": collector.header_end,
                "on_part_data": collector.data,
                "on_end": collector.end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER,
        )
        parser.write(body)
    except FormParserError as error:
        raise BodyRejected(400, f"the form is malformed: {error}") from None
    if not collector.ended:
        raise BodyRejected(400, "the form is cut off: its closing boundary is missing")
    for number, part in enumerate(collector.parts, 1):
        _read_headers(part, number)
    return collector.parts


def _read_headers(part: Part, number: int) -> None:
    kind, options = parse_options(part.headers.get("content-disposition", "form-data"), f"part {number} of the form")
    if kind != "form-data":
        raise BodyRejected(400, f"part {number} of the form has a Content-Disposition that is not form-data")
    if part.headers.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise BodyRejected(400, f"part {number} of the form uses a Content-Transfer-Encoding; send it as it is")
    part.name = options.get("name", "")
    part.filename = options.get("filename")
    part.content_type, more = parse_options(part.headers.get("content-type"), f"part {number} of the form")
    part.charset = more.get("charset")


def parse_options(header: str | None, what: str = "the header Content-Type") -> tuple[str, dict[str, str]]:
    """A header's value in lower case and its parameters: UTF-8, encoded words (RFC 2047), and the extended form of
    RFC 8187 (`filename*=`), which goes before the plain one."""
    message = Message()
    message["content-type"] = header or ""
    params = message.get_params(failobj=[])
    read = {name.lower(): _parameter(value, what) for name, value in params[1:]}
    return (params[0][0].strip().lower() if params else ""), read


def _parameter(value: str | tuple[str | None, str | None, str], what: str) -> str:
    charset, _, text = value if isinstance(value, tuple) else (None, None, value)
    try:
        # header values come as Latin-1, one character for each byte
        plain = decode_text(text.encode("latin-1"), charset)
        if "=?" in plain:
            with suppress(LookupError, ValueError, MessageError):
                return str(make_header(decode_header(plain)))
    except (LookupError, UnicodeError):
        raise BodyRejected(400, f"{what} has a parameter that is not {charset or 'UTF-8'}") from None
    return plain


BodyKind = Literal["empty", "json", "form", "multipart", "text", "bytes"]

_TEXT_TYPES: Final = frozenset(
    ("application/xml", "application/yaml", "application/x-yaml", "application/x-ndjson", "application/graphql")
)
_JSON_TYPES: Final = frozenset(("application/json", "text/json"))
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a body: bytes (also after decompression), JSON nesting, fields of a form, parts of a multipart form.
    Uploads of more than `files_above` bytes are large: all with 0, none with None."""

    max_bytes: int = 16_777_216
    max_depth: int = 64
    max_fields: int = 1_000
    max_parts: int = 100
    files_above: int | None = None

    def is_large(self, size: int) -> bool:
        """Whether an upload becomes a file."""
        return self.files_above is not None and (size > self.files_above or self.files_above == 0)


def may_give_files(files_above: int | None, max_body_bytes: int) -> bool:
    """Whether uploads have a `file` in the payload: by what is declared, as the payload's schema says."""
    return files_above is not None and files_above < max_body_bytes


@dataclass(frozen=True, slots=True)
class DecodedBody:
    """What came: `value` is plain JSON.

    json: the value. form and multipart: an object; a field that came several times has a list, a part without a name
    is "". text: a string.
    bytes: {"base64", "size", "content_type"}. empty: null. `files` are those of a multipart form. `large` are the bytes
    of large uploads, by their place among `files`, or None for the body itself.
    """

    kind: BodyKind
    value: Any
    content_type: str
    files: tuple[UploadedFile, ...] = ()
    large: Mapping[int | None, bytes | bytearray] = field(default_factory=dict)

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
        raise BodyRejected(415, f"the content type {cut(media_type, 100)} is not taken here; {wanted}")
    fields: list[tuple[str, str]] = []
    files: list[UploadedFile] = []
    large: dict[int | None, bytes | bytearray] = {}
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
                    if limits.is_large(len(part.data)):
                        large[len(files)] = part.data
                    files.append(_file(part, len(files) in large))
                else:
                    text = _text(bytes(part.data), part.charset or declared, f"field {cut(part.name, 100)!a}")
                    fields.append((part.name, text))
            value = _grouped(fields)
        case "text":
            value = _text(body, charset, "text")
        case _:
            if limits.is_large(len(body)):
                large[None] = body
            encoded = None if large else base64.b64encode(body).decode()
            value = {"base64": encoded, "size": len(body), "content_type": media_type}
    return DecodedBody(kind, value, media_type, tuple(files), large)


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
        raise BodyRejected(415, f"the content encoding {cut(name, 40)!a} is not taken; send gzip, deflate or none")
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


def _file(part: Part, large: bool) -> UploadedFile:
    return UploadedFile(
        field=part.name,
        filename=part.filename or "",
        content_type=part.content_type or "application/octet-stream",
        size=len(part.data),
        base64=None if large else base64.b64encode(part.data).decode(),
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
        raise BodyRejected(400, f"the {what} is not {cut(charset or 'UTF-8', 40)} at byte {at}{hint}") from None
