"""Tables as streams: rows out of CSV and XLSX, and back into them. Works on open binary files, a batch at a time, so
that a table may be larger than the memory; knows no event loop and no node."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import IO, Any, Final, Literal

from aicflow import PermanentError, json_type
from aicflow_language.expr import EvaluationError, ExpressionError, compile_expression

from aicflow_files.temporary import temporary_folder

type Format = Literal["csv", "xlsx"]
type Type = Literal["string", "integer", "number", "boolean"]
type Row = dict[str, Any]
type Batches = Iterator[list[Row]]

BATCH: Final = 500
"""Rows that are worked on at a time: few enough for the limits of one expression."""
_PIECE: Final = 1 << 20
_MOST_FIELD: Final = 16 << 20
_MOST_UNPACKED: Final = 4 << 30  # bytes of all parts of a workbook together
_MOST_STRINGS: Final = 256 << 20  # of its table of texts, which is kept in memory
_MOST_PARTS: Final = 10_000
_MOST_COLUMNS: Final = 16_384  # of a sheet
_MOST_ROWS: Final = 1_048_576  # of a sheet, its header included
_MOST_TEXT: Final = 32_767  # characters of a cell
_DELIMITERS: Final = ",;\t|"
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written. `encoding` and `delimiter` may be `auto`. `columns`: names in place of the header's.
    `sheet`: a name, or a number from 1."""

    encoding: str = "auto"
    delimiter: str = "auto"
    quote: str = '"'
    header: bool = True
    columns: Sequence[str] | None = None
    types: Mapping[str, Type] = field(default_factory=dict)
    sheet: str | int = 1


@dataclass(slots=True)
class Tally:
    """What is known when the last row has gone by: how many were read, dropped and written, and the columns."""

    read: int = 0
    dropped: int = 0
    written: int = 0
    columns: list[str] = field(default_factory=list)


# reading


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
            "The file is a workbook of the old .xls format, or one with a password.",
            code="bad-xlsx",
            hint="Save it as .xlsx without a password.",
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
    text = io.TextIOWrapper(file, _known(encoding), errors="strict", newline="")
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


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise PermanentError(
            f"There is no encoding {encoding[:40]!r}.",
            code="bad-encoding",
            pointer="/encoding",
            hint="Write it like utf-8, windows-1252 or iso-8859-15.",
        ) from None


def detected_encoding(file: IO[bytes]) -> str:
    """What the byte order mark says; without one UTF-16 by its zeros, else UTF-8. Nothing further is guessed: a wrong
    guess would change texts silently."""
    start = file.read(4_096)
    file.seek(0)
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(start) >= 4 and max(even, odd) > len(start) * 0.3:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def undecodable(file: IO[bytes], encoding: str) -> PermanentError:
    """The error that says where a file is not in its encoding."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = consumed = 0
    try:
        while piece := file.read(_PIECE):
            consumed += len(piece)
            lines += decoder.decode(piece).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, "ignore").count("\n")
        where = f"line {lines + before + 1} (byte {consumed - len(error.object) + error.start + 1})"
    except UnicodeError:
        where = "its beginning"
    else:
        where = "some place"
    hint = "Set 'encoding': files of older programs are often windows-1252."
    return PermanentError(f"The file is not {encoding} at {where}.", code="bad-encoding", hint=hint)


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
            why = " ".join(str(error).split())[:200] or type(error).__name__
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
            f"{where}: two columns are called {twice[:100]!r}.",
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
            f"The table has no column {unknown[:100]!r}.",
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
                    raise PermanentError(
                        f"{where}: {name[:100]} is {redact(str(row[name]))[:80]!r}, which is not of type {wanted}.",
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
    if wanted == "integer":
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return int(text) if text.lstrip("+-").isdigit() else number


# between


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of each row: `where` decides over `item`, `select` names the columns to keep, or the new ones by
    an expression over `item`."""

    where: str | None = None
    select: Sequence[str] | Mapping[str, str] | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)

    def source(self) -> str:
        """The expression that makes a list of rows of another one."""
        row = "item"
        if isinstance(self.select, Mapping):
            fields = ", ".join(f"{json.dumps(name)}: ({text}\n)" for name, text in self.select.items())
            row = f"{{{fields}}}"
        condition = f" if ({self.where}\n)" if self.where is not None else ""
        return f"[{row} for item in input{condition}]"


