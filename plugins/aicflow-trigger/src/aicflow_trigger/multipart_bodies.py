"""multipart/form-data: its parts, and what their senders say of them."""

from contextlib import suppress
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

from aicflow import decode_text

from aicflow_trigger.errors import BodyRejected

_MAX_HEADERS = 8
_MAX_HEADER = 4_096


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of a form: the field it came in, its name and type as claimed by the sender, its bytes in base64."""

    field: str
    filename: str
    content_type: str
    size: int
    base64: str


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
