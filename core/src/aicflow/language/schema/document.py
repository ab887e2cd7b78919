"""A schema document: what `$ref` may name in it, and views of its parts. Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aicflow.language.schema.model import Path, Schema
from aicflow.texts import cut

ONE: Final = (
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED: Final = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
REFERENCES: Final = ("$ref", "$dynamicRef")
NOT_SCHEMAS: Final = ("const", "default", "enum", "examples")  # data, whatever it looks like


class RefError(ValueError):
    """A reference that names nothing in its document; the message says why."""


class Document:
    """One schema document. Equal only to itself; remembers what its references name."""

    __slots__ = ("_anchors", "_resolved", "cache", "schema")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.cache: dict[str, Any] = {}
        """Things computed from this document by other modules, under a name of theirs."""
        self._resolved: dict[str, tuple[Schema, Path]] = {}
        self._anchors: dict[str, tuple[Schema, Path]] | None = None

    def resolve(self, ref: str) -> tuple[Schema, Path]:
        """The schema that a local reference names and the path to it. Raises `RefError`."""
        found = self._resolved.get(ref)
        if found is None:
            found = self._resolved[ref] = self._find(ref)
        return found

    def _find(self, ref: str) -> tuple[Schema, Path]:
        own = self.schema.get("$id") if isinstance(self.schema, dict) else None
        base, mark, fragment = ref.partition("#")
        if base and not (isinstance(own, str) and base == own.partition("#")[0]):
            raise RefError(
                f"'{cut(ref, 80)}' is outside this document; only local references are followed "
                "('#', '#/$defs/Name', '#anchor'): copy the schema into $defs"
            )
        if not mark or not fragment:
            return self.schema, ()
        fragment = unquote(fragment)
        if not fragment.startswith("/"):
            if self._anchors is None:
                self._anchors = dict(_anchors(self.schema))
            if fragment not in self._anchors:
                raise RefError(f"no $anchor is called '{cut(fragment, 80)}'")
            return self._anchors[fragment]
        return self._follow(ref, fragment)

    def _follow(self, ref: str, fragment: str) -> tuple[Schema, Path]:
        here: Any = self.schema
        path: list[str | int] = []
        is_name = False
        for raw in fragment[1:].split("/"):
            part = raw.replace("~1", "/").replace("~0", "~")
            if part in NOT_SCHEMAS and not is_name:
                raise RefError(f"'{cut(ref, 80)}' names something that is not a schema")
            is_name = part in NAMED and not is_name
            if isinstance(here, dict) and part in here:
                here = here[part]
                path.append(part)
            elif isinstance(here, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(here):
                here = here[int(part)]
                path.append(int(part))
            else:
                raise RefError(f"'{cut(ref, 80)}' names nothing: there is no '{cut(part, 40)}' in this document there")
        if not isinstance(here, dict | bool):
            raise RefError(f"'{cut(ref, 80)}' names something that is not a schema")
        return here, tuple(path)


@dataclass(frozen=True, slots=True, eq=False)
class SchemaView:
    """A schema together with the document its references look into."""

    schema: Schema
    document: Document

    @classmethod
    def of(cls, schema: Schema) -> SchemaView:
        """The view of a whole document. The schema must have passed `check`."""
        return cls(schema, Document(schema))

    def sub(self, schema: Schema) -> SchemaView:
        """A view of another schema of the same document."""
        return SchemaView(schema, self.document)


def children(schema: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Every place directly in a schema where the words of JSON Schema put another schema."""
    for word, value in schema.items():
        if word in ONE:
            yield (word,), value
        elif word in MANY and isinstance(value, list):
            for index, item in enumerate(value):
                yield (word, index), item
        elif word in NAMED and isinstance(value, dict):
            for name, item in value.items():
                yield (word, name), item


def in_place(schema: dict[str, Any], document: Document) -> Iterator[Schema]:
    """The schemas that a schema applies to the very same value. Broken references are passed over."""
    for word in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(word, ())
    for word in ("not", "if", "then", "else"):
        if word in schema:
            yield schema[word]
    yield from schema.get("dependentSchemas", {}).values()
    for word in REFERENCES:
        if word in schema:
            try:
                yield document.resolve(schema[word])[0]
            except RefError:
                continue


def _anchors(root: Schema) -> Iterator[tuple[str, tuple[Schema, Path]]]:
    pending: list[tuple[Path, Any]] = [((), root)]
    while pending:
        path, schema = pending.pop()
        if not isinstance(schema, dict):
            continue
        for word in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(word), str):
                yield schema[word], (schema, path)
        pending.extend((path + step, child) for step, child in children(schema))
