"""Reading documents: what JSON and YAML become, and where their parts stand."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from aicflow.host.documents import Limits, read_document, read_json
from aicflow.kernel.errors import DocumentUnreadable
from aicflow.kernel.values import pointer
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def walk(value: Any, at: str = "") -> Any:
    yield at, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from walk(item, at + pointer(key))


@given(JSON, st.sampled_from([None, 1, 2]))
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_it_was_written_and_every_part_has_its_place(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=indent == 1)
    document = read_document(text.encode(), "json")
    assert document.value == value
    lines = text.split("\n")
    for at, part in walk(value):
        place = document.position(at)
        assert place is not None
        rest = "\n".join([lines[place[0] - 1][place[1] - 1 :], *lines[place[0] :]])
        found, _ = json.JSONDecoder().raw_decode(rest)
        assert found == part


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_bytes_become_a_value_or_an_error_and_nothing_else(data: bytes) -> None:
    for kind in ("json", "yaml"):
        with contextlib.suppress(DocumentUnreadable):
            json.dumps(read_document(data, kind).value, allow_nan=False)  # type: ignore[arg-type]


@given(JSON)
@settings(max_examples=100, deadline=None)
def test_json_in_flow_style_means_the_same_in_yaml(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=True)
    if "\\ud" in text or "\\u007f" in text or len(text) > 1000:
        return  # YAML has no surrogate pairs as escapes
    assert read_document(text.encode(), "yaml").value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}), ("a: true", {"a": True}), ("a: ~", {"a": None}), ("a:", {"a": None}),
        ("a: 012", {"a": 12}), ("a: 0o14", {"a": 12}), ("a: 0xff", {"a": 255}), ("a: 1e3", {"a": 1000.0}),
        ("a: 1_000", {"a": "1_000"}), ("a: 12:30", {"a": "12:30"}), ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: !!str 5", {"a": "5"}), ("a: !!float 5", {"a": 5.0}), ("true: 1", {"true": 1}), ("5: 1", {"5": 1}),
        ("a: '5'", {"a": "5"}), ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("- &a {b: 1}\n- *a", [{"b": 1}, {"b": 1}]),
    ],
)  # fmt: skip
def test_yaml_has_json_types_only(text: str, value: Any) -> None:
    found = read_document(text.encode(), "yaml").value
    assert found == value
    assert json.dumps(found) == json.dumps(value)


def test_an_alias_is_a_copy() -> None:
    first, second = read_document(b"- &a {b: []}\n- *a", "yaml").value
    first["b"].append(1)
    assert second == {"b": []}


def test_places_in_yaml() -> None:
    text = "name: x\nnodes:\n  - id: a\n    params: {url: 'u', 'b/c': 1}\n"
    document = read_document(text.encode(), "yaml")
    assert document.position("/nodes/0/params/url") == (4, 19)
    assert document.position("/nodes/0/params/b~1c") == (4, 31)
    assert document.position("/nodes/0/type") == (3, 5), "of the nearest parent"
    assert document.position("") == (1, 1)


def test_limits_hold_also_for_what_aliases_make() -> None:
    limits = Limits(max_bytes=1000, max_depth=10, max_values=50)
    chain = b"a: &a [[[[1]]]]\nb: &b [[[[*a]]]]\nc: [[[[*b]]]]\n"
    with pytest.raises(DocumentUnreadable, match="deeper than 10"):
        read_document(chain, "yaml", limits)
    with pytest.raises(DocumentUnreadable, match="too many values or too much text"):
        read_document(b"a: &a [1,2,3,4,5,6,7,8,9]\nb: [*a,*a,*a,*a,*a]\n", "yaml", limits)
    with pytest.raises(DocumentUnreadable, match="too many values or too much text"):
        read_document(b"a: &a " + b"x" * 300 + b"\nb: [*a,*a,*a,*a,*a]\n", "yaml", limits)
    with pytest.raises(DocumentUnreadable, match="1,000 are accepted"):
        read_json(b" " * 1001, limits)
    assert read_json(b"[" * 10 + b"]" * 10, limits)
    with pytest.raises(DocumentUnreadable, match="deeper than 10"):
        read_json(b"[" * 11 + b"1" + b"]" * 11, limits)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    for kind in ("json", "yaml"):
        assert read_document(b'\xef\xbb\xbf{"a": 1}', kind).value == {"a": 1}  # type: ignore[arg-type]
