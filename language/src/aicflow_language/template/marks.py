"""How a param takes references, read from its JSON Schema: the keyword `x-aicflow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, cast

from aicflow_language.json_values import pointer_keys
from aicflow_language.records import record

type Kind = Literal["text", "code", "url", "header"]
type Types = Callable[[str], object]
"""The params schema of a node type by its id; None when it is not known."""
type _Schemas = tuple[Mapping[str, object], ...]

_STRICTEST_FIRST: Final[tuple[Kind, ...]] = ("code", "header", "url")
_COMBINING: Final = ("anyOf", "oneOf", "allOf")
_MOST_SCHEMAS: Final = 1_000
_MOST_KEPT: Final = 256


@record
class Mark:
    """What may be done with a text: its kind, and whether secrets may be used in it."""

    kind: Kind
    secret: bool


PLAIN: Final = Mark("text", False)


class Place:
    """A place in the values of one schema, and its mark. A mark holds for everything inside the value too, unless a
    deeper one says otherwise; where several schemas apply, the strictest kind wins and one that takes secrets
    suffices. Places where the same schemas apply are one, so that a schema is read once for all its values."""

    __slots__ = (
        "_inside", "_known", "_prefix", "_root", "_schemas", "input_of", "mark", "names", "params_of", "workflow",
    )  # fmt: skip

    def __init__(
        self, root: object, schemas: _Schemas, around: Mark, known: dict[tuple[Mark, frozenset[int]], Place]
    ) -> None:
        self._root = root
        self._schemas = schemas
        self._known = known
        self._inside: dict[str | int | None, Place] = {}
        fields = [named for schema in schemas if isinstance(named := schema.get("properties"), Mapping)]
        self.names = frozenset(name for named in fields for name in named)
        """The fields that are declared."""
        prefixes = [first for schema in schemas if isinstance(first := schema.get("prefixItems"), list)]
        self._prefix = max(map(len, prefixes), default=0)
        marks = [mark for schema in schemas if isinstance(mark := schema.get("x-aicflow"), Mapping)]
        self.mark = _mark(marks, around) if marks else around
        self.params_of = _beside(marks, "params_of")
        """The value is the params of a node type, whose id stands under this key beside it: only that type's schema
        counts."""
        self.input_of = _beside(marks, "input_of")
        """The value is the input of a workflow, whose id stands under this key beside it."""
        self.workflow = any(mark.get("workflow") is True for mark in marks)
        """The value is the id of a workflow, or a list of them."""

    def inside(self, key: str | int) -> Place:
        """The place of a field or item."""
        same = min(key, self._prefix) if isinstance(key, int) else key if key in self.names else None
        found = self._inside.get(same)
        if found is None:
            inner = [part for schema in self._schemas for part in _inner(schema, key)]
            schemas = tuple(_applying(self._root, inner))
            mark = self.mark
            known = (mark, frozenset(map(id, schemas)))
            found = self._known.get(known)
            if found is None:
                found = self._known[known] = Place(self._root, schemas, mark, self._known)
            self._inside[same] = found
        return found

    def entered(self, key: str | int, value: object, types: Types | None) -> Place:
        """The same inside `value`, where params of another node type may stand."""
        place = self.inside(key)
        if place.params_of is None:
            return place
        name = value.get(place.params_of) if isinstance(value, Mapping) else None
        return place_of(types(name) if types is not None and isinstance(name, str) else None)


_places: Final[dict[int, tuple[object, Place]]] = {}


def place_of(schema: object) -> Place:
    """The place of whole values of a JSON Schema, which must not be changed afterwards."""
    found = _places.get(id(schema))
    if found is None:
        if len(_places) >= _MOST_KEPT:
            _places.clear()
        found = schema, Place(schema, tuple(_applying(schema, [schema])), PLAIN, {})
        _places[id(schema)] = found  # with the schema, so that its id stays its own
    return found[1]


def mark_at(schema: object, path: Sequence[str | int]) -> Mark:
    """The mark of the value at this path."""
    place = place_of(schema)
    for key in path:
        place = place.inside(key)
    return place.mark


def _beside(marks: Sequence[Mapping[str, object]], word: str) -> str | None:
    return next((name for mark in marks if isinstance(name := mark.get(word), str)), None)


def _mark(marks: Sequence[Mapping[str, object]], around: Mark) -> Mark:
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
