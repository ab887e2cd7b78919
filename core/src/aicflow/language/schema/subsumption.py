"""Schema against schema: do the values that a producer may give fit what a consumer takes?

YES and NO are proofs. MAYBE means that some values do not fit, as far as the schemas tell. UNKNOWN means that it cannot
be told: the producer declares nothing or admits nothing, the work would not end soon, or the consumer has words that
are not compared (all but types, fields, items, lists of values, bounds, lengths, formats, references and alternatives).
Formats take part in a YES and never make a NO: readers often accept more.

A pair that comes up again inside its own proof is taken as proved: the values looked at have become smaller on the
way, so this is induction over their size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import Final, Literal

from aicflow.language.schema.describe import joined, listed_values, size_words, type_words
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.metacheck import check
from aicflow.language.schema.model import Path, Schema, TooCostly, pointer, preview, shorten
from aicflow.language.schema.shapes import (
    Key,
    Normaliser,
    Shape,
    Shapes,
    Views,
    key_of,
    plain_atoms,
    refuses_all,
    unite,
)

STEPS: Final = 60_000  # some tenths of a second at the worst
EXCLUSIVE: Final = 32  # alternatives of a oneOf compared pair by pair


class Verdict(StrEnum):
    """Do the producer's values fit the consumer?"""

    YES = "yes"
    """Every one does."""
    NO = "no"
    """None does."""
    MAYBE = "maybe"
    """Some may not; the reason tells which."""
    UNKNOWN = "unknown"
    """It could not be decided."""


class ReasonKind(StrEnum):
    """What stands in the way; the names are those of the validation codes `type.…`."""

    MISMATCH = "mismatch"
    MAYBE_NULL = "maybe-null"
    MAYBE_MISSING = "maybe-missing"
    MAYBE_MISMATCH = "maybe-mismatch"
    UNDECLARED_FIELD = "undeclared-field"


