"""Rows into CSV and XLSX."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from aicflow import PermanentError, cut, json_type

from aicflow_files.encodings import known_encoding
from aicflow_files.tables import Row, Tally
from aicflow_files.temporary import temporary_folder

_PIECE: Final = 1 << 20
_MOST_COLUMNS: Final = 16_384  # of a sheet
_MOST_ROWS: Final = 1_048_576  # of a sheet, its header included
_MOST_TEXT: Final = 32_767  # characters of a cell


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
    encoder = codecs.getincrementalencoder(known_encoding(encoding))()
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
        f"Row {row}, {cut(name, 100)}: a field cannot hold an {json_type(value)}.",
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
                f"Row {row}, {cut(name, 100)}: a cell holds at most {_MOST_TEXT} characters, not {len(value)}.",
                code="bad-rows",
            )
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict | list):
        raise _not_a_cell(value, name, row)
    if type(value) is int and abs(value) >= 2**53:
        return str(value)  # a spreadsheet would round it
    return value
