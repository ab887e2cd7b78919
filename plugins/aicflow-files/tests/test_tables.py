"""Tables as streams: CSV and workbooks read, transformed and written; what is broken is told with its place."""

from __future__ import annotations

import datetime
import io
import resource
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from aicflow import PermanentError
from aicflow_files import reading, writing
from aicflow_files.encodings import detected_encoding
from aicflow_files.reading import read_table
from aicflow_files.tables import Layout, Tally
from aicflow_files.temporary import remove_left, temporary_folder
from aicflow_files.transforming import Recipe, transformed
from aicflow_files.writing import csv_pieces, xlsx_pieces


def read(content: bytes, recipe: Recipe | None = None, **layout: Any) -> list[dict[str, Any]]:
    tally = Tally()
    columns, batches = read_table(io.BytesIO(content), Layout(**layout), tally)
    if recipe is not None:
        columns, batches = transformed(columns, batches, recipe, tally)
    return [row for batch in batches for row in batch]


def workbook(*rows: list[Any], sheet: str = "Sheet") -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def changed(content: bytes, part_name: str, change: Any) -> bytes:
    """The workbook with one of its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            data = old.read(part)
            new.writestr(part, change(data) if part.filename.endswith(part_name) else data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'\xef\xbb\xbfname;n\r\n"a;""b""";1\r\n\r\nc\r\n', [{"name": 'a;"b"', "n": "1"}, {"name": "c", "n": None}]),
        ("a\tb\nž\t2\n".encode("utf-16"), [{"a": "ž", "b": "2"}]),
        ("a,b\n1,2\n".encode("utf-16-le"), [{"a": "1", "b": "2"}]),
        (b'a,b\n"two\nlines",x\n', [{"a": "two\nlines", "b": "x"}]),
        (b'"x;y",b\n1,2\n', [{"x;y": "1", "b": "2"}]),
        (b"one\n1\n", [{"one": "1"}]),
        (b"", []),
    ],
)
def test_csv_is_read_as_its_content_says(content: bytes, rows: list[dict[str, Any]]) -> None:
    assert read(content) == rows


def test_csv_in_an_older_encoding_is_read_when_it_is_named() -> None:
    content = "naam;prijs\ncafé;€ 5\n".encode("windows-1252")
    assert read(content, encoding="windows-1252") == [{"naam": "café", "prijs": "€ 5"}]
    with pytest.raises(PermanentError, match=r"not utf-8 at line 2 \(byte 15\)") as error:
        read(content)
    assert error.value.code == "bad-encoding"
    assert "windows-1252" in (error.value.hint or "")
    with pytest.raises(PermanentError, match="There is no encoding 'klingon'"):
        read(content, encoding="klingon")


def test_the_place_of_a_wrong_byte_is_found_far_into_a_file() -> None:
    content = b"a\n" + b"x" * 99 + b"\n" + b"ok\n" * 500_000 + b"bad \xff here\n"
    with pytest.raises(PermanentError, match=r"line 500003 \(byte 1500107\)"):
        read(content)


def test_types_header_and_columns() -> None:
    content = b"1,yes,2.50\n2,no,\n"
    layout: dict[str, Any] = {"header": False, "columns": ["n", "ok", "price"]}
    types = {"n": "integer", "ok": "boolean", "price": "number"}
    assert read(content, **layout, types=types) == [
        {"n": 1, "ok": True, "price": 2.5},
        {"n": 2, "ok": False, "price": None},
    ]
    assert read(content, header=False)[0] == {"column_1": "1", "column_2": "yes", "column_3": "2.50"}