@dataclass(frozen=True, slots=True)
class Compatibility:
    """A verdict with its reason, in words that follow "the value …".

    `path` leads to the place inside the value, like a JSON pointer with `*` for any item or any other field. `keyword`
    is the consumer's keyword at stake (`type`, `required`, `format`, `minLength` …), empty when there is not one.
    """

    verdict: Verdict
    reason: str = ""
    path: str = ""
    reason_kind: ReasonKind | None = None
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Why not all (or why none) fit. `sure`: it is known that some do not, rather than not known that all do."""

    reason: str
    keyword: str
    kind: ReasonKind = ReasonKind.MAYBE_MISMATCH
    sure: bool = True
    path: Path = ()


def compatible(producer: Schema | SchemaView, consumer: Schema | SchemaView) -> Compatibility:
    """Whether every value that fits the producer's schema fits the consumer's, none does, or some may not.

    Takes schemas, or views of checked documents, which are cheaper: a plain schema is checked first, and an unusable
    one makes the verdict UNKNOWN. Never raises, and ends within bounded work.
    """
    views = []
    for side, schema in (("producer", producer), ("consumer", consumer)):
        if isinstance(schema, SchemaView):
            views.append(schema)
            continue
        problems = check(schema)
        if problems:
            first = problems[0]
            reason = f"the {side}'s schema is unusable at {first.pointer or 'its root'}: {first.message}"
            return Compatibility(Verdict.UNKNOWN, shorten(reason))
        views.append(SchemaView.of(schema))
    try:
        return _compare(*views)
    except TooCostly as costly:
        return Compatibility(Verdict.UNKNOWN, str(costly))
    except RecursionError:
        return Compatibility(Verdict.UNKNOWN, "the schemas are nested too deeply to be compared")


def _compare(producer: SchemaView, consumer: SchemaView) -> Compatibility:
    if _same(producer, consumer):
        return Compatibility(Verdict.YES)
    comparison = _Comparison(Normaliser(STEPS))
    mine, theirs = unite([producer]), unite([consumer])
    if not theirs:
        return Compatibility(Verdict.YES)
    if plain_atoms(mine) is None and comparison.normal.shapes(mine).nothing:
        return Compatibility(Verdict.UNKNOWN, "the producer admits no value")
    clash = comparison.disjoint(mine, theirs)
    gap = comparison.gap(mine, theirs)
    if gap is None:
        reason = "" if clash is None else "the producer admits no value"
        return Compatibility(Verdict.YES if clash is None else Verdict.UNKNOWN, reason)
    verdict = Verdict.NO if clash is not None else Verdict.MAYBE if gap.sure else Verdict.UNKNOWN
    told = clash or gap
    return Compatibility(verdict, shorten(told.reason), pointer(told.path), told.kind, told.keyword)


def _same(one: SchemaView, two: SchemaView) -> bool:
    """Whether both are the same schema, word by word: then all else is idle."""
    if one.document is two.document:
        return one.schema is two.schema
    if one.document.schema is not one.schema or two.document.schema is not two.schema:
        return False
    if one.schema != two.schema:  # quick, but it takes 1 for true
        return False
    return json.dumps(one.schema, sort_keys=True) == json.dumps(two.schema, sort_keys=True)


class _Comparison:
    """Proofs that two schemas have no value in common, and that one's values all fit another; each is kept."""

    def __init__(self, normal: Normaliser) -> None:
        self.normal = normal
        self._charge = normal.budget.charge
        self._known: dict[tuple[str, Key, Key], tuple[Gap | None, Views, Views]] = {}
        self._open: dict[tuple[str, Key, Key], int] = {}
        self._lowest = 0

    def disjoint(self, one: Views, two: Views) -> Gap | None:
        """Why no value fits both, told of `one` as the producer; None where that is not proved."""
        mine, theirs = plain_atoms(one), plain_atoms(two)
        if mine is not None and theirs is not None:
            return None if mine & theirs else _types_apart(mine, theirs)
        return self._proved("disjoint", one, two, self._disjoint)

    def gap(self, producer: Views, consumer: Views) -> Gap | None:
        """None where it is proved that all values of the producer fit the consumer, else what stands against it."""
        mine = {(id(view.schema), id(view.document)) for view in producer if isinstance(view.schema, dict)}
        consumer = tuple(view for view in consumer if (id(view.schema), id(view.document)) not in mine)
        if not consumer:
            return None
        if not producer:
            return Gap("is not declared and may be anything", "", _UNDECLARED, sure=False)
        plain, wanted = plain_atoms(producer), plain_atoms(consumer)
        if plain is not None and wanted is not None:
            return _types_gap(plain, wanted)
        return self._proved("subsumed", producer, consumer, self._gap)

    def _proved(
        self,
        what: Literal["disjoint", "subsumed"],
        one: Views,
        two: Views,
        find: Callable[[Shapes, Shapes], Gap | None],
    ) -> Gap | None:
        key = what, key_of(one), key_of(two)
        if key in self._known:
            return self._known[key][0]
        depth = self._open.get(key)
        if depth is not None:
            self._lowest = min(self._lowest, depth)
            return _ASSUMED if what == "disjoint" else None
        self._charge()
        outer, depth = self._lowest, len(self._open)
        self._lowest = depth
        self._open[key] = depth
        found = find(self.normal.shapes(one), self.normal.shapes(two))
        del self._open[key]
        proof = (found is not None) == (what == "disjoint")
        # A disproof holds always; a proof that leans on a pair still open holds only if that one is proved too.
        if not proof or self._lowest >= depth:
            self._known[key] = found, one, two
        self._lowest = min(outer, self._lowest) if proof else outer
        return found

    # No value in common

    def _disjoint(self, one: Shapes, two: Shapes) -> Gap | None:
        if not (one.atoms & two.atoms):
            if two.nothing:
                return Gap("no value is accepted here", "", ReasonKind.MISMATCH)
            return _types_apart(one.atoms, two.atoms)
        for values, views in ((one.values, two.views), (two.values, one.views)):
            if any(self.normal.admits(views, value, surely=False) for value in values):
                return None
        clashes: list[Gap] = []
        for shape in one.open:
            for other in two.open:
                if shape.kind == other.kind:
                    clash = self._shapes_disjoint(shape, other)
                    if clash is None:
                        return None
                    clashes.append(clash)
        if len(clashes) == len(one.open) == 1 and not one.values:
            return clashes[0]
        if one.values and not one.open:
            wanted = listed_values(two.values) if two.values and not two.open else type_words(two.atoms)
            return Gap(f"is {listed_values(one.values)}, which does not fit {wanted}", "", ReasonKind.MISMATCH)
        if two.values and not two.open:
            return Gap(f"is never {listed_values(two.values)}", "enum", ReasonKind.MISMATCH)
        return Gap(f"fits none of the alternatives ({type_words(two.atoms)})", "anyOf", ReasonKind.MISMATCH)

    def _shapes_disjoint(self, one: Shape, two: Shape) -> Gap | None:
        """The same for two shapes of one type."""
        self._charge()
        if one.kind == "number":
            if one.whole != two.whole and not (one.atoms & two.atoms):
                return Gap("is never a number of the expected sort", "type", ReasonKind.MISMATCH)
            both = one.interval.meet(two.interval)
            if (both.whole() if one.whole or two.whole else both).empty:
                return Gap("lies outside the expected range", "minimum", ReasonKind.MISMATCH)
            return None
        clash = self._fields_disjoint(one, two) if one.kind == "object" else None
        if clash is None and (one.size[0] > two.size[1] or two.size[0] > one.size[1]):
            noun, suffix = size_words(one.kind)
            message = f"has {_range(one.size)} {noun}, and {_range(two.size)} are expected"
            word = "max" if one.size[0] > two.size[1] else "min"
            clash = Gap(message, word + suffix, ReasonKind.MISMATCH)
        if clash is None and one.kind == "array":
            certain, last = max(one.size[0], two.size[0]), max(one.prefix, two.prefix)
            for index in range(int(min(certain, last + 1))):
                self._charge(one.effort + two.effort)
                clash = clash or _under(index, self.disjoint(one.item(index), two.item(index)))
        return clash

    def _fields_disjoint(self, one: Shape, two: Shape) -> Gap | None:
        # What both sides need is there in any value that fits both, so its schemas must have a value in common.
        for name in two.required | one.required:
            self._charge(one.effort + two.effort)
            mine, other = one.field(name), two.field(name)
            if refuses_all(mine):
                return Gap(f"field '{name}' is never there", "required", ReasonKind.MISMATCH)
            if refuses_all(other):
                message = f"has the field '{name}', which is not accepted"
                return Gap(message, "additionalProperties", ReasonKind.MISMATCH)
            clash = self.disjoint(mine, other)
            if clash is not None:
                return _under(name, clash)
        return None

    # Every value fits

    def _gap(self, producer: Shapes, consumer: Shapes) -> Gap | None:
        gap = _types_gap(producer.atoms, consumer.atoms)
        if gap is not None:
            return gap
        unfit = [value for value in producer.values if not self.normal.admits(consumer.views, value, surely=True)]
        if unfit:
            kind = ReasonKind.MAYBE_NULL if unfit == [None] else ReasonKind.MAYBE_MISMATCH
            return Gap(f"may be {listed_values(unfit)}", "", kind)
        return _worst(self._shape_gap(shape, consumer) for shape in producer.open)

    def _shape_gap(self, shape: Shape, consumer: Shapes) -> Gap | None:
        """One of the producer's shapes against all alternatives of the consumer."""
        others = [other for other in consumer.open if other.kind == shape.kind]
        if not others:
            listed = [value for value in consumer.values if _is(value, shape)]
            return Gap(f"may be something else than {listed_values(listed)}", "enum")
        gaps = []
        for other in others:
            self._charge()
            gap = _worst(self._pair_gaps(shape, other))
            if gap is None:
                return None
            gaps.append((gap, other))
        if len(gaps) == 1:
            return gaps[0][0]
        near = [gap for gap, other in gaps if self._shapes_disjoint(shape, other) is None]
        if len(near) == 1:
            return near[0]
        # Several alternatives may take a part of the values each.
        return Gap(f"may fit none of {len(near or others)} alternatives", "anyOf", sure=not near)

    def _pair_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        if shape.kind == "number":
            yield _number_gap(shape, other)
        else:
            yield from _size_gaps(shape, other)
        if shape.kind == "string":
            yield from (Gap(f"may not be a valid {name}", "format") for name in sorted(other.formats - shape.formats))
        elif shape.kind == "array":
            yield from self._item_gaps(shape, other)
        elif shape.kind == "object":
            yield from self._field_gaps(shape, other)
        for word, view in other.opaque:
            if word != "oneOf" or not self._exclusive(view):
                yield Gap(f"is under the rule '{word}', which cannot be compared", word, sure=False)

    def _exclusive(self, view: SchemaView) -> bool:
        """Whether no value fits two alternatives of a oneOf, so that it says no more than anyOf."""
        assert isinstance(view.schema, dict)
        parts = [unite([view.sub(part)]) for part in view.schema["oneOf"]]
        if len(parts) > EXCLUSIVE:
            return False
        return all(self.disjoint(one, two) is not None for index, one in enumerate(parts) for two in parts[index + 1 :])

    def _item_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        longest, last = shape.size[1], max(shape.prefix, other.prefix)
        for index in range(int(min(longest, last))):
            self._charge(shape.effort + other.effort)
            yield _under(index, self.gap(shape.item(index), other.item(index)))
        if longest > last:
            yield _under("*", self.gap(shape.item(last), other.item(last)))

    def _field_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        for name in other.required:
            if name not in shape.required:
                yield _missing(name, shape)
        for name in other.named | shape.named:
            self._charge(shape.effort + other.effort)
            mine, theirs = shape.field(name), other.field(name)
            if refuses_all(mine):
                continue
            gap = self.gap(mine, theirs)
            if gap is not None and not mine and name not in shape.declared and name not in shape.required:
                yield Gap(f"field '{name}' is not declared and may be anything", "", _UNDECLARED, sure=False)
            elif gap is not None and refuses_all(theirs):
                yield Gap(f"may have the field '{name}', which is not accepted", "additionalProperties")
            else:
                yield _under(name, gap)
        gap = None if refuses_all(shape.others) else self.gap(shape.others, other.others)
        if gap is not None and refuses_all(other.others):
            sure = all(word != "patternProperties" for word, _ in shape.opaque)
            yield Gap("may have other fields, which are not accepted", "additionalProperties", _UNDECLARED, sure)
        else:
            yield _under("*", gap)


