"""A schema as alternatives: the values it lists, and shapes of one JSON type each. References and unions are gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from aicflow.language.schema.compile import Budget, Compiler, is_leaf
from aicflow.language.schema.document import REFERENCES, SchemaView
from aicflow.language.schema.model import Schema, TooCostly, freeze, json_kind
from aicflow.language.schema.shape import (
    ATOMS,
    NUMBERS,
    Key,
    Shape,
    Views,
    atoms_of,
    excluded_atoms,
    key_of,
    plain_atoms,
    unite,
)

STEPS: Final = 20_000
KEPT: Final = 4_096
ALTERNATIVES: Final = 512
LISTED_RANGE: Final = 64  # whole numbers in a range of at most so many are listed one by one
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
            found = Shaper(STEPS).shapes(unite([view]))
        except (TooCostly, RecursionError):
            found = None
        if len(kept) >= KEPT:
            kept.clear()  # documents of node types live long, and schemas are made from their parts
        known = kept[id(view.schema)] = view.schema, found
    return known[1]


class Shaper:
    """Finds shapes, each once, within a number of steps; then it raises `TooCostly`."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._known: dict[Key, Shapes] = {}

    def charge(self, steps: float = 1) -> None:
        """Count work done. Raises `TooCostly`."""
        self._left -= int(steps)
        if self._left < 0:
            raise TooCostly("the schemas are too large or too tangled to be compared")

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
        self.charge(1 + (len(value) if isinstance(value, list | dict) else 0))
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
        self.charge(1 + sum(len(view.schema) for view in shape.views if isinstance(view.schema, dict)))
        if shape.kind == "object":
            self.charge(len(shape.named) * shape.effort)
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
        self.charge()
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
            self.charge(len(found) * len(group))
            if len(found) == 1 and not found[0][0] and found[0][1] == ATOMS:
                found = group
                continue
            self.charge(sum(len(views) for views, _ in found) * len(group) // 4)
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
    types = plain_atoms((view,))
    if types is not None:
        return atom(value) in types
    simple = isinstance(view.schema, dict) and is_leaf(view.schema) and "format" not in view.schema
    return Compiler.of(view.document, formats=formats or simple).fits(view.schema, value, Budget(value))
