"""One alternative of a schema, of one JSON type: what all the plain schemas that hold there say together.

A shape admits every value that its schemas admit, perhaps more: what it cannot express stands in `rules`, as text, so
that two shapes under the same rule can be told to be under the same rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, inf
from typing import Any, Final, NamedTuple

from aicflow.language.schema.compile import FORMATS, keyword_fits
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.model import TooCostly
from aicflow.language.schema.patterns import compile_pattern

type Views = tuple[SchemaView, ...]
"""Schemas that all hold. Empty: anything."""

type Key = tuple[int, ...]

ATOMS: Final = frozenset(("null", "boolean", "integer", "fraction", "string", "array", "object"))
"""The JSON types, with numbers told apart by whether they have a fraction."""
NUMBERS: Final = frozenset(("integer", "fraction"))

_ATOMS_OF: Final = {**{name: frozenset((name,)) for name in ATOMS}, "number": NUMBERS}

_RULES: Final = {
    "number": ("not", "if", "oneOf"),
    "string": ("not", "if", "oneOf", "pattern"),
    "array": ("not", "if", "oneOf", "contains", "unevaluatedItems"),
    "object": (
        *("not", "if", "oneOf", "propertyNames", "dependentRequired", "dependentSchemas"),
        "unevaluatedProperties",
    ),
}
_COMPANIONS: Final = {"if": ("then", "else"), "contains": ("minContains", "maxContains")}


class Rule(NamedTuple):
    """A keyword that shapes do not express, with its text; equal rules admit the same values."""

    word: str
    text: str


class Interval(NamedTuple):
    """Numbers between two bounds; an open bound is not itself among them."""

    low: float
    low_open: bool
    high: float
    high_open: bool

    @property
    def empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def within(self, other: Interval) -> bool:
        low = self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open))
        high = self.high < other.high or (self.high == other.high and (self.high_open or not other.high_open))
        return low and high

    def whole(self) -> Interval:
        """The same whole numbers, with closed bounds."""
        low, high = self.low, self.high
        if low != -inf:
            low = floor(low) + 1 if self.low_open else ceil(low)
        if high != inf:
            high = ceil(high) - 1 if self.high_open else floor(high)
        return Interval(low, False, high, False)

    def meet(self, other: Interval) -> Interval:
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, not_high_open = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Interval(low, low_open, high, not not_high_open)


def key_of(views: Views) -> Key:
    """What tells two conjunctions apart as long as their documents live."""
    return tuple(part for view in views for part in (id(view.schema), id(view.document)))


_SILENT: Final = frozenset(
    (
        *("$anchor", "$comment", "$defs", "$id", "$schema", "default", "definitions", "deprecated"),
        *("description", "examples", "readOnly", "title", "writeOnly"),
    )
)


def unite(views: Iterable[SchemaView]) -> Views:
    """A conjunction without what says nothing and without repetitions. Empty when nothing is said at all."""
    found: dict[tuple[int, int], SchemaView] = {}
    for view in views:
        if view.schema is not True and (view.schema is False or view.schema.keys() - _SILENT):
            found.setdefault((id(view.schema), id(view.document)), view)
    return tuple(found.values())


def refuses_all(views: Views) -> bool:
    """Whether `false` is among the schemas: plainly nothing fits."""
    return any(view.schema is False for view in views)


@dataclass(eq=False)
class Shape:
    """The values of one type (`number`, `string`, `array` or `object`) that fit all of some plain schemas."""

    kind: str
    atoms: frozenset[str]
    views: Views

    @cached_property
    def _schemas(self) -> list[tuple[dict[str, Any], SchemaView]]:
        return [(view.schema, view) for view in self.views if isinstance(view.schema, dict)]

    @cached_property
    def rules(self) -> dict[Rule, None]:
        """What is not expressed here otherwise, in order."""
        found: dict[Rule, None] = {}
        for schema, view in self._schemas:
            for word in _RULES[self.kind]:
                if word in schema and not self._expressed(word, schema[word]):
                    found[_rule(word, schema, view)] = None
        return found

    @cached_property
    def _patterned(self) -> dict[int, list[tuple[Callable[[str], bool], Any]]]:
        """The compiled patterns of each schema that has some, by its position."""
        return {
            index: [(compile_pattern(key), rule) for key, rule in schema["patternProperties"].items()]
            for index, (schema, _) in enumerate(self._schemas)
            if "patternProperties" in schema
        }

    @cached_property
    def effort(self) -> int:
        """About how much work it is to look at one field or item, in steps."""
        return 1 + len(self.views) // 4 + sum(map(len, self._patterned.values()))

    def _expressed(self, word: str, value: Any) -> bool:
        if word == "not":
            return excluded_atoms(value) is not None
        return word.startswith("unevaluated") and value is True

    def source(self, rule: Rule) -> SchemaView | None:
        """The schema that a rule of this shape comes from."""
        for schema, view in self._schemas:
            if rule.word in schema and _rule(rule.word, schema, view) == rule:
                return view
        return None

    def words(self, word: str) -> Iterator[Any]:
        """The values of a keyword wherever it is given."""
        return (schema[word] for schema, _ in self._schemas if word in schema)

    @cached_property
    def interval(self) -> Interval:
        found = Interval(-inf, False, inf, False)
        for word, open_ in (("minimum", False), ("exclusiveMinimum", True)):
            for bound in self.words(word):
                found = found.meet(Interval(bound, open_, inf, False))
        for word, open_ in (("maximum", False), ("exclusiveMaximum", True)):
            for bound in self.words(word):
                found = found.meet(Interval(-inf, False, bound, open_))
        return found.whole() if self.whole else found

    @cached_property
    def whole(self) -> bool:
        """Whether only numbers without a fraction are meant."""
        return "fraction" not in self.atoms or any(keyword_fits("multipleOf", 1, step) for step in self.steps)

    @cached_property
    def steps(self) -> list[float]:
        return list(self.words("multipleOf"))

    @cached_property
    def formats(self) -> frozenset[str]:
        return frozenset(name for name in self.words("format") if name in FORMATS)

    @cached_property
    def size(self) -> tuple[float, float]:
        """The least and the greatest length of a text, a list, or number of fields."""
        noun = {"string": "Length", "array": "Items", "object": "Properties"}[self.kind]
        low: float = max(self.words(f"min{noun}"), default=0)
        high: float = min(self.words(f"max{noun}"), default=inf)
        if self.kind == "array":
            ends = (index for index in range(self.prefix + 1) if refuses_all(self.item(index)))
            high = min(high, next(ends, inf))
        elif self.kind == "object":
            low = max(low, len(self.required))
            if refuses_all(self.others) and not self.patterns:
                high = min(high, sum(not refuses_all(self.field(name)) for name in self.named))
        return low, high

    @cached_property
    def prefix(self) -> int:
        """How many positions of a list have a schema of their own."""
        return max((len(items) for items in self.words("prefixItems")), default=0)

    @cached_property
    def unique(self) -> bool:
        return any(self.words("uniqueItems"))

    def item(self, index: int) -> Views:
        """What holds for the item at a position; every position from `prefix` on is the same."""
        found = []
        for schema, view in self._schemas:
            prefix = schema.get("prefixItems", ())
            if index < len(prefix):
                found.append(view.sub(prefix[index]))
            elif "items" in schema:
                found.append(view.sub(schema["items"]))
        return unite(found)

    @cached_property
    def required(self) -> dict[str, None]:
        """The names of the fields that are always there, in order."""
        return {name: None for names in self.words("required") for name in names}

    @cached_property
    def named(self) -> dict[str, None]:
        """The names that are told, in order."""
        told = {name: None for fields in self.words("properties") for name in fields}
        return told | self.required

    @cached_property
    def declared(self) -> frozenset[str]:
        """The names that have a schema of their own."""
        return frozenset(name for fields in self.words("properties") for name in fields)

    @cached_property
    def patterns(self) -> dict[str, Views]:
        """The schemas of fields by the pattern of their names."""
        found: dict[str, list[SchemaView]] = {}
        for schema, view in self._schemas:
            for pattern, rule in schema.get("patternProperties", {}).items():
                found.setdefault(pattern, []).append(view.sub(rule))
        return {pattern: unite(views) for pattern, views in found.items()}

    def field(self, name: str) -> Views:
        """What holds for the value of a field, if it is there; `false` among it: it never is."""
        known = self._fields.get(name)
        if known is None:
            known = self._fields[name] = self._field(name)
        return known

    @cached_property
    def _fields(self) -> dict[str, Views]:
        return {}

    def _field(self, name: str) -> Views:
        found = []
        for index, (schema, view) in enumerate(self._schemas):
            told = False
            if name in schema.get("properties", ()):
                told = True
                found.append(view.sub(schema["properties"][name]))
            for matches, rule in self._patterned.get(index, ()):
                if matches(name):
                    told = True
                    found.append(view.sub(rule))
            if not told and "additionalProperties" in schema:
                found.append(view.sub(schema["additionalProperties"]))
        return unite(found)

    @cached_property
    def others(self) -> Views:
        """What holds for fields that are not named and match no pattern."""
        return unite(
            view.sub(schema["additionalProperties"])
            for schema, view in self._schemas
            if "additionalProperties" in schema
        )

    @cached_property
    def empty(self) -> bool:
        """Whether plainly nothing fits. False does not say that something does."""
        if self.kind == "number":
            return self.interval.empty or (self.whole and "integer" not in self.atoms)
        if self.kind == "string":
            return self.size[0] > self.size[1]
        low, high = self.size
        if low > high:
            return True
        return self.kind == "object" and any(refuses_all(self.field(name)) for name in self.required)


def plain_atoms(views: Views) -> frozenset[str] | None:
    """The types that fit, where nothing but types is said: the common case, answered at once."""
    if len(views) != 1:
        return None if views else ATOMS
    schema = views[0].schema
    if isinstance(schema, dict) and "type" in schema and (len(schema) == 1 or schema.keys() - _SILENT == {"type"}):
        return atoms_of(schema)
    return None


def excluded_atoms(schema: Any) -> frozenset[str] | None:
    """What `not` of a schema leaves out, where that is just some types; None where it is more than that."""
    if isinstance(schema, bool):
        return ATOMS if schema else frozenset()
    if schema.keys() - {"title", "description", "$comment"} - {"type"}:
        return None
    return atoms_of(schema)


def atoms_of(schema: dict[str, Any]) -> frozenset[str]:
    """The types that `type` allows."""
    types = schema.get("type")
    if types is None:
        return ATOMS
    if isinstance(types, str):
        return _ATOMS_OF[types]
    found: set[str] = set()
    for name in types:
        found |= _ATOMS_OF[name]
    return frozenset(found)


def _rule(word: str, schema: dict[str, Any], view: SchemaView) -> Rule:
    parts: Any
    if word.startswith("unevaluated"):
        parts = schema  # everything beside it counts
    else:
        parts = [schema[word], *(schema.get(other, True) for other in _COMPANIONS.get(word, ()))]
    text = json.dumps(parts, sort_keys=True)
    if len(text) > 100_000:
        raise TooCostly(f"its rule '{word}' is very large")
    if 'Ref"' in text or '"$ref"' in text:
        text += f" in {id(view.document)}"  # the same words name other things in another document
    return Rule(word, text)
