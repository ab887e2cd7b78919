"""Against the reference: whatever schema and value are drawn, `jsonschema` must agree with what we say of them.

`AICFLOW_FUZZ_EXAMPLES=20000 pytest …` looks further than the everyday run.
"""

from __future__ import annotations

import os
import re
from functools import partial
from random import Random
from typing import Any

import jsonschema
from aicflow.language.schema import SchemaValidator, SchemaView, Verdict, check, compatible
from aicflow.language.schema.patterns import compile_pattern
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "40"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, database=None)

NAMES = ["a", "b", "c"]
TEXTS = ["", "a", "b", "ab", "abc", "2026-01-31", "é"]
NUMBERS = [-1, 0, 1, 2, 3, 7, 0.5, 1.0, 2.5]
SCALARS: list[Any] = [None, True, False, *TEXTS, *NUMBERS]
VALUES: list[Any] = [*SCALARS, [], {}, [1], ["a", 1], [None], {"a": 1}, {"a": "a", "b": None}, {"c": [1]}, [[1], [1]]]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
REFS = ["#/$defs/p", "#/$defs/q", "#", "#here"]


class Writer:
    """Writes schemas over a small vocabulary, so that two of them often have something to do with each other.

    From a seed and not by strategies: a hundred times as many schemas in the same time.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def document(self) -> Any:
        """A whole document, with definitions that may refer to each other and to themselves."""
        root = self.schema(3)
        if isinstance(root, bool) or "$ref" not in repr(root):
            return root
        here = {"$anchor": "here", **self.words(self.schema(1, refs=False))}
        return {**root, "$defs": {"p": self.schema(2), "q": self.schema(2, refs=False), "r": here}}

    def words(self, schema: Any) -> dict[str, Any]:
        return schema if isinstance(schema, dict) else {}

    def some(self, **words: Any) -> dict[str, Any]:
        """Some of these keywords; each is given as a function that makes its value."""
        return {word: make() for word, make in words.items() if self.random.random() < 0.35}

    def schema(self, depth: int, *, refs: bool = True) -> Any:
        pick = self.random
        if depth > 0 and pick.random() < 0.7:
            return pick.choice([self.object, self.object, self.wild_object, self.array, self.union, self.mix])(
                depth - 1, refs
            )
        leaf = pick.randrange(9 if refs else 8)
        if leaf < 3:
            types = pick.sample(TYPES, pick.choice([1, 1, 2]))
            return {"type": types[0] if len(types) == 1 else types}
        if leaf == 3:
            return {"const": pick.choice(VALUES)}
        if leaf == 4:
            return {"enum": pick.sample(VALUES, pick.randint(1, 4))}
        if leaf == 5:
            bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            words = self.some(**dict.fromkeys(bounds, lambda: pick.choice(NUMBERS)))
            words |= self.some(multipleOf=lambda: pick.choice([1, 2, 3, 0.5]))
            return {**words, **self.some(type=lambda: pick.choice(["integer", "number"]))}
        if leaf == 6:
            return self.some(
                type=lambda: "string",
                minLength=self.count,
                maxLength=self.count,
                pattern=lambda: pick.choice(["^a", "b$", "^[ab]*$", "^(a|b)+$"]),
                format=lambda: pick.choice(["date", "uuid"]),
            )
        if leaf == 7:
            return pick.choice([True, False, {}, {"title": "anything"}])
        return {"$ref": pick.choice(REFS)}

    def count(self) -> int:
        return self.random.randint(0, 3)

    def names(self) -> list[str]:
        return self.random.sample(NAMES, self.random.randint(0, 3))

    def fields(self, depth: int, refs: bool) -> dict[str, Any]:
        return {name: self.schema(depth, refs=refs) for name in self.names()}

    def object(self, depth: int, refs: bool) -> Any:
        closed = self.some(additionalProperties=lambda: self.random.random() < 0.3)
        fields = {"type": "object", "properties": self.fields(depth, refs)}
        return {**fields, **closed, **self.some(required=self.names)}

    def wild_object(self, depth: int, refs: bool) -> Any:
        pick = self.random
        inner = partial(self.schema, depth, refs=refs)
        return self.some(
            type=lambda: "object",
            properties=lambda: self.fields(depth, refs),
            patternProperties=lambda: {key: inner() for key in pick.sample(["^a", "^[bc]$"], pick.randint(1, 2))},
            required=self.names,
            additionalProperties=inner,
            unevaluatedProperties=inner,
            minProperties=self.count,
            maxProperties=self.count,
            propertyNames=lambda: pick.choice([{"pattern": "^[ab]"}, {"maxLength": 1}, {"const": "a"}, False]),
            dependentRequired=lambda: {"a": ["b"]},
            dependentSchemas=lambda: {pick.choice(NAMES): inner()},
            anyOf=lambda: [inner(), self.object(depth, refs)],
            allOf=lambda: [self.object(depth, refs)],
        )

    def array(self, depth: int, refs: bool) -> Any:
        pick = self.random
        inner = partial(self.schema, depth, refs=refs)
        return self.some(
            type=lambda: "array",
            items=inner,
            prefixItems=lambda: [inner() for _ in range(pick.randint(1, 3))],
            minItems=self.count,
            maxItems=self.count,
            uniqueItems=lambda: pick.random() < 0.7,
            contains=inner,
            minContains=self.count,
            maxContains=self.count,
            unevaluatedItems=inner,
        )

    def union(self, depth: int, refs: bool) -> Any:
        word = self.random.choice(["anyOf", "oneOf", "allOf"])
        return {word: [self.schema(depth, refs=refs) for _ in range(self.random.randint(1, 3))]}

    def mix(self, depth: int, refs: bool) -> Any:
        inner = partial(self.schema, depth, refs=refs)
        words: dict[str, Any] = {"not": inner, "if": inner, "then": inner, "else": inner}
        return {**self.union(depth, refs), **self.some(**words), **self.words(inner())}

    def changed(self, schema: Any) -> Any:
        """The schema with one thing changed somewhere: the pairs where a wrong YES or NO would hide."""
        pick = self.random
        if not isinstance(schema, dict) or not schema or pick.random() < 0.2:
            extra = self.schema(1, refs=False)
            if not isinstance(schema, dict) or "$defs" in schema:
                return {**self.words(extra), **self.words(schema)}
            return pick.choice([extra, {"anyOf": [schema, extra]}, {"allOf": [schema, extra]}])
        word = pick.choice(sorted(schema))
        value, copy = schema[word], dict(schema)
        if word in ("properties", "$defs", "patternProperties") and value:
            name = pick.choice(sorted(value))
            copy[word] = {**value, name: self.changed(value[name])}
        elif word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            at = pick.randrange(len(value))
            copy[word] = [*value[:at], self.changed(value[at]), *value[at + 1 :]]
        elif word in ("items", "additionalProperties", "contains"):
            copy[word] = self.changed(value)
        elif word != "$ref":
            del copy[word]
        return copy

    def pattern(self, depth: int = 3) -> str:
        pick = self.random
        if depth == 0 or pick.random() < 0.2:
            return pick.choice(["a", "b", ".", "[ab]", "[^a]", r"\d", "^", "$", "x"])
        parts = [self.pattern(depth - 1) for _ in range(pick.randint(1, 3))]
        way = pick.randrange(4)
        if way == 0:
            return "".join(parts)
        group = f"({'|'.join(parts)})" if way == 1 else f"(?:{''.join(parts)})"
        return group + pick.choice(["", "*", "+", "?", "{2}", "{1,2}", "{0}", "*?", "{2,}"])


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


def seeds(each: int) -> st.SearchStrategy[list[int]]:
    """A start, and the numbers after it: drawn one by one they would often be the same small ones."""
    return st.integers(0, 2**64).map(lambda start: [start * 1_000 + step for step in range(each)])


@fuzz
@given(seeds(10))
def test_a_value_fits_exactly_when_the_reference_says_so(numbers: list[int]) -> None:
    for seed in numbers:
        schema = Writer(seed).document()
        if check(schema):
            continue
        ours, theirs = SchemaValidator(schema, formats=False), reference(schema)
        for value in [*values_of(schema, seed, 12), *VALUES]:
            fits = theirs.is_valid(value)
            assert ours.is_valid(value) == fits, (schema, value)
            violations = ours.validate(value)
            assert (not violations) == fits, (schema, value, violations)
            # Every refusal is explained by a keyword, not by the sentence kept for what has no explanation.
            assert not any("does not fit the schema" in one.message for one in violations), (schema, value)


WORDS = [
    *("type", "enum", "required", "properties", "items", "anyOf", "minLength", "pattern", "multipleOf"),
    *("uniqueItems", "const", "if", "$defs", "dependentRequired", "prefixItems", "title", "$anchor", "maximum"),
]


@fuzz
@given(
    st.one_of(
        st.integers(0, 2**64).map(lambda seed: Writer(seed).document()),
        st.recursive(
            st.sampled_from([*SCALARS, *TYPES]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
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
        reasons = ("leads back", "no $anchor", "names nothing", "deeper", "twice", "regular", "names something")
        assert all(any(reason in problem.message for reason in reasons) for problem in check(schema)), schema


@fuzz
@given(seeds(10))
def test_a_yes_and_a_no_are_never_contradicted_by_a_value(numbers: list[int]) -> None:
    for seed in numbers:
        contradicted(Writer(seed).document(), Writer(seed + 1).document(), seed)


@fuzz
@given(seeds(10))
def test_nor_between_schemas_that_are_nearly_the_same(numbers: list[int]) -> None:
    for seed in numbers:
        one = Writer(seed).document()
        two = Writer(seed + 1).changed(one)
        contradicted(one, two, seed)
        contradicted(two, one, seed)


def contradicted(producer: Any, consumer: Any, seed: int) -> None:
    if check(producer) or check(consumer):
        return
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


def test_the_fuzzing_reaches_every_verdict() -> None:
    """Guards the tests above against a generator that only ever draws what cannot be decided."""
    seen = dict.fromkeys(Verdict, 0)
    for seed in range(300):
        producer, consumer = Writer(seed).document(), Writer(seed + 1_000).document()
        if not check(producer) and not check(consumer):
            seen[compatible(producer, consumer).verdict] += 1
    assert all(count >= 10 for count in seen.values()), seen


@fuzz
@given(seeds(10), st.lists(st.text("abx1\n", max_size=8), min_size=3, max_size=8))
def test_a_pattern_finds_what_re_finds(numbers: list[int], texts: list[str]) -> None:
    for seed in numbers:
        pattern = Writer(seed).pattern()
        try:
            search = re.compile(pattern.replace("$", r"\Z")).search
        except re.error:
            continue  # a quantifier with nothing before it
        for text in [*texts, "", "a", "ab", "ba", "aab", "bx1"]:
            assert compile_pattern(pattern)(text) == (search(text) is not None), (pattern, text)
