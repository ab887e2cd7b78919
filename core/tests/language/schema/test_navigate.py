"""Stepping into schemas: is it there, what is it, and how is it called in a message?"""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.language.schema import (
    ANYTHING,
    NOTHING,
    Presence,
    SchemaValidator,
    SchemaView,
    Verdict,
    check,
    compatible,
    describe,
    element,
    field_values,
    is_nullable,
    items_of,
    kinds,
    list_of,
    literal,
    object_of,
    step,
    union,
    without_null,
)

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "total": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "note": {"type": "string"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "parent": {"$ref": "#"},
    },
    "required": ["id", "total", "lines"],
    "additionalProperties": False,
    "$defs": {
        "Line": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["sku"],
        }
    },
}


def view(schema: Any) -> SchemaView:
    assert check(schema) == []
    return SchemaView.of(schema)


def test_a_required_field_is_always_there_and_an_optional_one_maybe() -> None:
    order = view(ORDER)
    assert step(order, "id").presence is Presence.ALWAYS
    assert describe(step(order, "id").view) == "integer"
    assert step(order, "note").presence is Presence.MAYBE
    assert step(order, "id").nullable is False


def test_a_field_that_a_closed_object_does_not_have_is_never_there_and_the_names_it_has_are_told() -> None:
    found = step(view(ORDER), "totl")
    assert found.presence is Presence.NEVER
    assert found.closed
    assert found.known == ("id", "total", "note", "lines", "parent")
    assert describe(found.view) == "nothing"


def test_an_open_object_does_not_tell_of_other_fields() -> None:
    line = element(step(view(ORDER), "lines").view)
    assert line is not None
    found = step(line, "price")
    assert (found.presence, found.closed, found.known) == (Presence.UNKNOWN, False, ("sku", "count"))
    assert found.view is ANYTHING


def test_references_are_followed_also_into_themselves() -> None:
    order = view(ORDER)
    for _ in range(5):
        order = step(order, "parent").view
    assert describe(step(order, "total").view) == "number or null"


def test_a_container_that_may_be_null_says_so() -> None:
    found = step(view({"anyOf": [ORDER["$defs"]["Line"], {"type": "null"}]}), "sku")
    assert found.presence is Presence.ALWAYS
    assert found.nullable
    assert found.wrong_kinds == frozenset()


def test_a_value_that_has_no_fields_says_what_it_is() -> None:
    found = step(view({"type": ["integer", "string", "null"]}), "name")
    assert found.presence is Presence.NEVER
    assert found.wrong_kinds == {"integer", "string"}
    assert found.nullable


def test_alternatives_are_looked_at_together() -> None:
    card = {
        "type": "object",
        "properties": {"kind": {"const": "card"}, "pan": {"type": "string"}},
        "required": ["kind", "pan"],
        "additionalProperties": False,
    }
    cash = {
        "type": "object",
        "properties": {"kind": {"const": "cash"}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    payment = view({"oneOf": [card, cash]})
    assert step(payment, "kind").presence is Presence.ALWAYS
    assert describe(step(payment, "kind").view) == '"card" or "cash"'
    assert step(payment, "pan").presence is Presence.MAYBE
    assert step(payment, "pin").presence is Presence.NEVER
    assert step(payment, "pin").known == ("kind", "pan")


def test_all_of_adds_up() -> None:
    both = view(
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"type": "object", "properties": {"a": {"minimum": 3}, "b": True}},
            ]
        }
    )
    found = step(both, "a")
    assert found.presence is Presence.ALWAYS
    assert compatible(found.view, {"type": "integer", "minimum": 3}).verdict is Verdict.YES
    assert step(both, "b").presence is Presence.MAYBE


def test_a_map_may_have_any_field() -> None:
    found = step(view({"type": "object", "additionalProperties": {"type": "integer"}}), "x")
    assert found.presence is Presence.MAYBE
    assert describe(found.view) == "integer"
    values = field_values(view(ORDER["$defs"]["Line"] | {"additionalProperties": {"type": "boolean"}}))
    assert values is not None
    assert kinds(values) == {"string", "integer", "boolean"}


def test_items_of_lists_by_position() -> None:
    pair = view(
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 1}
    )
    assert [step(pair, index).presence for index in (0, 1, 2)] == [Presence.ALWAYS, Presence.MAYBE, Presence.NEVER]
    assert describe(step(pair, 1).view) == "integer"
    assert step(pair, -1).presence is Presence.ALWAYS
    assert kinds(step(pair, -1).view) == {"string", "integer"}
    many = view({"type": "array", "items": {"type": "string"}})
    assert step(many, 7).presence is Presence.MAYBE
    assert step(many, 7).known == ()
    assert element(view({"type": "string"})) is None


