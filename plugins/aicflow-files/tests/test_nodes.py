"""The nodes over files: tables, text, PDF, ZIP; what hostile files do; that the event loop stays free."""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aicflow import File, PermanentError
from aicflow.testing import RecordingContext, run_node
from aicflow_files.archives import Unzip, Zip
from aicflow_files.documents import Read, ReadPdf, Write
from aicflow_files.rows import ConvertRows, ReadRows, SplitRows, WriteRows
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


async def kept(ctx: RecordingContext, content: bytes, name: str = "in.csv", type: str = "text/csv") -> dict[str, Any]:
    return (await ctx.files.write(content, name=name, type=type)).model_dump()


async def content_of(ctx: RecordingContext, file: dict[str, Any]) -> bytes:
    return b"".join([chunk async for chunk in ctx.files.read(File.model_validate(file))])


async def test_rows_are_read_by_pages() -> None:
    ctx = RecordingContext()
    file = await kept(ctx, b"n\n" + b"".join(b"%d\n" % n for n in range(1_300)))
    first = await run_node(ReadRows, {"file": file, "max_rows": 1_000, "types": {"n": "integer"}}, context=ctx)
    assert (first["rows"][-1], first["has_more"], first["columns"]) == ({"n": 999}, True, ["n"])
    rest = await run_node(ReadRows, {"file": file, "max_rows": 1_000, "skip": 1_000}, context=ctx)
    assert (len(rest["rows"]), rest["rows"][0], rest["has_more"]) == (300, {"n": "1000"}, False)


async def test_too_many_rows_are_not_dropped_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicflow_files.rows._MOST_ROWS", 600)
    ctx = RecordingContext()
    file = await kept(ctx, b"n\n" + b"1\n" * 601)
    with pytest.raises(PermanentError, match="more than 600 rows") as error:
        await run_node(ReadRows, {"file": file}, context=ctx)
    assert error.value.code == "too-many-rows"


async def test_a_cut_field_shows_no_part_of_a_secret() -> None:
    ctx = RecordingContext(secrets={"TOKEN": "tok-" + "s" * 40})
    file = await kept(ctx, ("a\n" + "x" * 60 + "tok-" + "s" * 40 + "\n").encode())
    with pytest.raises(PermanentError) as error:
        await run_node(ReadRows, {"file": file, "types": {"a": "number"}}, context=ctx)
    assert "tok-" not in error.value.message


