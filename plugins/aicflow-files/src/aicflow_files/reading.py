"""Rows out of CSV and XLSX."""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import IO, Any, Final

from aicflow import PermanentError, cut

from aicflow_files.encodings import detected_encoding, known_encoding, undecodable
from aicflow_files.tables import BATCH, Batches, Layout, Tally, Type

_MOST_FIELD: Final = 16 << 20
_MOST_UNPACKED: Final = 4 << 30  # bytes of all parts of a workbook together
_MOST_STRINGS: Final = 256 << 20  # of its table of texts, which is kept in memory
_MOST_PARTS: Final = 10_000
_DELIMITERS: Final = ",;\t|"


def read_table(
    file: IO[bytes], layout: Layout, tally: Tally, *, redact: Callable[[str], str] = str
) -> tuple[list[str], Batches]:
    """The columns and the rows. Raises PermanentError at once or while rows are taken; `redact` cleans what messages
    quote."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"PK\x03\x04"):
        lines = _sheet_rows(file, layout)
    elif start.startswith(b"\xd0\xcf\x11\xe0"):
        raise PermanentError(
            "The file is a workbook of the old .xls format, or one with a password; neither can be read.",
            code="bad-xlsx",
            hint="Save it as .xlsx without a password; many files at once: soffice --headless --convert-to xlsx *.xls",
        )
    else:
        lines = _csv_rows(file, layout)
    columns, numbered = _with_columns(lines, layout)
    tally.columns = columns
    return columns, _typed(numbered, columns, layout.types, tally, redact)


type Lines = Iterator[tuple[str, list[Any]]]
"""Where a row stands (`Line 7`), and its fields."""


def _csv_rows(file: IO[bytes], layout: Layout) -> Lines:
    encoding = layout.encoding if layout.encoding != "auto" else detected_encoding(file)
    text = io.TextIOWrapper(file, known_encoding(encoding), errors="strict", newline="")
    try:
        delimiter = layout.delimiter
        if delimiter == "auto":
            start = text.read(65_536)
            delimiter = _guessed_delimiter(start, layout.quote)
            text.seek(0)
        csv.field_size_limit(_MOST_FIELD)
        reader = csv.reader(text, delimiter=delimiter, quotechar=layout.quote, strict=True)
        try:
            for fields in reader:
                if fields:
                    yield f"Line {reader.line_num}", fields
        except csv.Error as error:
            raise PermanentError(f"Line {reader.line_num} is not CSV: {error}.", code="bad-csv") from None
    except UnicodeError:
        with suppress(ValueError):
            text.detach()
        raise undecodable(file, encoding) from None
    finally:
        with suppress(ValueError):
            text.detach()  # the file is its opener's to close


def _guessed_delimiter(start: str, quote: str) -> str:
    """The one that stands most often in the first line, outside of quotes; a comma when there is none."""
    first = next((line for line in start.splitlines() if line.strip()), "")
    bare = re.sub(f"{re.escape(quote)}.*?(?:{re.escape(quote)}|$)", "", first)
    return max(_DELIMITERS, key=bare.count) if any(mark in bare for mark in _DELIMITERS) else ","


def _sheet_rows(file: IO[bytes], layout: Layout) -> Lines:
    from openpyxl import load_workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

    _check_parts(file)
    with _broken_workbook():
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    try:
        names = book.sheetnames
        wanted = layout.sheet
        if isinstance(wanted, int):
            wanted = names[wanted - 1] if 0 < wanted <= len(names) else f"number {wanted}"
        if wanted not in names or not isinstance(sheet := book[wanted], ReadOnlyWorksheet):
            raise PermanentError(
                f"The workbook has no sheet {wanted!r}.",
                code="bad-xlsx",
                pointer="/sheet",
                hint=f"Its sheets are: {', '.join(map(repr, names[:20]))}.",
            )
        with _broken_workbook():
            sheet.reset_dimensions()  # what the file claims may be anything
        rows = sheet.iter_rows(values_only=True)
        number = 0
        while True:
            with _broken_workbook():
                cells = next(rows, None)
            if cells is None:
                return
            number += 1
            values = [_cell(value) for value in cells]
            while values and values[-1] is None:
                values.pop()
            if values:
                yield f"Row {number}", values
    finally:
        book.close()


class _broken_workbook:
    """Says in one way what openpyxl raises in many."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, PermanentError | MemoryError):
            why = cut(" ".join(str(error).split()), 200) or type(error).__name__
            raise PermanentError(f"The file is not a workbook that can be read: {why}.", code="bad-xlsx") from None