_UNDECLARED: Final = ReasonKind.UNDECLARED_FIELD
_ASSUMED: Final = Gap("", "", ReasonKind.MISMATCH)


def _missing(name: str, shape: Shape) -> Gap:
    field = shape.field(name)
    if refuses_all(field):
        return Gap(f"field '{name}' is never there", "required", ReasonKind.MAYBE_MISSING)
    if name in shape.declared or field:
        return Gap(f"field '{name}' may be missing", "required", ReasonKind.MAYBE_MISSING)
    return Gap(f"field '{name}' is not declared", "required", _UNDECLARED)


def _number_gap(shape: Shape, other: Shape) -> Gap | None:
    """Why some numbers of the one shape do not fit the other; None when all do."""
    if other.whole and not shape.whole:
        return Gap("may have a fraction, and an integer is expected", "type")
    if "integer" not in other.atoms and "integer" in shape.atoms:
        return Gap("may be an integer", "not")
    mine, theirs = shape.interval, other.interval
    if mine.within(theirs):
        return None
    below = mine.low < theirs.low or (mine.low == theirs.low and theirs.low_open and not mine.low_open)
    bound, word = (theirs.low, "less") if below else (theirs.high, "more")
    or_equal = " or equal" if (theirs.low_open if below else theirs.high_open) else ""
    message = f"may be {word} than{or_equal} {'to ' if or_equal else ''}{preview(bound)}"
    return Gap(message, "minimum" if below else "maximum")