def transformed(columns: list[str], batches: Batches, recipe: Recipe, tally: Tally) -> tuple[list[str], Batches]:
    """The columns and rows that the recipe makes. Raises PermanentError."""
    select = recipe.select
    if select is not None and not isinstance(select, Mapping):
        for name in select:
            if name not in columns:
                raise PermanentError(
                    f"The table has no column {name[:100]!r}.",
                    code="bad-csv",
                    pointer="/select",
                    hint=f"Its columns are: {', '.join(map(repr, columns[:50]))}.",
                )
    wanted = columns if select is None else list(select)
    tally.columns = wanted
    if recipe.where is None and not isinstance(select, Mapping):
        return wanted, batches if select is None else _picked(batches, wanted)
    try:
        evaluate = compile_expression(recipe.source()).evaluate
    except ExpressionError as error:
        raise _in_expression(error, recipe) from None
    return wanted, _evaluated(batches, recipe, evaluate, tally, wanted)


def _picked(batches: Batches, wanted: Sequence[str]) -> Batches:
    for rows in batches:
        yield [{name: row[name] for name in wanted} for row in rows]


def _evaluated(
    batches: Batches, recipe: Recipe, evaluate: Callable[[dict[str, Any]], Any], tally: Tally, wanted: Sequence[str]
) -> Batches:
    names = None if isinstance(recipe.select, Mapping) or recipe.select is None else wanted
    for rows in batches:
        try:
            kept = evaluate({"input": rows, "vars": recipe.vars})
        except EvaluationError as error:
            raise _in_expression(error, recipe, _failing(rows, recipe, evaluate, tally)) from None
        tally.dropped += len(rows) - len(kept)
        yield kept if names is None else [{name: row[name] for name in names} for row in kept]


def _failing(rows: list[Row], recipe: Recipe, evaluate: Callable[[dict[str, Any]], Any], tally: Tally) -> int | None:
    """The number of the first row, from 1, that cannot be worked on."""
    for position, row in enumerate(rows):
        try:
            evaluate({"input": [row], "vars": recipe.vars})
        except EvaluationError:
            return tally.read - len(rows) + position + 1
    return None


def _in_expression(error: ExpressionError | EvaluationError, recipe: Recipe, row: int | None = None) -> PermanentError:
    at = f"Data row {row}: " if row is not None else ""
    pointer = "/where" if not isinstance(recipe.select, Mapping) else None if recipe.where else "/select"
    return PermanentError(f"{at}{error.message}", code="bad-expression", pointer=pointer, hint=error.hint)


# writing


