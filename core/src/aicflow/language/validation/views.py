"""Types of expressions: views of JSON Schemas, with what is asked again and again kept beside their documents."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from aicflow_language.json_values import schema_type

from aicflow.language import schema as schemas
from aicflow.language.schema import ANYTHING, Access, Presence, SchemaView

__all__ = [
    "ALL",
    "ANYTHING",
    "BOOLEAN",
    "COUNT",
    "INTEGER",
    "LIST",
    "NULL",
    "NUMBER",
    "NUMERIC",
    "OBJECT",
    "STRING",
    "STRINGS",
    "access",
    "constant",
    "fields_of",
    "fixed_list",
    "is_known",
    "item_of",
    "kinds_of",
    "listing",
    "merged",
    "merged_some",
    "object_with",
    "sequence_of",
    "truth_of",
    "typed",
    "unnull",
]

ALL: Final = frozenset(("array", "boolean", "null", "number", "object", "string"))
"""The kinds of a value of which nothing is known."""
NUMERIC: Final = frozenset(("integer", "number"))

_KEPT: Final = 4_096
_HEAVY: Final = 400
"""Schemas with more parts than this are not copied into other schemas; only their kinds are."""


@lru_cache(maxsize=256)
def typed(kinds: frozenset[str]) -> SchemaView:
    """Any value of these JSON types."""
    names = sorted(kinds)
    return SchemaView.of({"type": names[0] if len(names) == 1 else names})


NULL: Final = typed(frozenset(("null",)))
BOOLEAN: Final = typed(frozenset(("boolean",)))
INTEGER: Final = typed(frozenset(("integer",)))
NUMBER: Final = typed(frozenset(("number",)))
STRING: Final = typed(frozenset(("string",)))
LIST: Final = typed(frozenset(("array",)))
OBJECT: Final = typed(frozenset(("object",)))
COUNT: Final = SchemaView.of({"type": "integer", "minimum": 0})
STRINGS: Final = SchemaView.of({"type": "array", "items": {"type": "string"}})


def _kept(view: SchemaView, name: str) -> dict[Any, Any]:
    table: dict[Any, Any] = view.document.cache.setdefault(name, {})
    if len(table) > _KEPT:
        table.clear()  # documents of node types live long
    return table


def kinds_of(view: SchemaView) -> frozenset[str]:
    """The JSON types of the values; `number` takes `integer` in. ALL when nothing is known, empty when none fits."""
    if view is ANYTHING:
        return ALL
    table = view.document.cache.get("kinds")  # asked at every turn, so the way is short
    found = None if table is None else table.get(id(view.schema))
    if found is None:
        found = (_plain_kinds(view.schema) or schemas.kinds(view), view.schema)
        _kept(view, "kinds")[id(view.schema)] = found
    kinds: frozenset[str] = found[0]
    return kinds


def _plain_kinds(schema: Any) -> frozenset[str] | None:
    """The answer for the simplest schemas, which are most of those met."""
    if isinstance(schema, dict) and len(schema) == 1:
        if "const" in schema:
            return frozenset((schema_type(schema["const"]),))
        name = schema.get("type")
        if isinstance(name, str):
            return frozenset((name,))
    return None


def is_known(view: SchemaView) -> bool:
    """Whether anything is known of the values' types; of a schema that admits no value, nothing is said either."""
    return view is not ANYTHING and bool(kinds := kinds_of(view)) and kinds != ALL


@lru_cache(maxsize=2_048, typed=True)
def _scalar(value: bool | int | float | str | None) -> SchemaView:
    return schemas.literal(value)


def constant(value: Any) -> SchemaView:
    """The type of one JSON value; of a large list or object, only that it is one."""
    if isinstance(value, list | dict):
        return schemas.literal(value) if _parts(value, _HEAVY) < _HEAVY else typed(frozenset((schema_type(value),)))
    if isinstance(value, str) and len(value) > 1_000:
        return STRING
    return _scalar(value)


def truth_of(view: SchemaView) -> bool | None:
    """The boolean that the value always is, None where it may be either or something else."""
    found = view.schema.get("const") if isinstance(view.schema, dict) else None
    return found if isinstance(found, bool) else None


def _parts(value: Any, most: int) -> int:
    """How many values, keys and long texts are in it, counted no further than `most`."""
    waiting = [value]
    count = 0
    while waiting and count < most:
        item = waiting.pop()
        count += 1
        if isinstance(item, dict):
            waiting.extend(item.values())
            count += len(item)
        elif isinstance(item, list):
            waiting.extend(item)
            count += len(item)
        elif isinstance(item, str):
            count += len(item) // 100
    return count


