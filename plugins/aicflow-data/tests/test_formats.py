"""CSV, XML, HTML, Markdown and templates, read and written; chance and the clock."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from aicflow import PermanentError
from aicflow.testing import RecordingContext, run_node
from aicflow_data.chance import Now, Random, Uuid
from aicflow_data.formats import FormatCsv, FormatXml, ParseCsv, ParseHtml, ParseXml
from aicflow_data.text import Markdown, Render


async def run(cls: Any, **params: Any) -> Any:
    return await run_node(cls, params)


async def test_csv_is_read_with_types() -> None:
    text = '\ufeffname;n;ok\r\n"a;""b""";1;yes\r\n\r\nc;;false\r\nd\r\n'
    output = await run(ParseCsv, text=text, delimiter=";", types={"n": "integer", "ok": "boolean"})
    assert output["rows"] == [
        {"name": 'a;"b"', "n": 1, "ok": True},
        {"name": "c", "n": None, "ok": False},
        {"name": "d", "n": None, "ok": None},
    ]
    assert output["columns"] == ["name", "n", "ok"]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("a,b\n1,2,3\n", {}, "Line 2 has 3 fields, and there are 2 columns"),
        ("a\nx\n", {"types": {"a": "number"}}, "Line 2: a is 'x', which is not of type number"),
        ("a\nnan\n", {"types": {"a": "number"}}, "not of type number"),
        ('a\n"open\n', {}, "is not CSV"),
        ("a,a\n1,2\n", {}, "Two columns are called 'a'"),
        ("a\n1_000\n", {"types": {"a": "integer"}}, "Line 2: a is '1_000', which is not of type integer"),
        ("a\n1_000\n", {"types": {"a": "number"}}, "Line 2: a is '1_000', which is not of type number"),
        ("a;b\n1;2\n", {"types": {"b": "integer"}}, "The text has no column 'b'"),
    ],
)
async def test_csv_that_is_wrong_names_the_line(text: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        await run(ParseCsv, text=text, **more)


async def test_a_cut_field_shows_no_part_of_a_secret() -> None:
    ctx = RecordingContext(secrets={"TOKEN": "tok-" + "s" * 40})
    text = "a\n" + "x" * 60 + "tok-" + "s" * 40 + "\n"
    with pytest.raises(PermanentError) as error:
        await run_node(ParseCsv, {"text": text, "types": {"a": "number"}}, context=ctx)
    assert "tok-" not in error.value.message


async def test_csv_without_a_header_has_numbered_columns() -> None:
    assert (await run(ParseCsv, text="1,2\n", header=False))["rows"] == [{"column_1": "1", "column_2": "2"}]
    assert (await run(ParseCsv, text=""))["rows"] == []


async def test_csv_is_written_so_that_spreadsheets_run_nothing() -> None:
    rows = [{"a": "=1+1", "b": -1}, {"a": None, "c": True}]
    assert (await run(FormatCsv, rows=rows))["text"] == "a,b,c\r\n'=1+1,-1,\r\n,,true\r\n"
    assert (await run(FormatCsv, rows=rows, columns=["a"], formulas=True))["text"] == 'a\r\n=1+1\r\n""\r\n'
    with pytest.raises(PermanentError, match="Row 0, a: a field cannot hold an array"):
        await run(FormatCsv, rows=[{"a": [1]}])


async def test_what_is_written_reads_back() -> None:
    rows = [{"a": 'x,"y"\nz', "b": "ü"}, {"a": " ", "b": ""}]
    text = (await run(FormatCsv, rows=rows))["text"]
    assert (await run(ParseCsv, text=text))["rows"] == rows


async def test_xml_is_read_and_written() -> None:
    text = "<feed n='1'><item>a</item></feed>"
    output = await run(ParseXml, text=text, lists=["item"])
    assert output["value"] == {"feed": {"@n": "1", "item": ["a"]}}
    written = (await run(FormatXml, value=output["value"]))["text"]
    assert (await run(ParseXml, text=written, lists=["item"])) == output


@pytest.mark.parametrize(
    "text",
    ["<a>", "no xml", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&x;</a>'],
)
async def test_xml_that_is_broken_or_defines_entities_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="is not XML"):
        await run(ParseXml, text=text)


HTML = (
    "<table><tr><td><a href='/1'>One <b>1</b></a></td><td class=p>9</td></tr><tr><td>Two</td></tr></table>"
    "<script>x</script>"
)


async def test_html_is_picked_apart_by_selectors() -> None:
    fields = {"name": "td", "link": {"select": "a", "take": "attribute", "attribute": "href"}, "price": ".p"}
    assert (await run(ParseHtml, html=HTML, rows="tr", fields=fields))["rows"] == [
        {"name": "One 1", "link": "/1", "price": "9"},
        {"name": "Two", "link": None, "price": None},
    ]
    whole = await run(
        ParseHtml, html=HTML, fields={"cells": {"select": "td", "all": True}, "b": {"select": "b", "take": "html"}}
    )
    assert whole["rows"] == [{"cells": ["One 1", "9", "Two"], "b": "<b>1</b>"}]
    with pytest.raises(PermanentError, match="is not a CSS selector"):
        await run(ParseHtml, html=HTML, fields={"a": "td["})


async def test_markdown_lets_no_script_through() -> None:
    output = await run(Markdown, text="# A\n\n| a |\n|---|\n| ~~b~~ |\n\n<script>x</script> [l](javascript:x)")
    assert "<h1>A</h1>" in output["html"]
    assert "<s>b</s>" in output["html"]
    assert "<script>" not in output["html"]
    assert "href" not in output["html"]
    assert "<i>" in (await run(Markdown, text="<i>x</i>", html=True))["html"]


async def test_a_template_is_filled_in() -> None:
    template = "{% for row in rows %}{{ row.name }}: {{ row.n | plus: 1 }}\n{% endfor %}"
    assert (await run(Render, template=template, values={"rows": [{"name": "a&b", "n": 1}]}))["text"] == "a&b: 2\n"
    escaped = await run(Render, template="{{ x }}", values={"x": "<b>"}, escape="html")
    assert escaped["text"] == "&lt;b&gt;"


@pytest.mark.parametrize(
    "template",
    ["{{ missing }}", "{% for i in (1..9000000) %}x{% endfor %}", "{% include 'a' %}", "{% if %}", "{{ x | nope }}"],
)
async def test_a_template_that_fails_says_why(template: str) -> None:
    with pytest.raises(PermanentError, match="The template failed"):
        await run(Render, template=template)


def test_a_template_that_cannot_be_read_is_found_before_it_runs() -> None:
    assert [issue.pointer for issue in Render.check({"template": "{% if %}"})] == ["/template"]
    assert Render.check({"template": "{{ a }}"}) == ()


async def test_the_clock_and_chance() -> None:
    now = await run(Now, zone="Europe/Amsterdam")
    assert now["instant"].startswith(now["date"])
    with pytest.raises(PermanentError, match="no time zone 'Mars'"):
        await run(Now, zone="Mars")
    assert uuid.UUID((await run(Uuid))["uuid"]).version == 4
    named = await run(Uuid, version=5, name="https://example.com/a")
    assert named == {"uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, "https://example.com/a"))}
    assert (await run(Random, minimum=3, maximum=3, count=2))["values"] == [3, 3]
    assert sorted((await run(Random, items=[1, 2, 3], count=3))["values"]) == [1, 2, 3]
    with pytest.raises(PermanentError, match="3 items to choose 4"):
        await run(Random, items=[1, 2, 3], count=4)


async def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    many = f"<table>{'<tr><td>a<td>é' * 20_000}</table>"
    rows = (await run(ParseHtml, html=many, rows="tr", fields={"last": "td + td"}))["rows"]
    assert (len(rows), rows[0]) == (20_000, {"last": "é"})
    with pytest.raises(PermanentError) as bad:
        await run(ParseHtml, html=many, fields={"a": "td["})
    assert (bad.value.code, bad.value.pointer) == ("bad-selector", "/fields/a")
    monkeypatch.setattr("aicflow_data.formats._HTML_SECONDS", 1.5)
    with pytest.raises(PermanentError, match=r"within 1\.5 s") as slow:
        await run(ParseHtml, html="<div>" * 1_000_000, fields={"a": "a"})
    assert slow.value.code == "html-too-slow"