def test_constants_are_stepped_into() -> None:
    found = step(literal({"a": [1, "x"]}), "a")
    assert found.presence is Presence.ALWAYS
    assert describe(step(found.view, -1).view) == '"x"'
    assert step(literal({"a": 1}), "b").known == ("a",)


def test_nothing_is_said_of_what_is_not_declared() -> None:
    found = step(view({"description": "whatever comes"}), "x")
    assert (found.presence, found.nullable, found.wrong_kinds) == (Presence.UNKNOWN, False, frozenset())


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "boolean"}, "boolean"),
        ({"const": True}, "true"),
        ({"enum": ["a", "b", None]}, '"a" or "b" or null'),
        ({"type": "array"}, "list"),
        ({"type": "array", "items": {"type": "string"}}, "list of strings"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "object"}}}, "list of lists of objects"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "list of (string or null)"),
        (ORDER, "object with 5 fields"),
        ({"type": "object"}, "object"),
        ({}, "any value"),
        (False, "nothing"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "number", "multipleOf": 2}}}, "integer"),
        ({"not": {"type": ["string", "number", "boolean", "object", "array"]}}, "null"),
    ],
)
def test_types_in_words(schema: Any, words: str) -> None:
    assert describe(view(schema)) == words


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/s"}], "$defs": {"s": {"type": "string"}}},
        {"$ref": "#/$defs/s", "$defs": {"s": {"type": ["string", "null"]}}},
        {"anyOf": [{"type": "string"}, {"type": ["null", "string"]}]},
        {"type": ["string", "null"], "anyOf": [{"type": "null"}, True]},
    ],
)
def test_null_is_taken_away_however_it_was_written(schema: Any) -> None:
    before = view(schema)
    assert is_nullable(before)
    after = without_null(before)
    assert not is_nullable(after)
    assert describe(after) == "string"
    assert compatible(after, {"type": "string"}).verdict is Verdict.YES
    assert compatible({"type": "string"}, SchemaView.of(schema)).verdict is Verdict.YES


def test_null_is_taken_away_from_anything_and_from_a_list_of_values() -> None:
    assert kinds(without_null(ANYTHING)) == {"boolean", "number", "string", "array", "object"}
    assert describe(without_null(view({"enum": [None, 1]}))) == "1"
    assert describe(without_null(view({"type": "null"}))) == "nothing"


def test_a_union_of_parts_of_two_documents_keeps_their_references_apart() -> None:
    one = view({"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"next": {"$ref": "#/$defs/x"}}}}})
    two = view({"type": "array", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"type": "integer"}}})
    both = union([one, two, literal("end")])
    assert check(both.schema) == []
    fits = SchemaValidator(both).is_valid
    assert all(map(fits, [{"next": {"next": {}}}, [1, 2], "end"]))
    assert not any(map(fits, [{"next": 1}, [{}], "other", None]))
    assert union([]) is NOTHING
    assert union([one, ANYTHING]) is ANYTHING
    assert union([one, one]) is one


def test_a_part_with_an_anchor_and_an_id_can_be_carried_elsewhere() -> None:
    tree = {"$id": "urn:tree", "$anchor": "t", "type": "array", "items": {"$ref": "#t"}}
    carried = object_of(
        {
            "tree": view(tree),
            "other": view({"$ref": "urn:tree2#/$defs/n", "$id": "urn:tree2", "$defs": {"n": {"type": "null"}}}),
        }
    )
    assert check(carried.schema) == []
    assert SchemaValidator(carried).is_valid({"tree": [[], [[]]], "other": None})
    assert not SchemaValidator(carried).is_valid({"tree": [[], [1]], "other": None})


def test_objects_and_lists_written_out() -> None:
    written = object_of({"a": literal(1), "b": list_of([view({"type": "string"}), ANYTHING])})
    assert step(written, "a").presence is Presence.ALWAYS
    assert step(written, "c").presence is Presence.NEVER
    assert step(step(written, "b").view, 1).presence is Presence.ALWAYS
    assert step(step(written, "b").view, 2).presence is Presence.NEVER
    assert describe(items_of(view({"type": "integer"}))) == "list of integers"
    assert SchemaValidator(list_of([])).is_valid([])
