"""Fields from schemas, and values from what was typed."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from aicflow_forms.fields import fields_of, read_form, typed_from
from aicflow_forms.pages import Page, form_page
from aicflow_forms.schemas import misfits, problem_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"day": {"type": "string", "format": "date", "title": "Day"}},
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "note": {"type": "string", "maxLength": 1_000},
        "day": {"$ref": "#/$defs/day"},
        "size": {"enum": [1, 2, None, "L"]},
        "kind": {"oneOf": [{"const": "a", "title": "First"}, {"const": "b"}]},
        "tags": {"type": "array", "items": {"enum": ["x", "y", "z"]}},
        "ok": {"type": "boolean", "default": True},
        "home": {
            "type": "object",
            "properties": {"city/town": {"type": "string"}, "number": {"type": "integer"}},
            "required": ["city/town"],
        },
        "parts": {"type": "array", "items": {"type": "object"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["name"],
}


def test_each_kind_of_schema_has_its_field() -> None:
    found = {one.name: (one.kind, one.label) for one in fields_of(SCHEMA)}
    assert found == {
        "name": ("text", "Name"),
        "note": ("area", "Note"),
        "day": ("text", "Day"),
        "size": ("choice", "Size"),
        "kind": ("choice", "Kind"),
        "tags": ("choices", "Tags"),
        "ok": ("flag", "Ok"),
        "home": ("group", "Home"),
        "parts": ("json", "Parts"),
        "either": ("json", "Either"),
    }
    assert typed_from(fields_of(SCHEMA)) == {"ok": ["true"]}


def test_what_is_typed_becomes_a_value() -> None:
    typed = {
        "name": ["Ann"],
        "note": ["a\r\nb"],
        "day": ["2027-01-31"],
        "size": ["2"],
        "kind": ["b"],
        "tags": ["x", "z"],
        "home/city~1town": ["Lisbon"],
        "home/number": ["-7"],
        "parts": ['[{"a": 1.5}]'],
        "either": ["12"],
    }
    value, errors = read_form(fields_of(SCHEMA), typed)
    assert errors == {}
    assert value == {
        "name": "Ann",
        "note": "a\nb",
        "day": "2027-01-31",
        "size": 2,
        "kind": "b",
        "tags": ["x", "z"],
        "ok": False,
        "home": {"city/town": "Lisbon", "number": -7},
        "parts": [{"a": 1.5}],
        "either": 12,
    }
    assert misfits(SCHEMA, value) == []


def test_what_is_left_empty_is_absent() -> None:
    value, errors = read_form(fields_of(SCHEMA), {"name": [" "], "note": [""]})
    assert value == {"tags": [], "ok": False}
    assert errors == {"/name": "This is required."}


@pytest.mark.parametrize("text", ["", "12", "twelve", "1e400", "--1", "0x10", "１２", "1" * 50, "NaN"])
def test_numbers(text: str) -> None:
    fields = fields_of({"type": "object", "properties": {"n": {"type": "number"}}})
    value, errors = read_form(fields, {"n": [text]})
    assert (value == {"n": 12}) is (text == "12")
    assert bool(errors) is (text not in ("", "12"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "array"}},
        {"type": "object"},
        {},
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(101)}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    ],
)
def test_what_is_unusual_is_written_as_json(schema: dict[str, Any]) -> None:
    (field,) = fields_of(schema)
    assert (field.kind, field.name, field.pointer) == ("json", "answer", "")
    assert read_form([field], {"answer": ['{"a": [1]}']}) == ({"a": [1]}, {})
    assert read_form([field], {"answer": ["[" * 5_000]})[1].keys() == {""}


def test_an_answer_may_be_one_value() -> None:
    (field,) = fields_of({"type": "integer", "title": "How many?"})
    assert (field.label, read_form([field], {"answer": ["3"]})) == ("How many?", (3, {}))


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ([], "object"),
        ({"type": "strin"}, "no JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.com/s"}}}, "#/$defs/"),
        ({"$id": "https://example.com/s"}, "$id"),
        ({"title": "x" * 70_000}, "larger"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "no JSON Schema"),
    ],
)
def test_schemas_that_make_no_form(schema: Any, told: str) -> None:
    assert told in (problem_with(schema) or "")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.names |= {name for name, _ in attrs}


OURS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "div", "label", "input", "textarea"),
    *("select", "option", "fieldset", "legend", "button", "ul", "li", "a"),
}
HOSTILE = st.sampled_from(
    ["<script>", '"><img src=x onerror=alert(1)>', "'", "&lt;", "</textarea><b>", "</style>", "a"]
)
PART = st.fixed_dictionaries(
    {"title": HOSTILE, "description": HOSTILE},
    optional={
        "enum": st.lists(HOSTILE, min_size=1, max_size=7, unique=True),
        "type": st.sampled_from(["string", "object"]),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(HOSTILE, PART, max_size=4), HOSTILE, st.dictionaries(HOSTILE, HOSTILE, max_size=3))
def test_whatever_a_schema_says_stays_text(parts: dict[str, Any], text: str, typed: dict[str, str]) -> None:
    fields = fields_of({"type": "object", "properties": parts})
    errors = {one.pointer: text for one in fields}
    page = Page(text, fields, text, text, (text,), text, {key: [value] for key, value in typed.items()}, errors)
    tags = Tags()
    tags.feed(bytes(form_page(page).body).decode())
    assert tags.seen <= OURS
    assert not {name for name in tags.names if name.startswith("on") or name in ("src", "style")}