def _check_parts(file: IO[bytes]) -> None:
    """Refuse what would unpack to more than is sensible. Sizes that the archive lies about are found when it is read:
    no part is unpacked beyond what its entry says."""
    with _broken_workbook(), zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    file.seek(0)
    size = sum(part.file_size for part in parts)
    texts = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
    if len(parts) > _MOST_PARTS or size > _MOST_UNPACKED or texts > _MOST_STRINGS:
        raise PermanentError(
            f"The workbook unpacks to {size} bytes in {len(parts)} parts, {texts} of them texts; at the most "
            f"{_MOST_UNPACKED} in {_MOST_PARTS} and {_MOST_STRINGS} of texts are read.",
            code="too-large",
        )


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if value.time() != time() else value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, str | bool | int):
        return None if value == "" else value
    if isinstance(value, float):
        return (int(value) if value.is_integer() and abs(value) < 2**53 else value) if math.isfinite(value) else None
    return str(value)


def _with_columns(lines: Lines, layout: Layout) -> tuple[list[str], Lines]:
    first = next(lines, None)
    if first is None:
        return list(layout.columns or []), lines
    where, fields = first
    if layout.header:
        names = [
            f"column_{number}" if field is None or field == "" else str(field) for number, field in enumerate(fields, 1)
        ]
        rest = lines
    else:
        names = [f"column_{number}" for number in range(1, len(fields) + 1)]
        rest = _chained(first, lines)
    columns = list(layout.columns) if layout.columns is not None else names
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise PermanentError(
            f"{where}: two columns are called {cut(twice, 100)!r}.",
            code="bad-csv",
            hint="Give their names with `columns`.",
        )
    return columns, rest


def _chained(first: tuple[str, list[Any]], rest: Lines) -> Lines:
    yield first
    yield from rest


def _typed(
    lines: Lines, columns: Sequence[str], types: Mapping[str, Type], tally: Tally, redact: Callable[[str], str]
) -> Batches:
    for unknown in types.keys() - set(columns):
        raise PermanentError(
            f"The table has no column {cut(unknown, 100)!r}.",
            code="bad-csv",
            pointer="/types",
            hint=f"Its columns are: {', '.join(map(repr, columns[:50]))}.",
        )
    converted = [(name, types[name]) for name in columns if name in types]
    width = len(columns)
    while batch := list(islice(lines, BATCH)):
        rows = []
        for where, fields in batch:
            if len(fields) > width:
                raise PermanentError(
                    f"{where} has {len(fields)} fields, and there are {width} columns.",
                    code="bad-csv",
                    hint="Is the delimiter right, and is text with the delimiter in it quoted?",
                )
            if len(fields) < width:
                fields = [*fields, *[None] * (width - len(fields))]
            row = dict(zip(columns, fields, strict=True))
            for name, wanted in converted:
                try:
                    row[name] = _converted(row[name], wanted)
                except (ValueError, KeyError):
                    told = cut(redact(str(row[name])), 80)
                    raise PermanentError(
                        f"{where}: {cut(name, 100)} is {told!r}, which is not of type {wanted}.",
                        code="bad-csv",
                    ) from None
            rows.append(row)
        tally.read += len(rows)
        yield rows


_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _converted(value: Any, wanted: Type) -> Any:
    if wanted == "string":
        return value if value is None or isinstance(value, str) else str(value)
    text = "" if value is None else str(value).strip()
    if not text:
        return None
    if wanted == "boolean":
        return _TRUTH[text.lower()]
    if "_" in text:  # Python reads 1_000 as a number; other programs do not
        raise ValueError(text)
    if wanted == "integer":
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return int(text) if text.lstrip("+-").isdigit() else number
