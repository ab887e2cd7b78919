"""Types in words: "integer", "string or null", "list of strings", "object with 3 fields"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aicflow.language.schema.model import preview, shorten
from aicflow.language.schema.shapes import ATOMS, Shape

_ORDER: Final = ("boolean", "integer", "number", "string", "array", "object", "null")
_SIZES: Final = {
    "string": ("characters", "Length"),
    "array": ("items", "Items"),
    "object": ("fields", "Properties"),
}
_WORDS: Final = {"array": "list"}


def types_of(atoms: Iterable[str]) -> list[str]:
    """JSON type names for the finer types of shapes, in a fixed order; `number` takes `integer` in."""
    found = {"number" if atom == "fraction" else atom for atom in atoms}
    if "number" in found:
        found.discard("integer")
    return [name for name in _ORDER if name in found]


def type_words(atoms: frozenset[str]) -> str:
    """`a string`, `an integer or null`, `anything`."""
    if atoms == ATOMS:
        return "anything"
    return joined([a_or_an(_WORDS.get(name, name)) for name in types_of(atoms)]) or "nothing"


def listed_values(values: list[Any]) -> str:
    """The first few of some values."""
    shown = [preview(value) for value in values[:4]]
    if len(values) > 4:
        return shorten(f"{', '.join(shown)} … ({len(values)} values)", 120)
    return shorten(joined(shown), 120)


def size_words(kind: str) -> tuple[str, str]:
    """What the parts of a text, a list or an object are called, and the end of the keywords that count them."""
    return _SIZES[kind]


def shape_words(shape: Shape, items: str | None = None) -> str:
    """`integer`, `list of strings`, `object with 3 fields`; `items` describes a list's items."""
    if shape.kind == "number":
        return "integer" if shape.whole else "number"
    if shape.kind == "array":
        return "list" if items is None else f"list of {items}"
    if shape.kind == "object":
        count = len(shape.declared)
        return f"object with {count} field{'' if count == 1 else 's'}" if count else "object"
    return shape.kind


def joined(parts: Sequence[str], last: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def a_or_an(noun: str) -> str:
    """`a string`, `an integer`, plain `null`."""
    if noun == "null":
        return noun
    return f"{'an' if noun[:1] in 'aeio' else 'a'} {noun}"