@pytest.mark.parametrize(
    ("content", "more", "message", "code"),
    [
        (b"a,b\n1,2,3\n", {}, "Line 2 has 3 fields, and there are 2 columns", "bad-csv"),
        (b"a\n1\nx\n", {"types": {"a": "number"}}, "Line 3: a is 'x', which is not of type number", "bad-csv"),
        (b"a\n1_000\n", {"types": {"a": "integer"}}, "Line 2: a is '1_000', which is not of type integer", "bad-csv"),
        (b"a\nnan\n", {"types": {"a": "number"}}, "not of type number", "bad-csv"),
        (b"a\n1\n", {"types": {"b": "number"}}, "no column 'b'", "bad-csv"),
        (b'a\n"open\n', {}, "is not CSV", "bad-csv"),
        (b"a,a\n1,2\n", {}, "Line 1: two columns are called 'a'", "bad-csv"),
        (b"PK\x03\x04 nothing", {}, "not a workbook that can be read", "bad-xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {}, "old .xls format", "bad-xlsx"),
        (workbook(["a"]), {"sheet": "May"}, "no sheet 'May'", "bad-xlsx"),
        (workbook(["a"]), {"sheet": 2}, "no sheet 'number 2'", "bad-xlsx"),
        (workbook(["n"], [1], ["x"]), {"types": {"n": "integer"}}, "Row 3: n is 'x'", "bad-csv"),
        (workbook(["a"], [1], [1, 2]), {}, "Row 3 has 2 fields", "bad-csv"),
        (workbook(["a"], [1])[:-60], {}, "not a workbook that can be read", "bad-xlsx"),
        (changed(workbook(["a"], [1]), "sheet1.xml", lambda data: data[:200]), {}, "not a workbook", "bad-xlsx"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(content: bytes, more: dict[str, Any], message: str, code: str) -> None:
    with pytest.raises(PermanentError, match=message) as error:
        read(content, **more)
    assert error.value.code == code


def test_a_sheet_is_read_with_the_types_of_its_cells() -> None:
    content = workbook(
        ["id", None, "when", "share", "ok", "note"],
        [1, "x", datetime.datetime(2026, 1, 31), 0.5, True, None],
        [],
        [2.0, None, datetime.datetime(2026, 1, 31, 12, 30), datetime.timedelta(hours=1), False, "=1+1"],
        sheet="Data",
    )
    assert read(content, sheet="Data") == [
        {"id": 1, "column_2": "x", "when": "2026-01-31", "share": 0.5, "ok": True, "note": None},
        {"id": 2, "column_2": None, "when": "2026-01-31T12:30:00", "share": 3600, "ok": False, "note": None},
    ]


def test_a_workbook_that_claims_to_be_huge_is_read_for_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(reading, "_cell", lambda value: seen.append(value) or value)

    def claim(data: bytes) -> bytes:
        assert b'ref="A1:B2"' in data
        return data.replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"')

    assert read(changed(workbook(["a", "b"], [1, 2]), "sheet1.xml", claim)) == [{"a": 1, "b": 2}]
    assert seen == ["a", "b", 1, 2]  # not 16,384 cells a row


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = changed(workbook(["a"]), "styles.xml", lambda data: data + b" " * 2_000_000)
    assert len(bomb) < 20_000
    monkeypatch.setattr(reading, "_MOST_UNPACKED", 1_000_000)
    with pytest.raises(PermanentError, match="unpacks to") as error:
        read(bomb)
    assert error.value.code == "too-large"


@pytest.mark.parametrize("part", ["sheet1.xml", "workbook.xml", "styles.xml"])
def test_a_workbook_with_entities_is_refused(part: str) -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(PermanentError, match="not a workbook that can be read"):
        read(changed(workbook(["a", "b"]), part, lambda data: laughs + data))


def test_rows_are_filtered_renamed_and_worked_out() -> None:
    content = b"id,who,n,price\n" + b"".join(b"%d,w%d,%d,0.5\n" % (i, i, i % 3) for i in range(1_200))
    types = {"n": "integer", "price": "number"}
    select = {"Order": "item.id", "total": "item.n * item.price * vars.rate"}
    rows = read(content, Recipe("item.n > 0", select, {"rate": 2}), types=types)
    assert len(rows) == 800
    assert rows[:2] == [{"Order": "1", "total": 1.0}, {"Order": "2", "total": 2.0}]
    assert read(content, Recipe(select=["price", "id"]))[0] == {"price": "0.5", "id": "0"}
    assert read(content, Recipe("item.id == '7'", ["who"])) == [{"who": "w7"}]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe("item.n > 5"), "Data row 601: "),
        (Recipe(select={"x": "item.nope"}), "Data row 1: "),
        (Recipe("item."), "expression|name"),
        (Recipe(select=["x"]), "no column 'x'"),
    ],
)
def test_an_expression_that_fails_names_the_row(recipe: Recipe, message: str) -> None:
    content = b"n,m\n" + b"7,1\n" * 600 + b",1\n" + b"7,1\n" * 10
    with pytest.raises(PermanentError, match=message):
        read(content, recipe, types={"n": "integer"})


def rows_of(count: int) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, count, 500):
        yield [{"id": number, "text": f"row {number}"} for number in range(start, min(start + 500, count))]


