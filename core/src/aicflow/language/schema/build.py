"""Schemas made from schemas: unions, literals, objects and lists written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aicflow.language.schema.document import MANY, NAMED, ONE, REFERENCES, Document, SchemaView
from aicflow.language.schema.model import Path, Schema

ANYTHING: Final = SchemaView(True, Document(True))
NOTHING: Final = SchemaView(False, Document(False))

_LEFT_OUT: Final = frozenset(("$anchor", "$defs", "$dynamicAnchor", "$id", "$schema", "definitions"))


class Bundle:
    """Copies schemas out of their documents; `document` makes a new one of a schema built from the copies."""

    def __init__(self) -> None:
        self._defs: dict[str, Schema] = {}
        self._names: dict[tuple[int, Path], str] = {}
        self._pending: list[tuple[str, Schema, Document]] = []
        self._documents: list[Document] = []  # kept, so that their ids stay their own

    def add(self, view: SchemaView) -> Schema:
        """A copy of a schema that may stand anywhere in the new document. Only what it refers to comes along."""
        self._documents.append(view.document)
        copy = self._copy(view.schema, view.document)
        while self._pending:
            name, schema, document = self._pending.pop()
            self._defs[name] = self._copy(schema, document)
        return copy

    def view(self, schema: dict[str, Any]) -> SchemaView:
        """The new document with this schema at its root."""
        return SchemaView.of({**schema, "$defs": self._defs} if self._defs else schema)

    def _copy(self, schema: Schema, document: Document) -> Schema:
        if isinstance(schema, bool):
            return schema
        made: dict[str, Any] = {}
        for word, value in schema.items():
            if word in REFERENCES:
                made["$ref"] = f"#/$defs/{self._name(*document.resolve(value), document)}"
            elif word in ONE:
                made[word] = self._copy(value, document)
            elif word in MANY:
                made[word] = [self._copy(part, document) for part in value]
            elif word in NAMED and word not in _LEFT_OUT:
                made[word] = {name: self._copy(part, document) for name, part in value.items()}
            elif word not in _LEFT_OUT:
                made[word] = value
        return made

    def _name(self, target: Schema, path: Path, document: Document) -> str:
        key = id(document), path
        name = self._names.get(key)
        if name is None:
            told = "".join(char for char in str(path[-1]) if char.isalnum() or char in "_-") if path else ""
            base = name = told[:40] or "value"
            count = 1
            while name in self._defs:
                count += 1
                name = f"{base}-{count}"
            self._names[key] = name
            self._defs[name] = True  # the name is taken; its schema follows
            self._pending.append((name, target, document))
        return name


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
