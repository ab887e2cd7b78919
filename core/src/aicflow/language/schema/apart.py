"""Is it proved that no value fits both of two schemas?

A pair that comes up again inside its own proof is taken as proved: the values looked at have become smaller on the
way, so this is induction over their size.
"""

from __future__ import annotations

from math import inf

from aicflow.language.schema.describe import listed_values, size_words, type_words
from aicflow.language.schema.shape import Key, Shape, Views, key_of, plain_atoms, refuses_all
from aicflow.language.schema.shapes import Shaper, Shapes
from aicflow.language.schema.verdict import Gap, ReasonKind
from aicflow.language.schema.words import joined

_NOTHING = Gap("", "", ReasonKind.MISMATCH)


class Apart:
    """Proofs that two schemas have no value in common; each proof found is kept."""

    def __init__(self, shaper: Shaper) -> None:
        self._shaper = shaper
        self._known: dict[tuple[Key, Key], tuple[Gap | None, Views, Views]] = {}
        self._open: dict[tuple[Key, Key], int] = {}
        self._lowest = 0

    def apart(self, one: Views, two: Views) -> Gap | None:
        """Why no value fits both, told of `one` as the producer; None where that is not proved."""
        mine, theirs = plain_atoms(one), plain_atoms(two)
        if mine is not None and theirs is not None:
            return None if mine & theirs else _types_apart(mine, theirs)
        key = key_of(one), key_of(two)
        if key in self._known:
            return self._known[key][0]
        depth = self._open.get(key)
        if depth is not None:
            self._lowest = min(self._lowest, depth)
            return _NOTHING
        self._shaper.charge()
        outer, depth = self._lowest, len(self._open)
        self._lowest = depth
        self._open[key] = depth
        found = self._shapes_apart(self._shaper.shapes(one), self._shaper.shapes(two))
        del self._open[key]
        # A disproof holds always; a proof that leans on a pair still open holds only if that one is proved too.
        if found is None or self._lowest >= depth:
            self._known[key] = found, one, two
        self._lowest = min(outer, self._lowest) if found is not None else outer
        return found

    def _shapes_apart(self, one: Shapes, two: Shapes) -> Gap | None:
        if not (one.atoms & two.atoms):
            if two.nothing:
                return Gap("no value is accepted here", "", ReasonKind.MISMATCH)
            return _types_apart(one.atoms, two.atoms)
        for value in one.values:
            if self._shaper.admits(two.views, value, surely=False):
                return None
        for value in two.values:
            if self._shaper.admits(one.views, value, surely=False):
                return None
        clashes: list[Gap] = []
        for shape in one.open:
            for other in two.open:
                if shape.kind == other.kind:
                    clash = self.shapes_apart(shape, other)
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

    def shapes_apart(self, one: Shape, two: Shape) -> Gap | None:
        """The same for two shapes of one type."""
        self._shaper.charge()
        if one.kind == "number":
            return self._numbers(one, two)
        if one.kind == "object":
            return self._objects(one, two) or self._sizes(one, two)
        clash = self._sizes(one, two)
        return clash or (self._arrays(one, two) if one.kind == "array" else None)

    def _sizes(self, one: Shape, two: Shape) -> Gap | None:
        if one.size[0] <= two.size[1] and two.size[0] <= one.size[1]:
            return None
        noun, suffix = size_words(one.kind)
        message = f"has {_range(one.size)} {noun}, and {_range(two.size)} are expected"
        word = "max" if one.size[0] > two.size[1] else "min"
        return Gap(message, word + suffix, ReasonKind.MISMATCH)

    def _numbers(self, one: Shape, two: Shape) -> Gap | None:
        if one.whole != two.whole and not (one.atoms & two.atoms):
            return Gap("is never a number of the expected sort", "type", ReasonKind.MISMATCH)
        both = one.interval.meet(two.interval)
        if (both.whole() if one.whole or two.whole else both).empty:
            return Gap("lies outside the expected range", "minimum", ReasonKind.MISMATCH)
        return None

    def _arrays(self, one: Shape, two: Shape) -> Gap | None:
        certain = max(one.size[0], two.size[0])
        last = max(one.prefix, two.prefix)
        for index in range(int(min(certain, last + 1))):
            self._shaper.charge(one.effort + two.effort)
            clash = self.apart(one.item(index), two.item(index))
            if clash is not None:
                return clash.under(index)
        return None

    def _objects(self, one: Shape, two: Shape) -> Gap | None:
        # What both sides need is there in any value that fits both, so its schemas must have a value in common.
        for name in two.required | one.required:
            self._shaper.charge(one.effort + two.effort)
            mine, other = one.field(name), two.field(name)
            if refuses_all(mine):
                return Gap(f"field '{name}' is never there", "required", ReasonKind.MISMATCH)
            if refuses_all(other):
                message = f"has the field '{name}', which is not accepted"
                return Gap(message, "additionalProperties", ReasonKind.MISMATCH)
            clash = self.apart(mine, other)
            if clash is not None:
                return clash.under(name)
        return None


def _types_apart(one: frozenset[str], two: frozenset[str]) -> Gap:
    return Gap(f"is {type_words(one)}, and {type_words(two)} is expected", "type", ReasonKind.MISMATCH)


def _range(size: tuple[float, float]) -> str:
    low, high = size
    if high == inf:
        return f"at least {int(low)}"
    return str(int(low)) if low == high else joined([f"{int(low)}", f"{int(high)}"], "to")
