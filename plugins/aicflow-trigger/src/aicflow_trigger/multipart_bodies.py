"""multipart/form-data: fields as text, files as base64 with what their sender said of them."""

import base64
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

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
class _Part:
    headers: dict[str, str] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    data: bytearray = field(default_factory=bytearray)


class _Collector:
    """Receives the parser's callbacks and keeps whole parts."""

    def __init__(self, max_parts: int) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._max_parts = max_parts

    def begin(self) -> None:
        if len(self.parts) >= self._max_parts:
            raise BodyRejected(413, f"the form has more than {self._max_parts} parts")
        self.parts.append(_Part())

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


def decode_multipart(boundary: str, body: bytes, max_parts: int) -> tuple[list[tuple[str, str]], list[UploadedFile]]:
    """The form's fields in order, and its files. Errors: `BodyRejected` (400, 413)."""
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
    fields: list[tuple[str, str]] = []
    files: list[UploadedFile] = []
    for number, part in enumerate(collector.parts, 1):
        _read_part(part, number, fields, files)
    return fields, files


def _read_part(part: _Part, number: int, fields: list[tuple[str, str]], files: list[UploadedFile]) -> None:
    kind, options = parse_options_header(part.headers.get("content-disposition"))
    if kind != b"form-data" or b"name" not in options:
        raise BodyRejected(400, f"part {number} of the form has no Content-Disposition: form-data with a name")
    if part.headers.get("content-transfer-encoding", "binary").lower() not in ("7bit", "8bit", "binary"):
        raise BodyRejected(400, f"part {number} of the form uses a Content-Transfer-Encoding; send it as it is")
    name = _text(options[b"name"], f"the name of part {number}")
    if b"filename" not in options:
        fields.append((name, _text(bytes(part.data), f"the field {name[:100]!a}")))
        return
    files.append(
        UploadedFile(
            field=name,
            filename=_text(options[b"filename"], f"the file name of part {number}"),
            content_type=part.headers.get("content-type", "application/octet-stream"),
            size=len(part.data),
            base64=base64.b64encode(part.data).decode(),
        )
    )


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BodyRejected(400, f"{what} is not UTF-8") from None
