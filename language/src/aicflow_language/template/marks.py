"""How a param takes references, read from its JSON Schema: the keyword `x-aicflow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from aicflow_language.json_values import pointer_keys

__all__ = ["PLAIN", "Kind", "Mark", "Types", "mark_at"]

type Kind = Literal["text", "code", "url", "header"]
type Types = Callable[[str], object]
"""The params schema of a node type by its id; None when it is not known."""

_STRICTEST_FIRST: Final[tuple[Kind, ...]] = ("code", "header", "url")
_COMBINING: Final = ("anyOf", "oneOf", "allOf")
_MOST_SCHEMAS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Mark:
    """What may be done with a text: its kind, and whether secrets may be used in it."""

    kind: Kind
    secret: bool


PLAIN: Final = Mark("text", False)


def mark_at(schema: object, path: Sequence[str | int], value: object = None, types: Types | None = None) -> Mark:
    """The mark of the value at this path. A mark holds for everything inside the value too, unless a deeper one
    says otherwise; where several schemas apply, the strictest kind wins and one that takes secrets suffices.

    `{"params_of": KEY}` marks the params of another node type, which stands under KEY beside them in `value`; `types`
    knows its schema, and only that counts inside them."""
    schemas = list(_applying(schema, [schema]))
    mark = _marked(schemas, PLAIN)
    for key in path:
        schemas = list(_applying(schema, [inner for outer in schemas for inner in _inner(outer, key)]))
        beside = _params_of(schemas)
        if beside is not None:
            name = value.get(beside) if isinstance(value, Mapping) else None
            schema = types(name) if types is not None and isinstance(name, str) else None
            schemas = list(_applying(schema, [schema]))
            mark = PLAIN
        mark = _marked(schemas, mark)
        value = _part(value, key)
    return mark


def _params_of(schemas: Sequence[Mapping[str, object]]) -> str | None:
    marks = (schema.get("x-aicflow") for schema in schemas)
    named = (mark.get("params_of") for mark in marks if isinstance(mark, Mapping))
    return next((name for name in named if isinstance(name, str)), None)


def _part(value: object, key: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None


def _marked(schemas: Sequence[Mapping[str, object]], around: Mark) -> Mark:
    marks = [mark for schema in schemas if isinstance(mark := schema.get("x-aicflow"), Mapping)]
    if not marks:
        return around
    kinds = {mark.get("kind") for mark in marks if isinstance(mark.get("kind"), str)}
    kind = next((known for known in _STRICTEST_FIRST if known in kinds), around.kind)
    return Mark(kind, around.secret or any(mark.get("secret") is True for mark in marks))


def _applying(root: object, schemas: Sequence[object]) -> Iterator[Mapping[str, object]]:
    """The schemas, with those they refer to and combine; each once, though they may refer to each other."""
    waiting = list(schemas)
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_SCHEMAS:
        schema = waiting.pop()
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield cast("Mapping[str, object]", schema)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            waiting.append(_referred(root, reference))
        for word in _COMBINING:
            branches = schema.get(word)
            if isinstance(branches, list):
                waiting.extend(branches)


def _referred(root: object, reference: str) -> object:
    """What a local reference such as `#/$defs/Auth` points to, or None."""
    if not reference.startswith("#/") and reference != "#":
        return None
    found = root
    for key in pointer_keys(reference[1:]):
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def _inner(schema: Mapping[str, object], key: str | int) -> Iterator[object]:
    """The subschemas for one key or index of the value."""
    if isinstance(key, str):
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and key in properties:
            yield properties[key]
        else:
            yield schema.get("additionalProperties")
        return
    first = schema.get("prefixItems")
    if isinstance(first, list) and key < len(first):
        yield first[key]
    else:
        yield schema.get("items")