def _light(view: SchemaView) -> SchemaView:
    """The view, or only its kinds when copying it would be a burden."""
    table = _kept(view, "weights")
    found = table.get(id(view.schema))
    if found is None:
        weight = _parts(view.schema, _HEAVY)
        if weight < _HEAVY and view.document.schema is not view.schema and _refers(view.schema):
            weight += _parts(view.document.schema, _HEAVY)
        found = table[id(view.schema)] = (weight, view.schema)
    if found[0] < _HEAVY:
        return view
    kinds = kinds_of(view)
    return ANYTHING if kinds == ALL or not kinds else typed(kinds)


def _refers(schema: Any) -> bool:
    waiting = [schema]
    for item in waiting:  # grows while it is read
        if isinstance(item, dict):
            if "$ref" in item or "$dynamicRef" in item:
                return True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def merged(views: Iterable[SchemaView]) -> SchemaView:
    """The type of a value that has one of these types."""
    different: dict[int, SchemaView] = {}
    for view in views:
        if view is ANYTHING or kinds_of(view) == ALL:
            return ANYTHING
        different.setdefault(id(view.schema), view)
    parts = list(different.values())
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part.schema, dict) and part.schema.keys() == {"type"} for part in parts):
        return typed(frozenset().union(*(kinds_of(part) for part in parts)))
    return schemas.union([_light(part) for part in parts])


def merged_some(views: Iterable[SchemaView]) -> SchemaView:
    """The same; types that no value has, such as that of the items of `[]`, count only when there are no others."""
    return merged([view for view in views if view.schema is not False] or [ANYTHING])


def unnull(view: SchemaView) -> SchemaView:
    """The type when null is ruled out."""
    kinds = kinds_of(view)
    if "null" not in kinds or kinds == ALL:
        return view
    if isinstance(view.schema, dict) and view.schema.keys() == {"type"}:
        return typed(kinds - {"null"}) if len(kinds) > 1 else ANYTHING
    table = _kept(view, "unnull")
    found = table.get(id(view.schema))
    if found is None:
        found = table[id(view.schema)] = (schemas.without_null(view), view.schema)
    without: SchemaView = found[0]
    return without


def access(view: SchemaView, key: str | int) -> Access:
    """What `.key` or `[key]` finds in the value."""
    table = _kept(view, "access")
    mark = (id(view.schema), key)
    found = table.get(mark)
    if found is None:
        schema = view.schema
        if isinstance(schema, dict) and len(schema) == 1 and "const" in schema:
            step = _into(schema["const"], key)
        else:
            step = schemas.step(view, key)
        found = table[mark] = (step, schema)
    step_found: Access = found[0]
    return step_found


def _into(value: Any, key: str | int) -> Access:
    """The same for one written value, without asking its schema."""
    fitting = isinstance(value, dict if isinstance(key, str) else list)
    if not fitting:
        wrong = frozenset() if value is None else frozenset((schema_type(value),))
        return Access(Presence.NEVER, schemas.NOTHING, value is None, wrong, (), True)
    try:
        return Access(Presence.ALWAYS, constant(value[key]), False, frozenset(), (), True)
    except (KeyError, IndexError):
        known = tuple(value) if isinstance(value, dict) else ()
        return Access(Presence.NEVER, schemas.NOTHING, False, frozenset(), known, True)


def item_of(view: SchemaView) -> SchemaView:
    """The type of a list's items; anything where that is not known."""
    table = _kept(view, "items")
    found = table.get(id(view.schema))
    if found is None:
        found = table[id(view.schema)] = (schemas.element(view) or ANYTHING, view.schema)
    item: SchemaView = found[0]
    return item


def fields_of(view: SchemaView) -> SchemaView:
    """The type of an object's values, all taken together."""
    return schemas.field_values(view) or ANYTHING


def sequence_of(item: SchemaView) -> SchemaView:
    """A list of any length."""
    if item is ANYTHING or item.schema is False:
        return LIST
    return STRINGS if item is STRING else schemas.items_of(_light(item))


def fixed_list(items: list[SchemaView]) -> SchemaView:
    """A list written out."""
    return schemas.list_of([_light(item) for item in items]) if len(items) <= _HEAVY else LIST


def object_with(fields: dict[str, SchemaView]) -> SchemaView:
    """An object written out."""
    if len(fields) > _HEAVY:
        return OBJECT
    return schemas.object_of({name: _light(view) for name, view in fields.items()})


def listing(view: SchemaView) -> str:
    """The type in a few words, for messages."""
    return schemas.describe(view)
