"""Webhook paths: what can be written, which URL goes where, and which patterns clash."""

import re

import pytest
from aicflow_trigger.errors import PathPatternError
from aicflow_trigger.paths import PathPattern, PathTable, conflicts, example_of_both, split_path
from hypothesis import given, settings
from hypothesis import strategies as st


def pattern(text: str) -> PathPattern:
    return PathPattern.parse(text)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("orders", "orders"),
        ("/orders/", "orders"),
        ("orders/{customer}/items", "orders/{customer}/items"),
        ("/a.b/~c/d-e_f/@g/h:i;j=1,2/", "a.b/~c/d-e_f/@g/h:i;j=1,2"),
        ("{a}/{b}", "{a}/{b}"),
    ],
)
def test_slashes_at_the_ends_do_not_matter(written: str, normal: str) -> None:
    assert str(pattern(written)) == normal
    assert pattern(normal) == pattern(written)


@pytest.mark.parametrize(
    ("written", "position", "message"),
    [
        ("", 0, "empty segment"),
        ("/", 1, "empty segment"),
        ("a//b", 2, "empty segment"),
        ("a/../b", 2, "not a segment"),
        ("a/./b", 2, "not a segment"),
        ("a/{b", 2, "whole segment"),
        ("a/x{b}", 2, "whole segment"),
        ("a/{b}{c}", 2, "whole segment"),
        ("a/{}", 2, "whole segment"),
        ("a/{B}", 2, "lower-case"),
        ("a/{b:path}", 2, "whole segment"),
        ("{a}/{a}", 4, "duplicate parameter a"),
        ("a/b c", 3, "is not allowed"),
        ("a?b", 1, "is not allowed"),
        ("a%20b", 1, "is not allowed"),
        ("a\\b", 1, "is not allowed"),
        ("café", 3, "is not allowed"),
        ("x" * 513, 512, "longer than 512"),
        ("/".join("x" * 33), 0, "more than 32"),
    ],
)
def test_patterns_that_are_refused_say_where(written: str, position: int, message: str) -> None:
    with pytest.raises(PathPatternError, match=re.escape(message)) as caught:
        pattern(written)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("written", "path", "parameters"),
    [
        ("orders", "/orders", {}),
        ("orders", "orders/", {}),
        ("orders", "Orders", None),
        ("orders", "orders/1", None),
        ("orders/{id}", "orders/42", {"id": "42"}),
        ("orders/{id}", "orders/", None),
        ("orders/{id}", "orders//", None),
        ("orders/{id}", "orders/a%2Fb", {"id": "a/b"}),
        ("orders/{id}", "orders/caf%C3%A9", {"id": "café"}),
        ("orders/{id}", "orders/a+b", {"id": "a+b"}),
        ("orders/{id}", "orders/%E9", None),
        ("orders/{id}", "orders/%zz", None),
        ("orders/{id}", "orders/%", None),
        ("orders/{id}", "orders/..", None),
        ("orders/{id}", "orders/%2e%2e", None),
        ("orders/{id}", "orders/a%0Ab", None),
        ("orders/{id}", "orders/a%00b", None),
        ("orders", "%6frders", {}),
        ("{a}/x/{b}", "1/x/2", {"a": "1", "b": "2"}),
    ],
)
def test_which_urls_match(written: str, path: str, parameters: dict[str, str] | None) -> None:
    assert pattern(written).match(path) == parameters
    table: PathTable[str] = PathTable()
    table.add(pattern(written), "here")
    assert table.find(path) == (None if parameters is None else ("here", parameters))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("orders/{a}", "orders/{b}", "orders/x"),
        ("orders/{a}", "orders/new", "orders/new"),
        ("{a}/new", "orders/{b}", "orders/new"),
        ("orders", "orders", "orders"),
        ("orders", "Orders", None),
        ("orders/{a}", "orders/{a}/items", None),
        ("a/{x}/c", "a/b/d", None),
    ],
)
def test_two_patterns_clash_when_one_url_would_match_both(one: str, other: str, both: str | None) -> None:
    assert example_of_both(pattern(one), pattern(other)) == both
    assert conflicts(pattern(other), pattern(one)) == (both is not None)
    if both is not None:
        assert pattern(one).match(both) is not None
        assert pattern(other).match(both) is not None


def test_the_specific_is_served_before_the_parameter() -> None:
    table: PathTable[str] = PathTable()
    for text in ("{any}/{thing}", "orders/{id}", "orders/new", "{any}/new", "orders/{id}/items", "{any}/{thing}/bills"):
        table.add(pattern(text), text)
    assert table.find("orders/new") == ("orders/new", {})
    assert table.find("orders/7") == ("orders/{id}", {"id": "7"})
    assert table.find("users/new") == ("{any}/new", {"any": "users"})
    assert table.find("users/7") == ("{any}/{thing}", {"any": "users", "thing": "7"})
    # The literal branch `orders/new` ends early, so the walk turns back.
    assert table.find("orders/new/items") == ("orders/{id}/items", {"id": "new"})
    assert table.find("orders/new/bills") == ("{any}/{thing}/bills", {"any": "orders", "thing": "new"})
    assert table.find("orders") is None


def test_one_shape_has_one_owner_and_can_be_handed_on() -> None:
    table: PathTable[int] = PathTable()
    table.add(pattern("orders/{id}"), 1)
    with pytest.raises(PathPatternError, match=r"'orders/\{id\}' already takes the same URLs"):
        table.add(pattern("orders/{number}"), 2)
    assert table.remove(pattern("orders/{number}")) == 1
    assert table.remove(pattern("orders/{number}")) is None
    assert table.remove(pattern("never/added/here")) is None
    table.add(pattern("orders/{number}"), 2)
    assert table.find("orders/9") == (2, {"number": "9"})
    assert [(str(added), value) for added, value in table] == [("orders/{number}", 2)]
    assert len(table) == 1
    table.remove(pattern("orders/{number}"))
    assert list(table) == []


SEGMENT = st.sampled_from(["a", "b", "c", None])
SHAPES = st.lists(st.lists(SEGMENT, min_size=1, max_size=4).map(tuple), max_size=12, unique=True)


def _text(shape: tuple[str | None, ...]) -> str:
    return "/".join(f"{{p{at}}}" if part is None else part for at, part in enumerate(shape))


@settings(max_examples=150, deadline=None)
@given(SHAPES, st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), st.data())
def test_the_table_finds_what_trying_every_pattern_finds(
    shapes: list[tuple[str | None, ...]], segments: list[str], data: st.DataObject
) -> None:
    table: PathTable[str] = PathTable()
    for shape in shapes:
        table.add(pattern(_text(shape)), _text(shape))
    removed = set(data.draw(st.lists(st.sampled_from(shapes), unique=True))) if shapes else set()
    for shape in removed:
        assert table.remove(pattern(_text(shape))) == _text(shape)
    path = "/".join(segments)
    left = [pattern(_text(shape)) for shape in shapes if shape not in removed]
    matching = [candidate for candidate in left if candidate.match(path) is not None]
    # A literal sorts before a parameter, from the left.
    matching.sort(key=lambda candidate: [part is None for part in candidate.segments])
    found = table.find(path)
    assert found == ((str(matching[0]), matching[0].match(path)) if matching else None)
    assert len(table) == len(left)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern_or_a_pattern_error_and_any_path_is_calmly_read(written: str, path: str) -> None:
    split_path(path)
    try:
        read = pattern(written)
    except PathPatternError:
        return
    read.match(path)
    assert pattern(str(read)) == read
