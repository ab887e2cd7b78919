"""What a value that does not fit is told: where, why, and what would fit."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any

import pytest
from aicflow.language.schema import SchemaError, SchemaValidator, SchemaView, Violation

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "mail": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "boss": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def only(schema: Any, value: Any) -> Violation:
    found = SchemaValidator(schema).validate(value)
    assert len(found) == 1, found
    return found[0]


def test_a_value_that_fits_has_no_violations() -> None:
    ada = {"name": "Ada", "age": 36, "mail": "ada@example.org", "tags": ["a"], "boss": {"name": "B", "age": 1.0}}
    assert SchemaValidator(PERSON).validate(ada) == []


def test_every_fault_is_told_at_its_place() -> None:
    found = SchemaValidator(PERSON).validate({"nmae": "Ada", "age": -1, "tags": ["a", 1, "a"], "mail": "ada"})
    assert [(one.pointer, one.schema_pointer, one.message) for one in found] == [
        ("", "/required", "the field 'name' is missing"),
        ("/nmae", "/additionalProperties", "unknown field 'nmae'; did you mean 'name'?"),
        ("/age", "/properties/age/minimum", "-1 is not at least 0"),
        ("/tags", "/properties/tags/uniqueItems", 'items 0 and 2 are the same: "a"'),
        ("/tags/1", "/properties/tags/items/type", "expected string, got the integer 1"),
        ("/mail", "/properties/mail/format", '"ada" is not a valid email'),
    ]
    assert found[2].expected == "at least 0"


def test_the_alternative_that_was_meant_is_explained_through_its_reference() -> None:
    found = only(PERSON, {"name": "Ada", "age": 1, "boss": {"name": "", "age": 2}})
    assert (found.pointer, found.schema_pointer) == ("/boss/name", "/properties/name/minLength")
    assert found.expected == "at least 1 character"


def test_where_no_alternative_is_near_they_are_listed() -> None:
    found = only({"anyOf": [{"type": "string"}, {"type": "null"}, {"const": 7}, {"enum": ["x", 8]}]}, 9)
    assert found.message == '9 fits none of the 4 alternatives: string, null, 7 or "x" or 8'


def test_a_tag_chooses_the_alternative() -> None:
    kinds = [
        {"type": "object", "properties": {"kind": {"const": kind}, "value": {"type": type_}}, "required": ["kind"]}
        for kind, type_ in (("text", "string"), ("count", "integer"))
    ]
    found = only({"oneOf": kinds}, {"kind": "count", "value": "x"})
    assert found.pointer == "/value"
    assert found.schema_pointer == "/oneOf/1/properties/value/type"


def test_one_of_says_when_too_many_fit() -> None:
    assert "fits 2 of the alternatives" in only({"oneOf": [{"type": "integer"}, {"minimum": 0}, False]}, 3).message


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (False, 1, "nothing is accepted here"),
        ({"type": ["string", "null"]}, [1], "expected string or null, got a list of 1 item"),
        ({"type": "integer"}, 1.5, "expected integer, got the number 1.5"),
        ({"type": "integer"}, True, "expected integer, got the boolean true"),
        ({"type": "string"}, None, "expected string, got null"),
        ({"const": 1}, True, "expected 1, got true"),
        ({"const": {"a": 1}}, {"a": 2}, "expected an object with 1 field, got an object with 1 field"),
        ({"enum": ["a", "b"]}, "c", '"c" is not one of "a" or "b"'),
        ({"multipleOf": 0.01}, 19.995, "19.995 is not a multiple of 0.01"),
        ({"exclusiveMaximum": 2}, 2, "2 is not less than 2"),
        ({"pattern": "^a+$"}, "b", '"b" does not match the pattern ^a+$'),
        ({"maxLength": 1}, "ab", 'expected at most 1 character, got "ab" with 2'),
        ({"minItems": 2}, [1], "expected at least 2 items, got 1"),
        ({"maxItems": 0}, [1], "expected at most 0 items, got 1"),
        ({"contains": {"type": "string"}}, [1], "expected at least 1 matching item, got 0"),
        ({"contains": {"type": "integer"}, "maxContains": 1}, [1, 2], "expected at most 1 matching item, got 2"),
        ({"minProperties": 1}, {}, "expected at least 1 field, got 0"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"ab": 1},
            'the name of this field does not fit: expected at most 1 character, got "ab" with 2',
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "the field 'b' is missing beside 'a'"),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, "the field 'b' is missing"),
        ({"not": {"type": "null"}}, None, "null is one of the values refused here"),
        ({"if": {"type": "integer"}, "then": {"minimum": 5}}, 3, "3 is not at least 5"),
        ({"properties": {"a": True}, "unevaluatedProperties": False}, {"b": 1}, "unknown field 'b'"),
        ({"prefixItems": [True], "unevaluatedItems": False}, [1, 2], "1 of a list of 2 items not accepted here: 2"),
        ({"prefixItems": [{"type": "null"}]}, [1], "expected null, got the integer 1"),
        ({"patternProperties": {"^x": {"type": "null"}}}, {"x1": 1}, "expected null, got the integer 1"),
    ],
)
def test_messages(schema: Any, value: Any, message: str) -> None:
    assert only(schema, value).message == message


def test_prices_are_multiples_of_a_cent() -> None:
    cents = SchemaValidator({"multipleOf": 0.01})
    assert all(cents.is_valid(price) for price in (19.99, 0.07, 4.35, 1e300, 10**400))
    assert SchemaValidator({"multipleOf": 1e-300}).is_valid(1e308)


def test_a_message_never_carries_the_value_along() -> None:
    value = {"x" * 5000: ["y" * 10_000] * 50, "n": 10**4000}
    schema = {"additionalProperties": {"type": "null"}, "properties": {"n": {"maximum": 3}}, "maxProperties": 1}
    found = SchemaValidator(schema).validate(value)
    assert len(found) == 3
    assert all(len(one.message) <= 200 and len(one.expected) <= 120 for one in found)


def test_pointers_are_escaped() -> None:
    assert only({"properties": {"a/b~c": {"items": {"type": "null"}}}}, {"a/b~c": [1]}).pointer == "/a~1b~0c/0"


def test_no_more_violations_than_asked_for() -> None:
    assert len(SchemaValidator({"items": {"type": "null"}}).validate([1] * 1000)) == 20
    assert len(SchemaValidator({"items": {"type": "null"}}).validate([1] * 1000, limit=3)) == 3


def test_an_unusable_schema_is_refused_with_all_its_problems() -> None:
    with pytest.raises(SchemaError, match=r"unusable schema at /properties/a/type: .* \(and 1 more\)") as caught:
        SchemaValidator({"properties": {"a": {"type": "text"}, "b": 3}})
    assert [problem.pointer for problem in caught.value.problems] == ["/properties/a/type", "/properties/b"]


def test_a_tree_is_checked_all_the_way_down_and_too_deep_a_one_is_refused() -> None:
    tree = SchemaValidator({"type": "array", "items": {"$ref": "#"}})
    assert tree.is_valid(json.loads("[" * 60 + "]" * 60))
    assert tree.validate(json.loads("[" * 60 + "1" + "]" * 60))[0].pointer == "/0" * 60
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert "too deeply" in tree.validate(value)[0].message
    while value:  # taken apart step by step: Python would recurse
        value = value[0]


def test_alternatives_that_double_at_every_level_come_to_an_end() -> None:
    branch = [{"allOf": [{"properties": {"a": {"$ref": "#"}}}, {"required": [name]}]} for name in "xyz"]
    value: dict[str, Any] = {"z": 1}
    for _ in range(40):
        value = {"a": value}
    found = SchemaValidator({"anyOf": branch, "type": "object"}).validate(value)
    assert [one.pointer for one in found] == [""]

    doubled = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(30)}
    found = SchemaValidator({"$ref": "#/$defs/d0", "$defs": {**doubled, "d30": {"type": "null"}}}).validate(1)
    assert len(found) == 1
    assert "too many steps" in found[0].message


def test_texts_with_half_of_a_surrogate_pair_are_checked_like_others() -> None:
    half = "\ud83d"
    schema = {"properties": {"a": {"maxLength": 1, "pattern": "^.$"}}, "additionalProperties": {"const": "b"}}
    assert SchemaValidator(schema).is_valid({half: "b", "a": half})
    found = SchemaValidator(schema).validate({half: half, "a": half + half})
    assert [(one.pointer, one.schema_pointer) for one in found] == [
        ("/\ud83d", "/additionalProperties/const"),
        ("/a", "/properties/a/maxLength"),
        ("/a", "/properties/a/pattern"),
    ]
    constant = SchemaValidator(SchemaView.of({"required": [half], "properties": {half: {"const": half}}}))
    assert constant.is_valid({half: half})
    assert not constant.is_valid({half: "\ude00"})
    with pytest.raises(SchemaError, match="half of a surrogate pair"):
        SchemaValidator({"const": half})


@pytest.mark.parametrize("value", [{1, 2}, {1: 2}, [object()]])
def test_what_is_no_json_does_not_fit(value: Any) -> None:
    assert SchemaValidator({"minProperties": 0, "items": {"type": "integer"}}).validate(value)


def test_a_part_of_a_document_is_checked_with_the_references_of_the_document() -> None:
    own = {"$id": "https://example.org/s", "$defs": {"n": {"type": "null"}, "l": {"items": {"$ref": "#/$defs/n"}}}}
    for root in (own, {**own, "$id": "person.json"}, {"$defs": own["$defs"]}):
        part = SchemaValidator(SchemaView.of(root).sub(root["$defs"]["l"]))
        assert part.is_valid([None])
        assert [one.pointer for one in part.validate([None, 1])] == ["/1"]


def test_many_equal_looking_numbers_do_not_slow_down_unique_items() -> None:
    colliding = [index * ((1 << 61) - 1) for index in range(30_000)]  # all with Python's hash 0
    assert SchemaValidator({"uniqueItems": True}).is_valid(colliding)
    assert not SchemaValidator({"uniqueItems": True}).is_valid([2**70, 2**70])


def test_a_large_enum_is_looked_up() -> None:
    names = [f"name-{index}" for index in range(100_000)]
    validator = SchemaValidator({"items": {"enum": names}})
    assert validator.is_valid(names)
    assert "(100000 values)" in validator.validate(["nobody"])[0].message


def test_threads_share_a_validator() -> None:
    validator = SchemaValidator(PERSON)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for _ in range(200):
            found = validator.validate({"name": "x", "age": number, "boss": {"name": "y"}})
            if [one.pointer for one in found] != ["/boss"]:
                wrong.append(found)

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("schema", [{"maximum": 5}, {"minimum": -5}, {"multipleOf": 7}, {"items": {"enum": [0, 1]}}])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_more_than_4300_digits_is_no_way_around_a_bound(schema: Any, sign: int) -> None:
    value = sign * 10**5_000
    validator = SchemaValidator(schema)
    instance = [value] if "items" in schema else value
    assert not validator.is_valid(instance)
    assert "4,300 digits" in validator.validate(instance)[0].message