async def test_rows_become_a_workbook_and_come_back() -> None:
    ctx = RecordingContext()
    rows = [{"a": 1, "b": "x"}, {"b": "y", "c": True}, [2, "z", False]]
    made = await run_node(WriteRows, {"rows": rows, "format": "xlsx", "name": "r.xlsx"}, context=ctx)
    assert (made["rows"], made["columns"]) == (3, ["a", "b", "c"])
    assert made["file"]["name"] == "r.xlsx"
    assert made["file"]["type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    back = await run_node(ReadRows, {"file": made["file"]}, context=ctx)
    assert back["rows"] == [
        {"a": 1, "b": "x", "c": None},
        {"a": None, "b": "y", "c": True},
        {"a": 2, "b": "z", "c": False},
    ]


async def test_a_table_is_transformed_from_csv_to_excel_and_back() -> None:
    ctx = RecordingContext()
    content = b"id;n;price\n" + b"".join(b"%d;%d;1.5\n" % (n, n % 5) for n in range(2_000))
    params = {
        "file": await kept(ctx, content, "orders.csv"),
        "types": {"n": "integer", "price": "number"},
        "where": "item.n > 1",
        "select": {"Order": "item.id", "Total": "item.n * item.price"},
        "format": "xlsx",
    }
    made = await run_node(ConvertRows, params, context=ctx)
    assert (made["rows"], made["dropped"], made["columns"]) == (1_200, 800, ["Order", "Total"])
    assert made["file"]["name"] == "orders.xlsx"
    params = {"file": made["file"], "format": "csv", "write_delimiter": "\t", "select": ["Total", "Order"]}
    back = await run_node(ConvertRows, params, context=ctx)
    lines = (await content_of(ctx, back["file"])).decode().splitlines()
    assert lines[:2] == ["Total\tOrder", "3\t2"]
    assert len(lines) == 1_201


async def test_a_table_is_split_for_a_map() -> None:
    ctx = RecordingContext()
    content = b"id,text\r\n" + b"".join(b"%d,=x%d\r\n" % (n, n) for n in range(1_100))
    params = {"file": await kept(ctx, content, "big.csv"), "rows_per_file": 400}
    split = await run_node(SplitRows, params, context=ctx)
    assert [(chunk["rows"], chunk["first_row"]) for chunk in split["chunks"]] == [(400, 1), (400, 401), (300, 801)]
    assert [chunk["file"]["name"] for chunk in split["chunks"]] == ["big-0001.csv", "big-0002.csv", "big-0003.csv"]
    parts = [await content_of(ctx, chunk["file"]) for chunk in split["chunks"]]
    assert b"id,text\r\n" + b"".join(part.removeprefix(b"id,text\r\n") for part in parts) == content
    with pytest.raises(PermanentError, match="more than 2 files"):
        await run_node(SplitRows, {**params, "max_files": 2}, context=ctx)
    empty = await run_node(SplitRows, {"file": await kept(ctx, b"a,b\n")}, context=ctx)
    assert empty == {"chunks": [], "columns": ["a", "b"], "rows": 0}


def test_expressions_are_checked_before_anything_runs() -> None:
    issues = ConvertRows.check({"where": "item.", "select": {"a/b": "item.x +"}})
    assert [(issue.severity, issue.pointer) for issue in issues] == [("error", "/where"), ("error", "/select/a~1b")]


async def test_the_event_loop_stays_free_and_a_cancel_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ctx = RecordingContext()
    file = await kept(ctx, b"a,b,c\n" + b"some text,more of it,and a number 12345\n" * 100_000)

    def left() -> list[Path]:
        return list(tmp_path.glob("aicflow-table-*"))

    task = asyncio.create_task(run_node(ConvertRows, {"file": file, "format": "xlsx"}, context=ctx))
    ticks = 0
    while ticks < 50:
        await asyncio.sleep(0.01)
        ticks += 1
    assert not task.done()
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 2  # what the product promises of a cancel
    for _ in range(200):
        if not left():
            break
        await asyncio.sleep(0.02)
    assert not left()


async def test_text_and_bytes_are_written_and_read() -> None:
    ctx = RecordingContext()
    made = await run_node(Write, {"text": "é\n", "name": "a.md", "encoding": "utf-16"}, context=ctx)
    assert (made["file"]["type"], made["file"]["size"]) == ("text/markdown", 6)
    assert (await run_node(Read, {"file": made["file"]}, context=ctx)) == {"content": "é\n", "encoding": "utf-16"}
    made = await run_node(Write, {"base64": "AAE=", "name": "x.bin"}, context=ctx)
    assert (await run_node(Read, {"file": made["file"], "as": "base64"}, context=ctx))["content"] == "AAE="
    for params, code in (
        ({"file": made["file"], "max_bytes": 1}, "too-large"),
        ({"file": await kept(ctx, b"ok\n\xff")}, "bad-encoding"),
        ({"file": await kept(ctx, b"ok"), "encoding": "no-such"}, "bad-encoding"),
    ):
        with pytest.raises(PermanentError) as error:
            await run_node(Read, params, context=ctx)
        assert error.value.code == code
    with pytest.raises(PermanentError) as error:
        await run_node(Write, {"base64": "?", "name": "x"}, context=ctx)
    assert error.value.code == "bad-base64"


def pdf(*texts: str, password: str | None = None, stream: bytes | None = None) -> bytes:
    writer = PdfWriter()
    font = DictionaryObject(
        {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
         NameObject("/BaseFont"): NameObject("/Helvetica")}
    )  # fmt: skip
    for text in texts:
        page = writer.add_blank_page(300, 300)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})}
        )
        content = DecodedStreamObject()
        content.set_data(stream or f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content.flate_encode())
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


