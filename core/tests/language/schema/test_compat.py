"""Schema against schema: what fits, what cannot, and what may not, told by examples."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.language.schema import Compatibility, ReasonKind, SchemaView, Verdict, compatible
from aicflow.language.schema.compile import Compiler

YES, NO, MAYBE, UNKNOWN = Verdict
NULL = {"type": "null"}
TEXT = {"type": "string"}
INT = {"type": "integer"}
NUMBER = {"type": "number"}


def obj(required: dict[str, Any], optional: dict[str, Any] | None = None, rest: Any = False) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": rest,
    }


def items(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema, **more}


def refs(root: str, **defs: Any) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{root}", "$defs": defs}


def nodes(value: Any, *, empty: Any = NULL) -> dict[str, Any]:
    return refs("node", node=obj({"value": value, "next": {"anyOf": [{"$ref": "#/$defs/node"}, empty]}}))


@pytest.mark.parametrize(
    ("producer", "consumer"),
    [
        (INT, NUMBER),
        ({"const": 1.0}, INT),
        ({"type": "number", "multipleOf": 2}, INT),
        ({"type": "integer", "minimum": 1, "maximum": 3}, {"enum": [1, 2, 3, 4]}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "number", "minimum": 1, "maximum": 2}, {"exclusiveMinimum": 0, "exclusiveMaximum": 3}),
        (TEXT, {}),
        (TEXT, True),
        (TEXT, {"type": ["string", "null"]}),
        (TEXT, {"oneOf": [TEXT, NULL]}),
        ({"anyOf": [TEXT, NULL]}, {"type": ["null", "string"]}),
        ({"enum": ["a", "b"]}, {"anyOf": [{"const": "b"}, {"const": "a"}]}),
        ({"type": "boolean"}, {"enum": [True, False, None]}),
        ({"type": "string", "minLength": 2, "maxLength": 3}, {"type": "string", "minLength": 1}),
        ({"type": "string", "format": "uuid", "minLength": 36}, {"type": "string", "format": "uuid", "minLength": 1}),
        (TEXT, {"type": "string", "format": "x-colour"}),
        ({"const": "2026-01-31"}, {"type": "string", "format": "date"}),
        (obj({"a": INT}), obj({"a": NUMBER})),
        (obj({"a": INT}), obj({}, {"a": NUMBER, "b": TEXT})),
        (obj({"a": INT}), obj({}, rest=NUMBER)),
        (obj({}, rest=INT), obj({}, rest=NUMBER)),
        (obj({"a": INT}, rest=True), {"type": "object", "required": ["a"]}),
        (obj({"a": INT, "b": INT}), {"type": "object", "minProperties": 2, "maxProperties": 2}),
        (obj({}, rest=False), obj({}, {"a": TEXT})),
        (items(INT), items(NUMBER)),
        (items(INT, maxItems=0), items(TEXT)),
        (
            {"type": "array", "prefixItems": [INT, TEXT], "items": False, "minItems": 2},
            {"type": "array", "prefixItems": [NUMBER], "items": TEXT, "minItems": 1, "maxItems": 2},
        ),
        ({"allOf": [TEXT, {"minLength": 3}]}, {"type": "string", "minLength": 2}),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["null", "integer"]}]}, NULL),
        ({"type": ["string", "null"], "not": NULL}, TEXT),
        (TEXT, {"not": NULL}),
        (obj({"kind": {"const": "a"}}), {"oneOf": [obj({"kind": {"const": "a"}}), obj({"kind": {"const": "b"}})]}),
        (nodes(INT), nodes(NUMBER)),
        (
            nodes(INT),
            refs(
                "a",
                a=obj({"value": NUMBER, "next": {"anyOf": [{"$ref": "#/$defs/b"}, NULL]}}),
                b=obj({"value": INT, "next": {"anyOf": [NULL, {"$ref": "#/$defs/a"}]}}),
            ),
        ),
    ],
)
def test_every_value_fits(producer: Any, consumer: Any) -> None:
    assert compatible(producer, consumer) == Compatibility(YES)


@pytest.mark.parametrize(
    ("producer", "consumer", "path", "reason"),
    [
        (TEXT, INT, "", "is a string, and an integer is expected"),
        ({"type": ["string", "null"]}, INT, "", "is a string or null, and an integer is expected"),
        ({"enum": ["a", "b"]}, {"enum": ["c"]}, "", 'is "a" or "b", which does not fit "c"'),
        ({"type": "string", "minLength": 2}, {"enum": ["c"]}, "", 'is never "c"'),
        ({"type": "number", "minimum": 5}, {"maximum": 4}, "", "lies outside the expected range"),
        ({"type": "number", "minimum": 5}, {"type": "number", "maximum": 4}, "", "lies outside the expected range"),
        ({"type": "number", "minimum": 1.2, "maximum": 1.8}, INT, "", "lies outside the expected range"),
        (
            {"type": "string", "maxLength": 2},
            {"type": "string", "minLength": 3},
            "",
            "has 0 to 2 characters, and at least 3",
        ),
        (obj({"a": obj({"b": TEXT})}), obj({"a": obj({"b": INT})}), "/a/b", "is a string, and an integer"),
        (obj({}, {"a": TEXT}), obj({"a": INT}), "/a", "is a string, and an integer is expected"),
        (obj({"b": TEXT}), obj({"a": INT}), "", "field 'a' is never there"),
        (obj({"b": TEXT}), obj({}), "", "has the field 'b', which is not accepted"),
        (
            obj({"b": TEXT, "c": TEXT}),
            {"type": "object", "maxProperties": 1},
            "",
            "has 2 fields, and 0 to 1 are expected",
        ),
        (items(TEXT, minItems=1), items(INT), "/0", "is a string, and an integer is expected"),
        (items(TEXT), items(INT, minItems=1), "/0", "is a string, and an integer is expected"),
        (items(TEXT, maxItems=2), items(TEXT, minItems=3), "", "has 0 to 2 items, and at least 3"),
        (TEXT, False, "", "no value is accepted here"),
        (TEXT, {"not": {}}, "", "no value is accepted here"),
        (TEXT, {"not": TEXT}, "", "is a string, and"),
        (
            obj({"k": {"const": "c"}}),
            {"oneOf": [obj({"k": {"const": "a"}}), obj({"k": {"const": "b"}})]},
            "",
            "fits none of the alternatives",
        ),
        (nodes(TEXT), nodes(INT), "/value", "is a string, and an integer is expected"),
    ],
)
def test_no_value_fits(producer: Any, consumer: Any, path: str, reason: str) -> None:
    found = compatible(producer, consumer)
    assert (found.verdict, found.path, found.reason_kind) == (NO, path, ReasonKind.MISMATCH), found
    assert found.reason.startswith(reason), found


@pytest.mark.parametrize(
    ("producer", "consumer", "path", "kind", "keyword", "reason"),
    [
        ({"type": ["string", "null"]}, TEXT, "", "maybe-null", "type", "may be null"),
        ({"enum": ["a", None]}, TEXT, "", "maybe-null", "type", "may be null"),
        ({"type": ["string", "integer", "null"]}, INT, "", "maybe-mismatch", "type", "may be a string or null"),
        (NUMBER, INT, "", "maybe-mismatch", "type", "may have a fraction, and an integer is expected"),
        (obj({}, {"a": INT}), obj({"a": INT}), "", "maybe-missing", "required", "field 'a' may be missing"),
        (obj({}, rest=INT), obj({"a": INT}), "", "maybe-missing", "required", "field 'a' may be missing"),
        (
            obj({}, rest=True),
            obj({"a": INT}, rest=True),
            "",
            "undeclared-field",
            "required",
            "field 'a' is not declared",
        ),
        (
            obj({}, rest=True),
            obj({}),
            "",
            "undeclared-field",
            "additionalProperties",
            "may have other fields, which are not accepted",
        ),
        (
            obj({}, {"a": INT}),
            obj({}),
            "",
            "maybe-mismatch",
            "additionalProperties",
            "may have the field 'a', which is not accepted",
        ),
        (
            obj({"a": obj({"b": {"type": ["integer", "null"]}})}),
            obj({"a": obj({"b": INT})}),
            "/a/b",
            "maybe-null",
            "type",
            "may be null",
        ),
        (items({"type": ["integer", "null"]}), items(INT), "/*", "maybe-null", "type", "may be null"),
        (items(TEXT), items(INT), "/*", "maybe-mismatch", "type", "may be a string"),
        (obj({}, rest=TEXT), obj({}, rest=INT), "/*", "maybe-mismatch", "type", "may be a string"),
        (items(INT), items(INT, minItems=1), "", "maybe-mismatch", "minItems", "may be empty"),
        (
            TEXT,
            {"type": "string", "maxLength": 9},
            "",
            "maybe-mismatch",
            "maxLength",
            "may have more than 9 characters",
        ),
        (TEXT, {"type": "string", "format": "uri"}, "", "maybe-mismatch", "format", "may not be a valid uri"),
        (
            {"type": "string", "format": "date"},
            {"type": "string", "format": "date-time"},
            "",
            "maybe-mismatch",
            "format",
            "may not be a valid date-time",
        ),
        (TEXT, {"enum": ["a", "b"]}, "", "maybe-mismatch", "enum", 'may be something else than "a" or "b"'),
        ({"enum": ["a", "c"]}, {"enum": ["a", "b"]}, "", "maybe-mismatch", "", 'may be "c"'),
        (INT, {"type": "integer", "minimum": 1}, "", "maybe-mismatch", "minimum", "may be less than 1"),
        (
            NUMBER,
            {"type": "number", "exclusiveMaximum": 1},
            "",
            "maybe-mismatch",
            "maximum",
            "may be more than or equal to 1",
        ),
        (
            nodes(INT, empty=True),
            nodes(INT),
            "/next",
            "maybe-mismatch",
            "type",
            "may be a boolean, a number, a string or a list",
        ),
    ],
)
def test_some_values_may_not_fit(producer: Any, consumer: Any, path: str, kind: str, keyword: str, reason: str) -> None:
    assert compatible(producer, consumer) == Compatibility(MAYBE, reason, path, ReasonKind(kind), keyword)


@pytest.mark.parametrize(
    ("producer", "consumer", "reason"),
    [
        ({}, TEXT, "is not declared and may be anything"),
        ({"description": "what came"}, TEXT, "is not declared and may be anything"),
        (obj({"a": True}), obj({"a": TEXT}), "is not declared and may be anything"),
        (obj({}, rest=True), obj({}, {"a": TEXT}, rest=True), "field 'a' is not declared and may be anything"),
        (TEXT, {"not": {"const": "x"}}, "is under the rule 'not', which cannot be compared"),
        (TEXT, {"if": {"maxLength": 2}, "then": {"pattern": "a"}}, "is under the rule 'if', which cannot be compared"),
        *[
            (producer, consumer, f"is under the rule '{word}', which cannot be compared")
            for word, producer, consumer in (
                ("multipleOf", {"type": "integer", "multipleOf": 6}, {"type": "integer", "multipleOf": 3}),
                ("uniqueItems", items(INT), items(INT, uniqueItems=True)),
                ("pattern", {"type": "string", "pattern": "^a"}, {"pattern": "^a"}),
                ("dependentRequired", obj({"a": INT}), {"type": "object", "dependentRequired": {"b": ["a"]}}),
                ("patternProperties", obj({"x": INT}), {"type": "object", "patternProperties": {"^x": NUMBER}}),
            )
        ],
        (
            {"type": "object", "patternProperties": {"^x": INT}, "additionalProperties": False},
            obj({}, {"x": INT}),
            "field 'x' is not declared and may be anything",
        ),
        (
            obj({"kind": {"enum": ["a", "b"]}}),
            {"oneOf": [obj({"kind": {"const": "a"}}), obj({"kind": {"const": "b"}})]},
            "may fit none of 2 alternatives",
        ),
        (False, TEXT, "the producer admits no value"),
        (TEXT | {"minLength": 2, "maxLength": 1}, INT, "the producer admits no value"),
        (
            refs("a", a=obj({"a": {"$ref": "#/$defs/a"}})),
            refs("a", a=obj({"a": {"$ref": "#/$defs/a"}}, {"b": INT})),
            "the producer admits no value",
        ),
        ({"type": "text"}, TEXT, "the producer's schema is unusable at /type"),
        (TEXT, {"$ref": "https://example.org/x"}, "the consumer's schema is unusable at /$ref"),
    ],
)
def test_what_cannot_be_told_is_unknown(producer: Any, consumer: Any, reason: str) -> None:
    found = compatible(producer, consumer)
    assert found.verdict is UNKNOWN, found
    assert found.reason.startswith(reason), found


def test_a_value_that_does_not_keep_to_a_format_is_no_error() -> None:
    """Readers often take more than a format says (a date for a date-time), so it is never a proof."""
    assert compatible({"const": "2026-01-31"}, {"type": "string", "format": "date-time"}).verdict is MAYBE


def test_a_part_of_a_document_is_compared_with_the_references_of_that_document() -> None:
    document = SchemaView.of({"properties": {"x": {"$ref": "#/$defs/y"}}, "$defs": {"y": INT}})
    assert isinstance(document.schema, dict)
    part = document.sub(document.schema["properties"]["x"])
    assert compatible(part, NUMBER).verdict is YES
    assert compatible(part, {"$ref": "#/$defs/y", "$defs": {"y": TEXT}}).verdict is NO


def ring(size: int) -> dict[str, Any]:
    return refs(
        "d0", **{f"d{at}": obj({"n": {"anyOf": [{"$ref": f"#/$defs/d{(at + 1) % size}"}, NULL]}}) for at in range(size)}
    )


def doubling(depth: int, leaf: Any) -> dict[str, Any]:
    return refs(
        "d0",
        **{f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(depth)},
        **{f"d{depth}": leaf},
    )


@pytest.mark.parametrize(
    ("producer", "consumer"),
    [
        ({"enum": [f"x{at}" for at in range(80_000)]}, {"enum": [f"y{at}" for at in range(80_000)]}),
        (obj({f"f{at}": INT for at in range(20_000)}), obj({f"f{at}": NUMBER for at in range(20_000)})),
        ({"anyOf": [obj({f"a{at}": TEXT}) for at in range(5_000)]}, TEXT),
        (
            {"anyOf": [obj({f"a{at}": TEXT}) for at in range(300)]},
            {"anyOf": [obj({f"b{at}": TEXT}) for at in range(300)]},
        ),
        (
            {"allOf": [obj({}, {f"a{at}": TEXT}, True) for at in range(5_000)]},
            {"allOf": [obj({}, {f"a{at}": INT}, True) for at in range(5_000)]},
        ),
        (ring(397), ring(389)),
        (doubling(40, TEXT), doubling(40, INT)),
        (
            obj({f"f{at}": TEXT for at in range(3_000)}),
            {"type": "object", "patternProperties": {f"^f{at}": TEXT for at in range(400)}},
        ),
        (TEXT, {"not": {"enum": [f"x{at}" for at in range(50_000)]}}),
    ],
)
def test_large_and_tangled_schemas_end_as_unknown(producer: Any, consumer: Any) -> None:
    """That this test ends is the point; each takes some tenths of a second, and would take hours otherwise."""
    assert compatible(SchemaView.of(producer), SchemaView.of(consumer)).verdict is UNKNOWN


def test_ordinary_recursion_with_different_periods_is_decided() -> None:
    assert compatible(ring(5), ring(7)).verdict is YES


def test_no_schema_is_compiled_for_values_of_a_type_that_it_refuses(monkeypatch):
    """A consumer that takes any JSON value lists null, true and false; each is asked of every list on the way down."""
    producer: Any = {"type": "integer", "minimum": 3}
    for _ in range(30):
        producer = {"type": "array", "prefixItems": [producer], "minItems": 1, "maxItems": 1}
    anything = {
        "$ref": "#/$defs/J",
        "$defs": {
            "J": {
                "anyOf": [
                    {"type": "null"},
                    {"type": "boolean"},
                    {"items": {"$ref": "#/$defs/J"}, "type": "array"},
                    {"type": "integer"},
                ]
            }
        },
    }
    compiled: list[Any] = []
    compile_it = Compiler.compile
    monkeypatch.setattr(
        Compiler, "compile", lambda self, schema: (compiled.append(schema), compile_it(self, schema))[1]
    )
    assert compatible(producer, anything).verdict is Verdict.YES
    assert [schema for schema in compiled if "prefixItems" in schema] == []