def test_csv_is_written_so_that_spreadsheets_run_nothing() -> None:
    rows = [{"a": "=1+1", "b": -1}, {"a": "-1.5", "b": True}, {"a": "-x", "b": None}, {"a": "+31 6", "b": 0.5}]
    out = b"".join(csv_pieces(["a", "b"], [rows], Tally()))
    assert out == b"a,b\r\n'=1+1,-1\r\n-1.5,true\r\n'-x,\r\n'+31 6,0.5\r\n"
    assert b"\r\n=1+1," in b"".join(csv_pieces(["a", "b"], [rows], Tally(), formulas=True))
    utf16 = b"".join(csv_pieces(["a"], [[{"a": "ž"}]], Tally(), encoding="utf-16"))
    assert utf16.decode("utf-16") == "a\r\nž\r\n"
    assert detected_encoding(io.BytesIO(utf16)) == "utf-16"
    with pytest.raises(PermanentError, match="cannot be written in latin-1") as error:
        list(csv_pieces(["a"], [[{"a": "€"}]], Tally(), encoding="latin-1"))
    assert error.value.code == "bad-encoding"


def test_a_workbook_is_written_and_read_back() -> None:
    rows: list[dict[str, Any]] = [
        {"a": "=1+1", "b": -1, "c": True},
        {"a": None, "b": 2**60, "c": "é"},
        {"a": "https://x.example", "b": 0.5, "c": "12"},
    ]
    tally = Tally()
    out = b"".join(xlsx_pieces(["a", "b", "c"], [rows], tally, sheet="May"))
    assert tally.written == 3
    rows[1]["b"] = str(2**60)  # a spreadsheet would round it
    assert read(out, sheet="May") == rows
    assert openpyxl.load_workbook(io.BytesIO(out))["May"]["A2"].data_type in ("s", "inlineStr")
    formula = b"".join(xlsx_pieces(["a"], [[{"a": "=1+1"}]], Tally(), formulas=True))
    assert openpyxl.load_workbook(io.BytesIO(formula))["Sheet1"]["A2"].data_type == "f"
    assert read(b"".join(xlsx_pieces(["a"], [], Tally()))) == []


@pytest.mark.parametrize("value", [[1], {"x": 1}])
def test_a_field_that_is_no_field_names_its_row(value: Any) -> None:
    for pieces in (csv_pieces, xlsx_pieces):
        with pytest.raises(PermanentError, match=r"Row 2, b: a field cannot hold an (array|object)") as error:
            list(pieces(["b"], [[{"b": 1}, {"b": value}]], Tally()))
        assert error.value.code == "bad-rows"
    with pytest.raises(PermanentError, match="at most 32767 characters"):
        list(xlsx_pieces(["b"], [[{"b": "x" * 40_000}]], Tally()))


def test_a_table_that_is_longer_than_a_sheet_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MOST_ROWS", 1_001)
    out = b"".join(xlsx_pieces(["id", "text"], rows_of(2_500), Tally()))
    book = openpyxl.load_workbook(io.BytesIO(out), read_only=True)
    assert book.sheetnames == ["Sheet1", "Sheet1 (2)", "Sheet1 (3)"]
    book.close()
    assert len(read(out, sheet=2)) == 1_000
    assert read(out, sheet=3)[-1] == {"id": 2_499, "text": "row 2499"}


def test_a_workbook_that_is_left_half_way_leaves_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pieces = xlsx_pieces(["id", "text"], rows_of(5_000), Tally())
    next(pieces)
    assert list(tmp_path.iterdir())
    pieces.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from aicflow_files.temporary import temporary_folder\n"
        "with temporary_folder() as folder: print(folder, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.is_dir()
    with temporary_folder() as used:
        remove_left()
        assert left.is_dir(), "it may be younger than its lock"
        remove_left(older=-60)
        assert (left.exists(), used.exists()) == (False, True)
    assert not used.exists()


def test_the_memory_does_not_grow_with_the_table() -> None:
    lines = [b"id,text,n\n", *(b"%d,some text of a few words %d,%d\n" % (n, n, n % 7) for n in range(60_000))]
    tally = Tally()
    columns, batches = read_table(io.BytesIO(b"".join(lines)), Layout(types={"n": "integer"}), tally)
    columns, batches = transformed(columns, batches, Recipe("item.n < 6"), tally)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(map(len, xlsx_pieces(columns, batches, tally)))
    assert tally.read == 60_000
    assert tally.dropped == 60_000 // 7
    assert size > 500_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 15_000  # kB; the rows would be 25 MB