async def test_the_text_of_a_pdf() -> None:
    ctx = RecordingContext()
    file = await kept(ctx, pdf("Hello", "World", ""), "a.pdf", "application/pdf")
    output = await run_node(ReadPdf, {"file": file}, context=ctx)
    assert output["page_count"] == 3
    assert [(page["page"], page["text"].strip()) for page in output["pages"]] == [(1, "Hello"), (2, "World"), (3, "")]
    output = await run_node(ReadPdf, {"file": file, "pages": [2]}, context=ctx)
    assert output["text"].strip() == "World"
    locked = await kept(ctx, pdf("Secret", password="pw"), "b.pdf", "application/pdf")
    assert "Secret" in (await run_node(ReadPdf, {"file": locked, "password": "pw"}, context=ctx))["text"]


@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        (b"not a pdf", {}, "bad-pdf"),
        (pdf("x")[:200], {}, "bad-pdf"),
        (pdf("x", password="pw"), {}, "pdf-password"),
        (pdf("x", password="pw"), {"password": "no"}, "pdf-password"),
        (pdf("a", "b", "c"), {"max_pages": 2}, "too-large"),
        (pdf("abcdef"), {"max_characters": 3}, "too-large"),
        (pdf("x", stream=b"BT /F1 12 Tf " + b"(a) Tj " * 1_000_000 + b"ET"), {"seconds": 1}, "too-large"),
    ],
    ids=["text", "cut", "locked", "wrong password", "pages", "characters", "bomb"],
)
async def test_a_pdf_that_cannot_be_read_ends_the_step(content: bytes, more: dict[str, Any], code: str) -> None:
    ctx = RecordingContext()
    file = await kept(ctx, content, "a.pdf", "application/pdf")
    with pytest.raises(PermanentError) as error:
        await run_node(ReadPdf, {"file": file, **more}, context=ctx)
    assert error.value.code == code


async def test_files_are_packed_and_unpacked() -> None:
    ctx = RecordingContext()
    files = [await kept(ctx, b"x" * 3_000_000, "a.txt"), await kept(ctx, b"2", "a.txt"), await kept(ctx, b"3", "b.csv")]
    made = await run_node(Zip, {"files": files, "name": "all.zip"}, context=ctx)
    again = await run_node(Zip, {"files": files, "name": "all.zip"}, context=ctx)
    assert made == again, "equal files make equal archives"
    content = await content_of(ctx, made["file"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["a.txt", "a (2).txt", "b.csv"]
        assert archive.testzip() is None
    output = await run_node(Unzip, {"file": made["file"], "pattern": "*.txt"}, context=ctx)
    assert [entry["path"] for entry in output["entries"]] == ["a.txt", "a (2).txt"]
    assert await content_of(ctx, output["entries"][1]["file"]) == b"2"


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members:
            # without the time of day: pytest names a test by its content, the same in each of its processes
            made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def lying(content: bytes) -> bytes:
    """The archive's directory says that the file is small."""
    size = (2_000_000).to_bytes(4, "little")
    assert content.count(size) == 2
    return content.replace(size, (10).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        (b"no archive", {}, "bad-zip"),
        (archive(("a", b"x" * 1_000))[:-30], {}, "bad-zip"),
        (archive(("../evil", b"x")), {}, "bad-name"),
        (archive(("/etc/passwd", b"x")), {}, "bad-name"),
        (archive(("..\\evil", b"x")), {}, "bad-name"),
        (archive(("C:\\evil", b"x")), {}, "bad-name"),
        (archive(("bomb", b"\0" * 2_000_000)), {"max_bytes": 1_000_000}, "too-large"),
        (lying(archive(("bomb", b"\0" * 2_000_000))), {"max_bytes": 1_000_000}, "bad-zip"),
        (archive(*((str(n), b"") for n in range(11))), {"max_files": 10}, "too-large"),
    ],
)
async def test_an_archive_that_is_hostile_ends_the_step(content: bytes, more: dict[str, Any], code: str) -> None:
    ctx = RecordingContext()
    file = await kept(ctx, content, "a.zip", "application/zip")
    with pytest.raises(PermanentError) as error:
        await run_node(Unzip, {"file": file, **more}, context=ctx)
    assert error.value.code == code


async def test_names_in_an_archive_do_not_lead_out_of_it() -> None:
    ctx = RecordingContext()
    with pytest.raises(PermanentError) as error:
        await run_node(Zip, {"files": [await kept(ctx, b"x")], "names": ["../x"]}, context=ctx)
    assert (error.value.code, error.value.pointer) == ("bad-name", "/names/0")
