"""A type in a few words, for messages and hovers."""

from __future__ import annotations

from aicflow.language.schema.build import conjunction, union
from aicflow.language.schema.describe import listed_values, shape_words
from aicflow.language.schema.document import SchemaView
from aicflow.language.schema.navigate import item_positions
from aicflow.language.schema.shape import Shape
from aicflow.language.schema.shapes import shapes_of
from aicflow.language.schema.words import joined


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