def csv_pieces(
    columns: Sequence[str],
    batches: Iterable[list[Row]],
    tally: Tally,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    header: bool = True,
    formulas: bool = False,
) -> Iterator[bytes]:
    """The table as CSV, in pieces of some size. Raises PermanentError (`bad-rows`, `bad-encoding`)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    encoder = codecs.getincrementalencoder(_known(encoding))()
    if header and columns:
        writer.writerow([_field(name, name, 0, formulas) for name in columns])
    for rows in batches:
        for number, row in enumerate(rows, tally.written + 1):
            writer.writerow([_field(row.get(name), name, number, formulas) for name in columns])
        tally.written += len(rows)
        yield _encoded(encoder, out, encoding, tally) if out.tell() >= _PIECE else b""
    yield _encoded(encoder, out, encoding, tally)


def _encoded(encoder: codecs.IncrementalEncoder, out: io.StringIO, encoding: str, tally: Tally) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    try:
        return encoder.encode(text)
    except UnicodeEncodeError as error:
        raise PermanentError(
            f"{error.object[error.start]!r}, in a row up to {tally.written}, cannot be written in {encoding}.",
            code="bad-encoding",
            pointer="/encoding",
            hint="Use utf-8.",
        ) from None


def _field(value: Any, name: str, row: int, formulas: bool) -> str:
    if type(value) is str:
        # what spreadsheets run: https://owasp.org/www-community/attacks/CSV_Injection
        if formulas or value[:1] not in _FORMULA or _NUMBER.fullmatch(value):
            return value
        return "'" + value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise _not_a_cell(value, name, row)
    return str(value)


_FORMULA: Final = frozenset("=+-@\t\r")
_NUMBER: Final = re.compile(r"[+-]?\d{1,30}([.,]\d{1,30})?([eE][+-]?\d{1,3})?")


def _not_a_cell(value: Any, name: str, row: int) -> PermanentError:
    return PermanentError(
        f"Row {row}, {name[:100]}: a field cannot hold an {json_type(value)}.",
        code="bad-rows",
        hint="Take the parts that you need into columns of their own.",
    )


def xlsx_pieces(
    columns: Sequence[str],
    batches: Iterable[list[Row]],
    tally: Tally,
    *,
    sheet: str = "Sheet1",
    header: bool = True,
    formulas: bool = False,
) -> Iterator[bytes]:
    """The table as a workbook. Rows go to a temporary folder first, so nothing but empty pieces comes until the last
    row was taken; a table longer than a sheet goes on in the next one. Raises PermanentError (`bad-rows`)."""
    from xlsxwriter import Workbook  # type: ignore[import-untyped]
    from xlsxwriter.exceptions import XlsxWriterException  # type: ignore[import-untyped]

    if len(columns) > _MOST_COLUMNS:
        raise PermanentError(f"A sheet has at most {_MOST_COLUMNS} columns, not {len(columns)}.", code="bad-rows")
    with temporary_folder() as folder:
        target = folder / "book.xlsx"
        options = {
            "constant_memory": True, "tmpdir": str(folder), "strings_to_formulas": formulas, "strings_to_urls": False,
            "strings_to_numbers": False,
        }  # fmt: skip
        book = Workbook(str(target), options)
        try:
            page, line, sheets = None, _MOST_ROWS, 0
            for rows in batches:
                for row in rows:
                    if line == _MOST_ROWS:
                        sheets += 1
                        page, line = book.add_worksheet(sheet if sheets == 1 else f"{sheet[:25]} ({sheets})"), 0
                        if header:
                            page.write_row(0, 0, [_xlsx_cell(name, name, 0) for name in columns])
                            line = 1
                    tally.written += 1
                    assert page is not None
                    text = page.write if formulas else page.write_string
                    for column, name in enumerate(columns):
                        value = row.get(name)
                        if value is not None:
                            cell = _xlsx_cell(value, name, tally.written)
                            (text if type(cell) is str else page.write)(line, column, cell)
                    line += 1
                yield b""
            if page is None:
                page = book.add_worksheet(sheet)
                if header:
                    page.write_row(0, 0, [_xlsx_cell(name, name, 0) for name in columns])
            book.close()
        except XlsxWriterException as error:
            raise PermanentError(f"The workbook cannot be written: {error}.", code="bad-rows") from None
        finally:
            _let_go(book)
        with open(target, "rb") as made:
            while piece := made.read(_PIECE):
                yield piece


def _let_go(book: Any) -> None:
    """Close the temporary files of a workbook that was left half-way; it would write itself when it is collected."""
    book.fileclosed = 1
    for page in book.worksheets():
        for handle in (getattr(page, "row_data_fh", None), getattr(page, "fh", None)):
            if handle is not None and not handle.closed:
                handle.close()


def _xlsx_cell(value: Any, name: str, row: int) -> Any:
    if type(value) is str:
        if len(value) > _MOST_TEXT:
            raise PermanentError(
                f"Row {row}, {name[:100]}: a cell holds at most {_MOST_TEXT} characters, not {len(value)}.",
                code="bad-rows",
            )
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict | list):
        raise _not_a_cell(value, name, row)
    if type(value) is int and abs(value) >= 2**53:
        return str(value)  # a spreadsheet would round it
    return value