def _size_gaps(shape: Shape, other: Shape) -> Iterator[Gap]:
    """Lengths of one shape that the other does not take."""
    noun, suffix = size_words(shape.kind)
    (low, high), (least, most) = shape.size, other.size
    if shape.kind == "object":
        # Required and refused fields count into the size; they have reasons of their own, and better ones.
        least = max(other.words("minProperties"), default=0)
        most = min(other.words("maxProperties"), default=inf)
    if low < least:
        message = "may be empty" if least == 1 else f"may have less than {int(least)} {noun}"
        yield Gap(message, f"min{suffix}")
    if high > most:
        yield Gap(f"may have more than {int(most)} {noun}", f"max{suffix}")


def _types_gap(producer: frozenset[str], consumer: frozenset[str]) -> Gap | None:
    missing = producer - consumer
    if not missing:
        return None
    if missing == {"fraction"} and "integer" in consumer:
        return Gap("may have a fraction, and an integer is expected", "type")
    kind = ReasonKind.MAYBE_NULL if missing == {"null"} else ReasonKind.MAYBE_MISMATCH
    return Gap(f"may be {type_words(missing)}", "type", kind)


def _types_apart(one: frozenset[str], two: frozenset[str]) -> Gap:
    return Gap(f"is {type_words(one)}, and {type_words(two)} is expected", "type", ReasonKind.MISMATCH)


def _range(size: tuple[float, float]) -> str:
    low, high = size
    if high == inf:
        return f"at least {int(low)}"
    return str(int(low)) if low == high else joined([f"{int(low)}", f"{int(high)}"], "to")


def _under(step: str | int, gap: Gap | None) -> Gap | None:
    return None if gap is None else replace(gap, path=(step, *gap.path))


def _worst(gaps: Iterable[Gap | None]) -> Gap | None:
    """The first gap that is known to be one, else the first that may be."""
    first: Gap | None = None
    for gap in gaps:
        if gap is not None and gap.sure:
            return gap
        first = first or gap
    return first


def _is(value: object, shape: Shape) -> bool:
    if shape.kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "array": list, "object": dict}[shape.kind])
