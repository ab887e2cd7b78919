"""Is it proved that every value of one schema fits another?

A pair that comes up again inside its own proof is taken as proved: the values looked at have become smaller on the
way, so this is induction over their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from aicflow.language.schema.apart import Apart
from aicflow.language.schema.describe import listed_values, type_words
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.shape import Key, Rule, Shape, Views, key_of, plain_atoms, refuses_all, unite
from aicflow.language.schema.shapes import Shaper, Shapes
from aicflow.language.schema.texts_and_numbers import number_gap, size_gaps, text_gap
from aicflow.language.schema.verdict import Gap, ReasonKind

SPLIT: Final = 32  # values of a tag field tried one by one
EXCLUSIVE: Final = 32  # alternatives of a oneOf compared pair by pair


class Covers:
    """Proofs that one schema's values all fit another; each answer found is kept."""

    def __init__(self, shaper: Shaper, apart: Apart) -> None:
        self._shaper = shaper
        self._apart = apart
        self._known: dict[tuple[Key, Key], tuple[Gap | None, Views, Views]] = {}
        self._open: dict[tuple[Key, Key], int] = {}
        self._lowest = 0

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
        key = key_of(producer), key_of(consumer)
        if key in self._known:
            return self._known[key][0]
        depth = self._open.get(key)
        if depth is not None:
            self._lowest = min(self._lowest, depth)
            return None
        self._shaper.charge()
        outer, depth = self._lowest, len(self._open)
        self._lowest = depth
        self._open[key] = depth
        found = self._shapes_gap(self._shaper.shapes(producer), self._shaper.shapes(consumer))
        del self._open[key]
        # A gap stays one whatever was assumed; a proof that leans on an open pair is only as good as that one.
        if found is not None or self._lowest >= depth:
            self._known[key] = found, producer, consumer
        self._lowest = min(outer, self._lowest) if found is None else outer
        return found

    def _shapes_gap(self, producer: Shapes, consumer: Shapes) -> Gap | None:
        gap = _types_gap(producer.atoms, consumer.atoms)
        if gap is not None:
            return gap
        unfit = [value for value in producer.values if not self._shaper.admits(consumer.views, value, surely=True)]
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
            gap = self._pair_gap(shape, other)
            if gap is None:
                return None
            gaps.append((gap, other))
        if len(gaps) == 1:
            return gaps[0][0]
        if shape.kind == "object":
            parts = self._split(shape, others)
            if parts is not None:
                return _worst(self._shape_gap(part, consumer) for part in parts)
        near = [gap for gap, other in gaps if self._apart.shapes_apart(shape, other) is None]
        if not near:
            return Gap(f"may fit none of the {len(others)} alternatives", "anyOf")
        if len(near) == 1:
            return near[0]
        # Several alternatives may take a part of the values each.
        return Gap(f"may fit none of {len(near)} alternatives", "anyOf", sure=False)

    def _split(self, shape: Shape, others: list[Shape]) -> list[Shape] | None:
        """The shape once for each value of a field that tells the alternatives apart."""
        for name in shape.required:
            if not any(name in other.declared for other in others):
                continue
            self._shaper.charge(shape.effort)
            values = self._shaper.shapes(shape.field(name))
            if values.open or not 1 < len(values.values) <= SPLIT:
                continue
            if not any(self._shaper.shapes(other.field(name)).values for other in others):
                continue
            return [
                Shape(
                    shape.kind,
                    shape.atoms,
                    (*shape.views, SchemaView.of({"properties": {name: {"const": value}}})),
                )
                for value in values.values
            ]
        return None

    def _pair_gap(self, shape: Shape, other: Shape) -> Gap | None:
        self._shaper.charge(1 + sum(len(rule.text) for rule in shape.rules | other.rules) // 200)
        gaps: Iterator[Gap | None]
        if shape.kind == "number":
            gaps = iter([number_gap(shape, other)])
        elif shape.kind == "string":
            gaps = iter([text_gap(shape, other)])
        elif shape.kind == "array":
            gaps = self._array_gaps(shape, other)
        else:
            gaps = self._object_gaps(shape, other)
        rules = (self._rule_gap(rule, shape, other) for rule in other.rules if rule not in shape.rules)
        return _worst(gap for part in (gaps, rules) for gap in part)

    def _rule_gap(self, rule: Rule, shape: Shape, other: Shape) -> Gap | None:
        if rule.word == "pattern":
            return Gap("may be a text that does not match the pattern", "pattern")
        source = other.source(rule)
        if rule.word == "oneOf" and source is not None and self._exclusive(source):
            return None
        if rule.word == "dependentRequired" and source is not None and isinstance(source.schema, dict):
            needs = source.schema["dependentRequired"].values()
            if all(name in shape.required for names in needs for name in names):
                return None
        return Gap(f"is under the rule '{rule.word}', which cannot be compared", rule.word, sure=False)

    def _exclusive(self, view: SchemaView) -> bool:
        """Whether no value fits two alternatives of a oneOf, so that it says no more than anyOf."""
        assert isinstance(view.schema, dict)
        parts = [unite([view.sub(part)]) for part in view.schema["oneOf"]]
        if len(parts) > EXCLUSIVE:
            return False
        return all(
            self._apart.apart(one, two) is not None for index, one in enumerate(parts) for two in parts[index + 1 :]
        )

    def _array_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        yield from size_gaps(shape, other)
        longest = shape.size[1]
        if other.unique and not shape.unique and longest > 1:
            yield Gap("may hold the same item twice", "uniqueItems")
        last = max(shape.prefix, other.prefix)
        for index in range(int(min(longest, last))):
            self._shaper.charge(shape.effort + other.effort)
            yield _under(index, self.gap(shape.item(index), other.item(index)))
        if longest > last:
            yield _under("*", self.gap(shape.item(last), other.item(last)))

    def _object_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        yield from size_gaps(shape, other)
        for name in other.required:
            if name not in shape.required:
                yield self._missing(name, shape)
        for name in other.named | shape.named:
            self._shaper.charge(shape.effort + other.effort)
            mine = shape.field(name)
            if refuses_all(mine):
                continue
            gap = self.gap(mine, other.field(name))
            if gap is not None and not mine and name not in shape.declared and name not in shape.required:
                yield Gap(f"field '{name}' is not declared and may be anything", "", _UNDECLARED, sure=False)
            elif gap is not None and refuses_all(other.field(name)):
                yield Gap(f"may have the field '{name}', which is not accepted", "additionalProperties")
            else:
                yield _under(name, gap)
        yield from self._other_gaps(shape, other)

    def _missing(self, name: str, shape: Shape) -> Gap:
        if refuses_all(shape.field(name)):
            return Gap(f"field '{name}' is never there", "required", ReasonKind.MAYBE_MISSING)
        if name in shape.declared:
            return Gap(f"field '{name}' may be missing", "required", ReasonKind.MAYBE_MISSING)
        if shape.field(name):
            return Gap(f"field '{name}' may be missing", "required", ReasonKind.MAYBE_MISSING)
        return Gap(f"field '{name}' is not declared", "required", _UNDECLARED)

    def _other_gaps(self, shape: Shape, other: Shape) -> Iterator[Gap | None]:
        """The fields that neither side names: whatever schema they may have here, each they may meet there."""
        wanted: list[tuple[str | None, Views]] = [(None, other.others), *other.patterns.items()]
        offered: list[tuple[str | None, Views]] = [(None, shape.others), *shape.patterns.items()]
        plain = len(wanted) == len(offered) == 1
        for pattern, mine in offered:
            if refuses_all(mine):
                continue
            for wanted_pattern, theirs in wanted:
                if pattern in other.patterns and wanted_pattern is None and pattern is not None:
                    continue  # a name that matches the pattern here matches it there
                gap = self.gap(mine, theirs)
                if gap is None:
                    continue
                if refuses_all(theirs):
                    message = "may have other fields, which are not accepted"
                    yield Gap(message, "additionalProperties", _UNDECLARED, sure=plain)
                elif plain:
                    yield gap.under("*")
                else:
                    yield Gap(f"other fields: {gap.reason}", gap.keyword, gap.kind, False, ("*", *gap.path))


_UNDECLARED: Final = ReasonKind.UNDECLARED_FIELD


def _types_gap(producer: frozenset[str], consumer: frozenset[str]) -> Gap | None:
    missing = producer - consumer
    if not missing:
        return None
    if missing == {"fraction"} and "integer" in consumer:
        return Gap("may have a fraction, and an integer is expected", "type")
    kind = ReasonKind.MAYBE_NULL if missing == {"null"} else ReasonKind.MAYBE_MISMATCH
    return Gap(f"may be {type_words(missing)}", "type", kind)


def _under(step: str | int, gap: Gap | None) -> Gap | None:
    return None if gap is None else gap.under(step)


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
