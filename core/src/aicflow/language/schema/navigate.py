"""The way into a schema: what is at `.name` or `[0]` of a value, is it always there, and what may it be?

For checking references before anything runs. Every answer covers all values that the schema admits; where the schema
says nothing, so does the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any

from aicflow.language.schema.build import ANYTHING, conjunction, literal, union
from aicflow.language.schema.describe import joined, listed_values, shape_words, types_of
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.shapes import ATOMS, Shape, refuses_all, shapes_of


class Presence(StrEnum):
    """Is the field or item there?"""

    ALWAYS = "always"
    MAYBE = "maybe"
    NEVER = "never"
    UNKNOWN = "unknown"
    """The schema does not tell of it, and does not refuse it."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a step into a value finds.

    `presence` is that of the field or item in those values that can have any (objects for a name, lists for an index).
    `view` is what is found there. `nullable`: the value stepped into may be null. `wrong_kinds`: other JSON types it
    may have that cannot be stepped into so. `known`: where the name is not a declared one, those that are.
    `closed`: there can be no others. Of a value that nothing is declared of, nothing is said: no nulls, no kinds.
    """

    presence: Presence
    view: SchemaView
    nullable: bool
    wrong_kinds: frozenset[str]
    known: tuple[str, ...]
    closed: bool


def step(view: SchemaView, key: str | int) -> Access:
    """What `.key` or `[key]` finds. An index may be negative and then counts from the end."""
    found = shapes_of(view)
    if found is None or not found.views:
        return Access(Presence.UNKNOWN, ANYTHING, False, frozenset(), (), False)
    kind, type_ = ("object", dict) if isinstance(key, str) else ("array", list)
    shapes = [shape for shape in found.open if shape.kind == kind]
    values = [value for value in found.values if isinstance(value, type_)]
    parts: list[tuple[Presence, SchemaView | None]] = [_into_shape(shape, key) for shape in shapes]
    parts += [_into_value(value, key) for value in values]
    kinds = types_of(found.atoms - {"null"})
    presence = _together([presence for presence, _ in parts])
    known: dict[str, None] = {}
    if presence in (Presence.NEVER, Presence.UNKNOWN):
        told = [(shape, name) for shape in shapes for name in shape.named]
        known |= dict.fromkeys(name for shape, name in told if not refuses_all(shape.field(name)))
        known |= dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    return Access(
        presence,
        union([part for _, part in parts if part is not None]),
        None in found.values,
        frozenset(kinds) - {kind},
        tuple(known),
        kind == "object" and all(refuses_all(shape.others) for shape in shapes),
    )


def kinds(view: SchemaView) -> frozenset[str]:
    """The JSON types of the values that fit; `number` takes `integer` in. All types where it is hard to tell."""
    found = shapes_of(view)
    return frozenset(types_of(ATOMS if found is None else found.atoms))


def is_nullable(view: SchemaView) -> bool:
    """Whether null fits."""
    return "null" in kinds(view)


def without_null(view: SchemaView) -> SchemaView:
    """What is left of a schema when null is ruled out, as after `??`."""
    if not is_nullable(view):
        return view
    schema = view.schema
    if isinstance(schema, bool):
        return SchemaView.of({"not": {"type": "null"}})
    word = next((word for word in ("anyOf", "oneOf") if word in schema), None)
    if word is not None and not schema.keys() & {"type", "enum", "const"}:
        # The usual way to write "or null" is taken back, so that what is left reads like what was written.
        parts = [part for part in schema[word] if kinds(view.sub(part)) != {"null"}]
        if all(not is_nullable(view.sub(part)) for part in parts):
            if len(parts) == 1 and not schema.keys() - {word, "title", "description", "default", "$defs"}:
                return view.sub(parts[0])
            return view.sub({**schema, word: parts})
    types = schema.get("type")
    if isinstance(types, list):
        left = [name for name in types if name != "null"]
        return view.sub({**schema, "type": left[0] if len(left) == 1 else left})
    return view.sub({"allOf": [schema, {"not": {"type": "null"}}]})


def element(view: SchemaView) -> SchemaView | None:
    """What the items of the lists among the values are; None where there is no list among them."""
    found = shapes_of(view)
    if found is None or not found.views:
        return ANYTHING
    parts: list[SchemaView] = []
    lists = False
    for shape in found.open:
        if shape.kind == "array":
            lists = True
            parts += [conjunction(shape.item(index)) for index in item_positions(shape)]
    for value in found.values:
        if isinstance(value, list):
            lists = True
            parts += [literal(item) for item in value]
    return union(parts) if lists else None


def field_values(view: SchemaView) -> SchemaView | None:
    """What the fields of the objects among the values are, all taken together; None where there is no object."""
    found = shapes_of(view)
    if found is None or not found.views:
        return ANYTHING
    parts: list[SchemaView] = []
    objects = False
    for shape in found.open:
        if shape.kind == "object":
            objects = True
            fields = [shape.field(name) for name in shape.named] + [shape.others]
            parts += [conjunction(views) for views in fields if not refuses_all(views)]
    for value in found.values:
        if isinstance(value, dict):
            objects = True
            parts += [literal(item) for item in value.values()]
    return union(parts) if objects else None


def _into_shape(shape: Shape, key: str | int) -> tuple[Presence, SchemaView | None]:
    if isinstance(key, str):
        views = shape.field(key)
        if refuses_all(views):
            return Presence.NEVER, None
        presence = Presence.MAYBE if views or key in shape.declared else Presence.UNKNOWN
        return Presence.ALWAYS if key in shape.required else presence, conjunction(views)
    low, high = shape.size
    needed = key + 1 if key >= 0 else -key
    if high < needed:
        return Presence.NEVER, None
    presence = Presence.ALWAYS if low >= needed else Presence.MAYBE
    if key >= 0:
        return presence, conjunction(shape.item(min(key, shape.prefix)))
    # Counted from the end it may be any position that is far enough in.
    return presence, union(conjunction(shape.item(index)) for index in item_positions(shape))


def _into_value(value: Any, key: str | int) -> tuple[Presence, SchemaView | None]:
    try:
        return Presence.ALWAYS, literal(value[key])
    except (KeyError, IndexError):
        return Presence.NEVER, None


def _together(found: list[Presence]) -> Presence:
    if not found or all(presence is Presence.NEVER for presence in found):
        return Presence.NEVER
    if all(presence is Presence.ALWAYS for presence in found):
        return Presence.ALWAYS
    return Presence.UNKNOWN if Presence.UNKNOWN in found else Presence.MAYBE


def item_positions(shape: Shape) -> Iterable[int]:
    """A position for each of a list's different item schemas."""
    last = shape.prefix + 1 if shape.size[1] == inf else min(shape.prefix + 1, int(shape.size[1]))
    return range(last)


def describe(view: SchemaView, depth: int = 2) -> str:
    """`integer`, `string or null`, `list of objects`, `object with 3 fields`, `"a" or "b"`, `any value`."""
    found = shapes_of(view)
    if found is None:
        return "value"
    if not found.views:
        return "any value"
    words: list[str] = []
    listed = [value for value in found.values if value is not None and not isinstance(value, bool)]
    if listed:
        words.append(listed_values(listed))
    flags = [value for value in found.values if isinstance(value, bool)]
    if flags:
        words.append("boolean" if len(flags) == 2 else listed_values(flags))
    words += [
        shape_words(shape, _items(shape, depth) if shape.kind == "array" and depth else None) for shape in found.open
    ]
    if None in found.values:
        words.append("null")
    return joined(list(dict.fromkeys(words))) or "nothing"


def _items(shape: Shape, depth: int) -> str | None:
    item = union(conjunction(shape.item(index)) for index in item_positions(shape))
    words = describe(item, depth - 1)
    if words in ("any value", "value", "nothing"):
        return None
    first, _, rest = words.partition(" ")
    if " or " in words or first not in ("integer", "number", "string", "boolean", "object", "list"):
        return f"({words})"
    return f"{first}s {rest}".rstrip()
