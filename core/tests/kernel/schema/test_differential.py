"""Against the reference: whatever schema and value are drawn, `jsonschema` must agree with what we say of them.

`AICFLOW_FUZZ_EXAMPLES=20000 pytest …` looks further than the everyday run.
"""

from __future__ import annotations

import os
import re
from random import Random
from typing import Any

import jsonschema
from aicflow.kernel.schema import SchemaValidator, SchemaView, Verdict, check, compatible
from aicflow.kernel.schema.automaton import Automaton, Unsupported
from aicflow.kernel.schema.patterns import compile_pattern
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "60"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

NAMES = ["a", "b", "c"]
TEXTS = ["", "a", "b", "ab", "abc", "2026-01-31", "é"]
NUMBERS = [-1, 0, 1, 2, 3, 7, 0.5, 1.0, 2.5]
SCALARS: list[Any] = [None, True, False, *TEXTS, *NUMBERS]
VALUES: list[Any] = [*SCALARS, [], {}, [1], ["a", 1], [None], {"a": 1}, {"a": "a", "b": None}, {"c": [1]}, [[1], [1]]]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
REFS = ["#/$defs/p", "#/$defs/q", "#", "#here"]


def small_count() -> st.SearchStrategy[int]:
    return st.integers(0, 3)


def schemas(*, refs: bool = True) -> st.SearchStrategy[Any]:
    """Schemas over a small vocabulary, so that two of them often have something to do with each other."""
    leaves = st.one_of(
        st.sampled_from([{"type": name} for name in TYPES]),
        st.sampled_from([{"type": [one, two]} for one in TYPES for two in TYPES if one < two]),
        st.sampled_from([{"const": value} for value in VALUES]),
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=4).map(lambda values: {"enum": values}),
        *([st.sampled_from([{"$ref": ref} for ref in REFS])] if refs else []),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])},
            optional={
                "minimum": st.sampled_from(NUMBERS),
                "maximum": st.sampled_from(NUMBERS),
                "exclusiveMinimum": st.sampled_from(NUMBERS),
                "exclusiveMaximum": st.sampled_from(NUMBERS),
                "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.just("string"),
                "minLength": small_count(),
                "maxLength": small_count(),
                "pattern": st.sampled_from(["^a", "b$", "^[ab]*$", "^(a|b)+$"]),
                "format": st.sampled_from(["date", "uuid"]),
            },
        ),
        st.sampled_from([True, False, {}, {"title": "anything"}]),
    )
    return st.recursive(leaves, _compound, max_leaves=8)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    fields = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    names = st.lists(st.sampled_from(NAMES), unique=True, max_size=3)
    plain_object = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": fields},
        optional={"required": names, "additionalProperties": st.one_of(st.booleans(), inner)},
    )
    other_object = st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("object"),
            "properties": fields,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "^[bc]$"]), inner, max_size=2),
            "required": names,
            "additionalProperties": st.one_of(st.booleans(), inner),
            "unevaluatedProperties": st.one_of(st.booleans(), inner),
            "minProperties": small_count(),
            "maxProperties": small_count(),
            "propertyNames": st.sampled_from([{"pattern": "^[ab]"}, {"maxLength": 1}, {"const": "a"}, False]),
            "dependentRequired": st.just({"a": ["b"]}),
            "dependentSchemas": st.dictionaries(st.sampled_from(NAMES), inner, max_size=1),
        },
    )
    array = st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("array"),
            "items": inner,
            "prefixItems": some,
            "minItems": small_count(),
            "maxItems": small_count(),
            "uniqueItems": st.booleans(),
            "contains": inner,
            "minContains": small_count(),
            "maxContains": small_count(),
            "unevaluatedItems": inner,
        },
    )
    combined = st.fixed_dictionaries(
        {},
        optional={
            "anyOf": some,
            "oneOf": some,
            "allOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "properties": fields,
            "type": st.sampled_from(TYPES),
        },
    )
    union = st.one_of(some.map(lambda parts: {"anyOf": parts}), some.map(lambda parts: {"oneOf": parts}))
    both = some.map(lambda parts: {"allOf": parts})
    return st.one_of(plain_object, plain_object, other_object, array, union, both, combined)


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Whole documents, with definitions that may refer to each other and to themselves."""
    root = draw(schemas())
    if isinstance(root, bool) or '"$ref"' not in str(root).replace("'", '"'):
        return root
    defs = {"p": draw(schemas()), "q": draw(schemas(refs=False)), "r": {"$anchor": "here", **draw(_dicts())}}
    return {**root, "$defs": defs}


def _dicts() -> st.SearchStrategy[Any]:
    return schemas(refs=False).filter(lambda schema: isinstance(schema, dict))


class Maker:
    """Makes values that a schema is likely to admit. Only a guess: the reference says whether it does."""

    def __init__(self, root: Any, random: Random) -> None:
        self.root = root
        self.random = random

    def make(self, schema: Any, depth: int = 0) -> Any:
        pick = self.random
        if isinstance(schema, bool) or depth > 6 or pick.random() < 0.06:
            return pick.choice(VALUES)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return pick.choice(schema["enum"])
        ways = [part for word in ("anyOf", "oneOf", "allOf") for part in schema.get(word, ())]
        if "$ref" in schema:
            ways.append(self.resolve(schema["$ref"]))
        base = self.make(pick.choice(ways), depth + 1) if ways else None
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = pick.choice(kind)
        if isinstance(base, dict) and kind in (None, "object"):
            return {**base, **self.object(schema, depth)} if "properties" in schema else base
        if base is not None and not (isinstance(base, list) and {"items", "prefixItems"} & schema.keys()):
            return base
        return self.of_kind(kind or self.guess(schema), schema, depth)

    def guess(self, schema: Any) -> str:
        words = set(schema)
        if words & {"properties", "required", "patternProperties", "minProperties", "additionalProperties"}:
            return "object"
        if words & {"items", "prefixItems", "contains", "minItems", "maxItems"}:
            return "array"
        if words & {"minLength", "maxLength", "pattern", "format"}:
            return "string"
        return self.random.choice(TYPES)

    def of_kind(self, kind: str, schema: Any, depth: int) -> Any:
        pick = self.random
        if kind == "object":
            return self.object(schema, depth)
        if kind == "array":
            prefix = schema.get("prefixItems", [])
            low, high = min(schema.get("minItems", 0), 3), min(schema.get("maxItems", 3), 3)
            length = pick.randint(low, max(low, high + 1))
            rules = [*prefix, *[schema.get("items", schema.get("contains", True))] * 4]
            return [self.make(rules[index], depth + 1) for index in range(length)]
        if kind == "string":
            return pick.choice([*TEXTS, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"])
        if kind in ("integer", "number"):
            around = [
                schema[word]
                for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
                if word in schema
            ]
            value = pick.choice([*around, *NUMBERS]) + pick.choice([0, 0, 1, -1, 0.5])
            return int(value) if kind == "integer" and pick.random() < 0.8 else value
        return {"null": None, "boolean": pick.random() < 0.5}[kind]

    def object(self, schema: Any, depth: int) -> dict[str, Any]:
        pick = self.random
        fields = schema.get("properties", {})
        made = {}
        for name in [*NAMES, "d"]:
            wanted = name in schema.get("required", ())
            if not (wanted or pick.random() < (0.5 if name in fields else 0.15)):
                continue
            rule = fields.get(name)
            if rule is None:
                told = [part for key, part in schema.get("patternProperties", {}).items() if re.search(key, name)]
                rule = told[0] if told else schema.get("additionalProperties", True)
            if rule is not False or wanted:
                made[name] = self.make(rule, depth + 1)
        return made

    def resolve(self, ref: str) -> Any:
        if ref == "#":
            return self.root
        return self.root["$defs"]["r" if ref == "#here" else ref.rpartition("/")[2]]


def values_of(schema: Any, seed: int, count: int) -> list[Any]:
    maker = Maker(schema, Random(seed))
    return [maker.make(schema) for _ in range(count)]


def reference(schema: Any) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema)


@fuzz
@given(documents(), st.integers(0, 2**32))
def test_a_value_fits_exactly_when_the_reference_says_so(schema: Any, seed: int) -> None:
    assume(not check(schema))
    ours, theirs = SchemaValidator(schema, formats=False), reference(schema)
    for value in [*values_of(schema, seed, 12), *VALUES]:
        fits = theirs.is_valid(value)
        assert ours.is_valid(value) == fits, (schema, value)
        violations = ours.validate(value)
        assert (not violations) == fits, (schema, value, violations)
        # Every refusal is explained by a keyword, not by the sentence kept for what has no explanation.
        assert not any("does not fit the schema" in found.message for found in violations), (schema, value)


@fuzz
@given(
    st.one_of(
        documents(),
        st.recursive(
            st.sampled_from(SCALARS),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "type",
                            "enum",
                            "required",
                            "properties",
                            "items",
                            "anyOf",
                            "minLength",
                            "pattern",
                            "multipleOf",
                            "uniqueItems",
                            "const",
                            "if",
                            "$defs",
                            "dependentRequired",
                        ]
                    ),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=6,
        ),
    )
)
def test_what_we_accept_is_a_schema_and_what_is_none_we_refuse(schema: Any) -> None:
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError:
        assert check(schema), schema
    else:
        # We refuse more than the reference, but only for the reasons we name.
        reasons = ("leads back", "no $anchor", "names nothing", "deeper", "more than", "regular", "names something")
        assert all(any(reason in problem.message for reason in reasons) for problem in check(schema)), check(schema)


@fuzz
@given(documents(), documents(), st.integers(0, 2**32))
def test_a_yes_and_a_no_are_never_contradicted_by_a_value(producer: Any, consumer: Any, seed: int) -> None:
    contradicted(producer, consumer, seed)


@fuzz
@given(st.data(), documents(), st.integers(0, 2**32))
def test_nor_between_schemas_that_are_nearly_the_same(data: st.DataObject, producer: Any, seed: int) -> None:
    contradicted(producer, data.draw(mutated(producer)), seed)


def contradicted(producer: Any, consumer: Any, seed: int) -> None:
    assume(not check(producer) and not check(consumer))
    found = compatible(producer, consumer)
    again = compatible(SchemaView.of(producer), SchemaView.of(consumer))
    assert found == again
    if found.verdict in (Verdict.MAYBE, Verdict.UNKNOWN):
        assert found.reason
        return
    mine, theirs = reference(producer), reference(consumer)
    strict, strict_theirs = SchemaValidator(producer), SchemaValidator(consumer)
    for value in [*values_of(producer, seed, 16), *values_of(consumer, seed, 8), *VALUES]:
        if mine.is_valid(value):
            assert theirs.is_valid(value) == (found.verdict is Verdict.YES), (producer, consumer, found, value)
        if strict.is_valid(value):
            fits = strict_theirs.is_valid(value)
            assert fits == (found.verdict is Verdict.YES), (producer, consumer, found, value)


@st.composite
def mutated(draw: st.DrawFn, schema: Any) -> Any:
    """The schema with one thing changed somewhere: the pairs where a wrong YES or NO would hide."""
    if isinstance(schema, bool) or not schema or draw(st.integers(0, 3)) == 0:
        extra = draw(_dicts())
        return (
            draw(st.sampled_from([extra, {"anyOf": [schema, extra]}, {"allOf": [schema, extra]}]))
            if not (isinstance(schema, dict) and "$defs" in schema)
            else {**schema, **{word: part for word, part in extra.items() if word not in ("$ref", "$defs")}}
        )
    word = draw(st.sampled_from(sorted(schema)))
    value = schema[word]
    changed = dict(schema)
    if word in ("properties", "$defs", "patternProperties") and value:
        name = draw(st.sampled_from(sorted(value)))
        changed[word] = {**value, name: draw(mutated(value[name]))}
    elif word in ("anyOf", "oneOf", "allOf", "prefixItems") and value:
        index = draw(st.integers(0, len(value) - 1))
        changed[word] = [*value[:index], draw(mutated(value[index])), *value[index + 1 :]]
    elif word in ("items", "additionalProperties", "contains"):
        changed[word] = draw(mutated(value))
    elif word != "$ref":
        del changed[word]
    return changed


def test_the_fuzzing_reaches_every_verdict() -> None:
    """Guards the tests above against a generator that only ever draws what cannot be decided."""
    seen: dict[Verdict, int] = dict.fromkeys(Verdict, 0)

    @settings(fuzz, max_examples=100, derandomize=True)
    @given(documents(), documents())
    def look(producer: Any, consumer: Any) -> None:
        if not check(producer) and not check(consumer):
            seen[compatible(producer, consumer).verdict] += 1

    look()
    assert all(count >= 2 for count in seen.values()), seen


PIECES = ["a", "b", ".", "[ab]", "[^a]", r"\d", "^", "$", "(a|b)", "(?:ab?)", "(a|b|ab)", "x"]
QUANTIFIERS = ["", "", "*", "+", "?", "{2}", "{1,2}", "{0}", "*?"]


@fuzz
@given(
    st.recursive(
        st.tuples(st.sampled_from(PIECES), st.sampled_from(QUANTIFIERS)).map("".join),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.tuples(inner, st.sampled_from(QUANTIFIERS)).map(lambda both: f"({both[0]}){both[1]}"),
            st.tuples(inner, inner).map(lambda both: f"({both[0]}|{both[1]})"),
        ),
        max_leaves=6,
    ),
    st.lists(st.text("abx1\n", max_size=8), min_size=3, max_size=8),
)
def test_the_automaton_finds_what_re_finds(pattern: str, texts: list[str]) -> None:
    pattern = pattern.replace("$", r"\Z")
    try:
        search = re.compile(pattern).search
    except re.error:
        return  # a quantifier with nothing before it
    from re import _parser  # type: ignore[attr-defined]

    try:
        automaton = Automaton(_parser.parse(pattern))
    except Unsupported:
        return
    for text in texts:
        assert automaton.found(text) == (search(text) is not None), (pattern, text)
        assert compile_pattern(pattern)(text) == (search(text) is not None), (pattern, text)
