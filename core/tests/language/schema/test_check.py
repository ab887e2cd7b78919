"""Schemas that cannot be used, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.language.schema import SchemaValidator, check


@pytest.mark.parametrize(
    ("schema", "pointer", "words"),
    [
        (3, "", "a schema is an object, true or false, not 3"),
        ({"type": "text"}, "/type", "one or several (each once) of array, boolean"),
        ({"type": []}, "/type", "each once"),
        ({"items": [{"type": "null"}]}, "/items", "prefixItems"),
        ({"properties": {"a/b": {"minimum": "1"}}}, "/properties/a~1b/minimum", "needs a number"),
        ({"required": ["a", "a"]}, "/required", "each once"),
        ({"minLength": -1}, "/minLength", "zero or more"),
        ({"minimum": float("nan")}, "/minimum", "a number"),
        ({"multipleOf": 0}, "/multipleOf", "above zero"),
        ({"anyOf": []}, "/anyOf", "non-empty"),
        ({"pattern": "("}, "/pattern", "not a regular expression"),
        ({"patternProperties": {"[": {}}}, "/patternProperties/[", "not a regular expression"),
        ({"$ref": "https://example.org/schema.json"}, "/$ref", "only local references are followed"),
        ({"$ref": "other.json#/$defs/x"}, "/$ref", "only local references are followed"),
        ({"$ref": "file:///etc/passwd"}, "/$ref", "only local references are followed"),
        ({"$ref": "#/$defs/x"}, "/$ref", "names nothing"),
        ({"$ref": "#x"}, "/$ref", "no $anchor is called 'x'"),
        ({"$ref": "#/required", "required": ["a"]}, "/$ref", "not a schema"),
        ({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}, "/$defs/b/$anchor", "twice"),
        ({"properties": {"a": {"$id": "urn:x"}}}, "/properties/a/$id", "only at the root"),
        ({"$schema": "https://example.org/mine"}, "/$schema", "not a dialect"),
        ({"$ref": "#/x", "x": {"type": 1}}, "/x/type", "one or several"),
        ({"enum": [{1, 2}]}, "/enum", "JSON values"),
    ],
)
def test_problems(schema: Any, pointer: str, words: str) -> None:
    found = check(schema)
    assert [problem.pointer for problem in found] == [pointer]
    assert words in found[0].message
    assert len(found[0].message) <= 200


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"$defs": {"a": {"if": {"$dynamicRef": "#a"}, "$dynamicAnchor": "a"}}},
    ],
)
def test_a_schema_that_leads_back_to_itself_for_the_same_value_is_refused(schema: Any) -> None:
    assert "leads back" in check(schema)[0].message


def test_recursion_through_the_value_is_fine() -> None:
    assert check({"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}) == []


def test_older_dialects_are_read_and_references_by_the_own_id_are_local() -> None:
    assert check({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"x": {}}}) == []
    own = {"$id": "https://example.org/s", "$ref": "https://example.org/s#/$defs/x", "$defs": {"x": {"type": "null"}}}
    assert check(own) == []
    assert not SchemaValidator(own).is_valid(1)


def test_too_deep_a_schema_is_refused_whether_nested_or_chained() -> None:
    nested: Any = {}
    for _ in range(5_000):
        nested = {"items": nested}
    assert "nested deeper than 64" in check(nested)[0].message
    chain = {f"d{index}": {"$ref": f"#/$defs/d{index + 1}"} for index in range(5_000)}
    assert "more than 64 steps" in check({"$defs": {**chain, "d5000": {}}})[0].message


def test_problems_are_limited_in_number() -> None:
    assert len(check({"properties": {str(index): 1 for index in range(5_000)}})) == 100


def test_a_word_nobody_knows_is_passed_over() -> None:
    assert check({"discriminator": {"propertyName": "kind"}, "x-order": 3}) == []
