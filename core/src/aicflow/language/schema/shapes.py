"""A schema normalised: the values it lists, and shapes of one JSON type each. References and unions are gone.

A shape is what all the plain schemas that hold in one alternative say together. It admits every value that they admit,
perhaps more: what it cannot express is `opaque`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, floor, inf
from typing import Any, Final, NamedTuple

from aicflow.language.schema.compile import FORMATS, Compiler, ValueBudget, is_leaf
from aicflow.language.schema.document import REFERENCES, SchemaView
from aicflow.language.schema.model import Schema, TooCostly, freeze, json_kind
from aicflow.language.work import Budget

STEPS: Final = 20_000
KEPT: Final = 4_096
ALTERNATIVES: Final = 512
LISTED_RANGE: Final = 64  # whole numbers in a range of at most so many are listed one by one

type Views = tuple[SchemaView, ...]
"""Schemas that all hold. Empty: anything."""

type Key = tuple[int, ...]

ATOMS: Final = frozenset(("null", "boolean", "integer", "fraction", "string", "array", "object"))
"""The JSON types, with numbers told apart by whether they have a fraction."""
NUMBERS: Final = frozenset(("integer", "fraction"))

_ATOMS_OF: Final = {**{name: frozenset((name,)) for name in ATOMS}, "number": NUMBERS}

_OPAQUE: Final = {
    "number": ("not", "if", "oneOf", "multipleOf"),
    "string": ("not", "if", "oneOf", "pattern"),
    "array": ("not", "if", "oneOf", "contains", "uniqueItems", "unevaluatedItems"),
    "object": (
        *("not", "if", "oneOf", "propertyNames", "patternProperties", "dependentRequired", "dependentSchemas"),
        "unevaluatedProperties",
    ),
}
"""What shapes do not express: whether a value fits such words cannot be told."""


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
    def effort(self) -> int:
        """About how much work it is to look at one field or item, in steps."""
        return 1 + len(self.views) // 4

    @cached_property
    def opaque(self) -> list[tuple[str, SchemaView]]:
        """The words that are not expressed here, with the schemas that they stand in."""
        return [
            (word, view)
            for schema, view in self._schemas
            for word in _OPAQUE[self.kind]
            if word in schema
            and not (word == "not" and excluded_atoms(schema[word]) is not None)
            and not (word.startswith("un") and schema[word] is (word != "uniqueItems"))
        ]

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
        return "fraction" not in self.atoms or any(step % 1 == 0 for step in self.words("multipleOf"))

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
            if refuses_all(self.others):
                high = min(high, sum(not refuses_all(self.field(name)) for name in self.named))
        return low, high

    @cached_property
    def prefix(self) -> int:
        """How many positions of a list have a schema of their own."""
        return max((len(items) for items in self.words("prefixItems")), default=0)

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
        for schema, view in self._schemas:
            if name in schema.get("properties", ()):
                found.append(view.sub(schema["properties"][name]))
            elif "additionalProperties" in schema and "patternProperties" not in schema:
                found.append(view.sub(schema["additionalProperties"]))
        return unite(found)

    @cached_property
    def others(self) -> Views:
        """What holds for fields that are not named."""
        return unite(
            view.sub(schema["additionalProperties"])
            for schema, view in self._schemas
            if "additionalProperties" in schema and "patternProperties" not in schema
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


_KIND_ATOMS: Final = {
    "number": NUMBERS,
    "string": frozenset({"string"}),
    "array": frozenset({"array"}),
    "object": frozenset({"object"}),
}

type _Branch = tuple[Views, frozenset[str]]
"""Plain schemas that hold together, and the types left to them."""


@dataclass(eq=False)
class Shapes:
    """What some schemas admit together: these values, and what fits one of the shapes (or a little less)."""

    views: Views
    values: list[Any] = field(default_factory=list)
    open: list[Shape] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not self.values and not self.open

    @property
    def atoms(self) -> frozenset[str]:
        found: set[str] = {atom(value) for value in self.values}
        for shape in self.open:
            found |= {"integer"} if shape.kind == "number" and shape.whole else shape.atoms
        return frozenset(found)


def atom(value: Any) -> str:
    kind = json_kind(value)
    return "fraction" if kind == "number" else kind


def shapes_of(view: SchemaView) -> Shapes | None:
    """The alternatives of one schema, kept with its document; None where it is too tangled to tell."""
    kept: dict[int, tuple[Schema, Shapes | None]] = view.document.cache.setdefault("shapes", {})
    known = kept.get(id(view.schema))
    if known is None:
        try:
            found = Normaliser(STEPS).shapes(unite([view]))
        except (TooCostly, RecursionError):
            found = None
        if len(kept) >= KEPT:
            kept.clear()  # documents of node types live long, and schemas are made from their parts
        known = kept[id(view.schema)] = view.schema, found
    return known[1]


class Normaliser:
    """Takes schemas apart into shapes, each once, within a number of steps; then it raises `TooCostly`."""

    def __init__(self, steps: int) -> None:
        self.budget = Budget(steps, "the schemas are too large or too tangled to be compared")
        self._charge = self.budget.charge
        self._known: dict[Key, Shapes] = {}

    def shapes(self, views: Views) -> Shapes:
        """The alternatives of schemas that all hold."""
        key = key_of(views)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(views)  # its views keep the ids in the key their own
        return found

    def admits(self, views: Views, value: Any, *, surely: bool) -> bool:
        """Whether a value fits all of some schemas, by validating it.

        A format counts against a value for some readers only, and under `not` in its favour. So it is tried both with
        and without formats: a value fits `surely` if both say so, and perhaps if either does.
        """
        self._charge(1 + (len(value) if isinstance(value, list | dict) else 0))
        both = (all(_fits(view, value, formats) for view in views) for formats in (True, False))
        return all(both) if surely else any(both)

    def _find(self, views: Views) -> Shapes:
        found = Shapes(views)
        listed: list[Any] = []
        for plain, atoms in self._product(self._expand(view) for view in views):
            values = self._values(plain)
            if values is not None:
                listed += [value for value in values if atom(value) in atoms]
                continue
            if "null" in atoms:
                listed.append(None)
            if "boolean" in atoms:
                listed += [False, True]
            for kind, mine in _KIND_ATOMS.items():
                if atoms & mine:
                    self._add(Shape(kind, atoms & mine, plain), found, listed)
        seen: set[Any] = set()
        for value in listed:
            mark = freeze(value)
            if mark not in seen:
                seen.add(mark)
                # Exact: whatever shapes cannot express, the schemas themselves can tell of a value.
                if self.admits(views, value, surely=False):
                    found.values.append(value)
        return found

    def _add(self, shape: Shape, found: Shapes, listed: list[Any]) -> None:
        self._charge(1 + sum(len(view.schema) for view in shape.views if isinstance(view.schema, dict)))
        if shape.kind == "object":
            self._charge(len(shape.named) * shape.effort)
        if shape.empty:
            return
        if shape.kind == "number" and shape.whole and "integer" in shape.atoms:
            low, _, high, _ = shape.interval
            if -inf < low and high < inf and high - low < LISTED_RANGE:
                listed.extend(range(int(low), int(high) + 1))
                return
        found.open.append(shape)

    def _values(self, plain: Views) -> list[Any] | None:
        """The values listed by const or enum, the shortest such list; None when there is none."""
        best: list[Any] | None = None
        for view in plain:
            schema = view.schema
            if isinstance(schema, dict):
                if "const" in schema:
                    return [schema["const"]]
                if "enum" in schema and (best is None or len(schema["enum"]) < len(best)):
                    best = schema["enum"]
        return best

    def _expand(self, view: SchemaView) -> list[_Branch]:
        """The alternatives of one schema. It ends because `check` refuses references that go in circles."""
        self._charge()
        schema = view.schema
        if isinstance(schema, bool):
            return [((), ATOMS)] if schema else []
        atoms = atoms_of(schema)
        if "not" in schema:
            atoms -= excluded_atoms(schema["not"]) or frozenset()
        groups: list[list[_Branch]] = [[((view,), atoms)]]
        targets = [view.document.resolve(schema[word])[0] for word in REFERENCES if word in schema]
        groups.extend(self._expand(view.sub(target)) for target in targets)
        groups.extend(self._expand(view.sub(part)) for part in schema.get("allOf", ()))
        groups.extend(self._union(view, schema[word]) for word in ("anyOf", "oneOf") if word in schema)
        return self._product(groups)

    def _union(self, view: SchemaView, parts: list[Schema]) -> list[_Branch]:
        return [branch for part in parts for branch in self._expand(view.sub(part))]

    def _product(self, groups: Iterable[list[_Branch]]) -> list[_Branch]:
        found: list[_Branch] = [((), ATOMS)]
        for group in groups:
            self._charge(len(found) * len(group))
            if len(found) == 1 and not found[0][0] and found[0][1] == ATOMS:
                found = group
                continue
            self._charge(sum(len(views) for views, _ in found) * len(group) // 4)
            found = [
                (unite((*views, *more)), both)
                for views, atoms in found
                for more, other in group
                if (both := atoms & other)
            ]
            if len(found) > ALTERNATIVES:
                raise TooCostly(f"a schema has more than {ALTERNATIVES} alternatives")
        return found


def _fits(view: SchemaView, value: Any, formats: bool) -> bool:
    schema = view.schema
    if isinstance(schema, dict) and atom(value) not in atoms_of(schema):
        return False  # most questions end here, before a schema is compiled for one value
    if plain_atoms((view,)) is not None:
        return True
    simple = isinstance(schema, dict) and is_leaf(schema) and "format" not in schema
    return Compiler.of(view.document, formats=formats or simple).fits(schema, value, ValueBudget(value))
