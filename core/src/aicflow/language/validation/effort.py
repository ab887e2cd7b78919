"""How much work a document may make: the parts of its expressions, and its own schemas. Those are written by whoever
writes the document, and a small one can stand for thousands of alternatives; what would take too long is not known."""

from __future__ import annotations

from typing import Any, Final

from aicflow.language.schema import Compatibility, SchemaView, Verdict, compatible
from aicflow.language.work import Budget

_ALTERNATIVES: Final = 60_000
"""Alternatives, beyond the first, of all places of all schemas."""
_COMPARING: Final = 1_500_000
"""Parts of schemas that are compared, times the alternatives that meet."""
_PARTS: Final = 2_000
_MOST: Final = 1_000_000


def alternatives(schema: Any, root: Any = None, depth: int = 0) -> int:
    """About how many alternatives a schema has by itself: those of `anyOf` add up, those of `allOf` multiply."""
    if not isinstance(schema, dict) or depth > 30:
        return 1
    found = 1
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            found *= sum(alternatives(part, root, depth + 1) for part in schema[word]) or 1
    if isinstance(schema.get("allOf"), list):
        for part in schema["allOf"]:
            found = min(found * alternatives(part, root, depth + 1), _MOST)
    reference = schema.get("$ref")
    if isinstance(reference, str) and isinstance(root, dict) and reference.startswith("#/$defs/"):
        defs = root.get("$defs")
        target = defs.get(reference.removeprefix("#/$defs/")) if isinstance(defs, dict) else None
        found *= alternatives(target, root, depth + 5)
    return min(found, _MOST)


class Effort:
    """What is left for one document."""

    def __init__(self, parts: int) -> None:
        self.parts = Budget(parts)
        """Parts of expressions that are still looked at."""
        self._alternatives = Budget(_ALTERNATIVES)
        self._comparing = Budget(_COMPARING)
        self._compared: dict[tuple[int, int, int, int], tuple[Compatibility, SchemaView, SchemaView]] = {}
        """What came of comparing two schemas, with them, so that their ids stay their own."""
        self._weights: dict[tuple[int, int], tuple[int, SchemaView]] = {}

    def affords(self, schema: Any) -> bool:
        """Whether the types in a schema of the document can be looked into; takes it off what is left."""
        waiting = [schema]
        found = 0
        for item in waiting:  # grows while it is read
            if isinstance(item, dict):
                if "anyOf" in item or "oneOf" in item or "allOf" in item:
                    found += alternatives(item, schema) - 1
                waiting.extend(value for value in item.values() if isinstance(value, dict | list))
            else:
                waiting.extend(value for value in item if isinstance(value, dict | list))
            if found > _ALTERNATIVES:
                return False
        return self._alternatives.affords(found)

    def compare(self, producer: SchemaView, consumer: SchemaView) -> Compatibility:
        """As `compatible`; UNKNOWN once too much has been compared."""
        key = (id(producer.schema), id(producer.document), id(consumer.schema), id(consumer.document))
        known = self._compared.get(key)
        if known is None:
            if not self._comparing.affords(self._weight(producer) + self._weight(consumer)):
                return Compatibility(Verdict.UNKNOWN)
            known = self._compared[key] = (compatible(producer, consumer), producer, consumer)
        return known[0]

    def _weight(self, view: SchemaView) -> int:
        key = (id(view.schema), id(view.document))
        known = self._weights.get(key)
        if known is None:
            known = self._weights[key] = (_weighed(view), view)
        return known[0]


def _weighed(view: SchemaView) -> int:
    """Its parts, times the alternatives in them."""
    waiting: list[Any] = [view.schema, view.document.schema] if _has_references(view) else [view.schema]
    most = 1
    for count, item in enumerate(waiting):  # grows while it is read
        if count > _PARTS:
            break
        if isinstance(item, dict):
            if "anyOf" in item or "oneOf" in item or "allOf" in item:
                most = max(most, alternatives(item, view.document.schema))
            waiting.extend(value for value in item.values() if isinstance(value, dict | list))
        elif isinstance(item, list):
            waiting.extend(value for value in item if isinstance(value, dict | list))
    return min(min(len(waiting), _PARTS) * min(most, 1_000), _MOST)


def _has_references(view: SchemaView) -> bool:
    return view.schema is not view.document.schema and isinstance(view.schema, dict) and "$ref" in view.schema
