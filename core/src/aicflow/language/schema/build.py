"""Schemas made from schemas: unions, literals, objects and lists written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aicflow.language.schema.bundle import Bundle
from aicflow.language.schema.document import Document, SchemaView

ANYTHING: Final = SchemaView(True, Document(True))
NOTHING: Final = SchemaView(False, Document(False))


def union(views: Iterable[SchemaView]) -> SchemaView:
    """What fits any of some schemas; the schema of nothing when there are none. Documents are joined into one."""
    parts: dict[tuple[int, int], SchemaView] = {}
    for view in views:
        if view.schema is True or view.schema == {}:
            return ANYTHING
        if view.schema is not False:
            parts.setdefault((id(view.schema), id(view.document)), view)
    return _combined("anyOf", list(parts.values())) if parts else NOTHING


def conjunction(views: Iterable[SchemaView]) -> SchemaView:
    """What fits all of some schemas; anything when there are none."""
    found = list(views)
    return _combined("allOf", found) if found else ANYTHING


def literal(value: Any) -> SchemaView:
    """The schema of one JSON value."""
    return SchemaView.of({"const": value})


def object_of(fields: Mapping[str, SchemaView]) -> SchemaView:
    """The schema of an object written out with these fields, and no other."""
    bundle = Bundle()
    return bundle.view(
        {
            "type": "object",
            "properties": {name: bundle.add(view) for name, view in fields.items()},
            "required": list(fields),
            "additionalProperties": False,
        }
    )


def list_of(items: list[SchemaView]) -> SchemaView:
    """The schema of a list written out with these items."""
    bundle = Bundle()
    schema: dict[str, Any] = {"type": "array", "minItems": len(items), "maxItems": len(items)}
    if items:
        schema["prefixItems"] = [bundle.add(view) for view in items]
    return bundle.view(schema)


def items_of(item: SchemaView) -> SchemaView:
    """The schema of a list of any length with items of one sort."""
    bundle = Bundle()
    return bundle.view({"type": "array", "items": bundle.add(item)})


def _combined(word: str, views: list[SchemaView]) -> SchemaView:
    first = views[0]
    if len(views) == 1:
        return first
    if all(view.document is first.document for view in views):
        return first.sub({word: [view.schema for view in views]})
    bundle = Bundle()
    return bundle.view({word: [bundle.add(view) for view in views]})
