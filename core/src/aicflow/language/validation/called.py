"""Workflows that name other workflows: where they do, and what is known of those that they name.

A node type says by marks in its schemas that it calls a workflow: `x-aicflow: {"input_of": "workflow"}` at the param
that becomes the input, `{"workflow": true}` at one that only names workflows, `{"output_of": "workflow"}` at the field
of its output that is the workflow's. The id stands under that key of the params.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

from aicflow_language.template import Types
from aicflow_language.template.marks import Place, place_of

from aicflow.kernel.errors import NotFound
from aicflow.kernel.node import NodeType
from aicflow.kernel.registry import Registry
from aicflow.kernel.trigger import TriggerType
from aicflow.kernel.values import dumps, pointer
from aicflow.language.params import params_schema, params_schemas
from aicflow.language.schema import SchemaView

_MARKS: Final = (b'"input_of"', b'"params_of"', b'"workflow":true')
_DEEPEST: Final = 64
type _Reader = Callable[[Any, NodeType | TriggerType, Types], Iterator[Named]]
BODIES: Final = ("map", "repeat", "group")
"""The keys under which a node has a body."""


@dataclass(frozen=True, slots=True)
class Workflows:
    """Saved workflows: their documents by id. `complete`: one that is not here does not exist. `own` is the id of the
    one that is validated, where it has one."""

    documents: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True
    own: str | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """What a workflow takes and returns."""

    input: SchemaView
    output: SchemaView


@dataclass(frozen=True, slots=True)
class Named:
    """A workflow that params name: `way` leads to its id, `input` to what it is given, where it is given something."""

    workflow: str
    way: tuple[str | int, ...]
    input: tuple[str | int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A place of a document that names a workflow. `starts`: to call it, not to be started by it."""

    workflow: str
    pointer: str
    starts: bool = True


class Callees:
    """The workflows that a document may call. `read` tells of one document what it takes and returns."""

    def __init__(self, known: Workflows, registry: Registry, read: Callable[[Any, Callees], Contract]) -> None:
        self.known = known
        self._registry = registry
        self._read = read
        self._contracts: dict[str, Contract | None] = {}
        self.typed: dict[tuple[object, ...], tuple[SchemaView, SchemaView]] = {}
        """Outputs and payloads with the types of workflows in them, each with what it was made of."""

    def contract(self, workflow: str) -> Contract | None:
        """What the workflow takes and returns; None when it is not known, or is being looked at further out."""
        if workflow not in self._contracts:
            self._contracts[workflow] = None
            document = self.known.documents.get(workflow)
            if document is not None:
                self._contracts[workflow] = self._read(document, self)
        return self._contracts[workflow]

    def way(self, start: str, end: str) -> list[str] | None:
        """How one workflow starts another, by way of those that are known; both ends included."""
        came: dict[str, str | None] = {start: None}
        waiting = [start]
        for one in waiting:  # grows while it is read
            if one == end:
                way = [one]
                while (before := came[way[-1]]) is not None:
                    way.append(before)
                return way[::-1]
            for following in self._starts.get(one, ()):
                if following not in came:
                    came[following] = one
                    waiting.append(following)
        return None

    @cached_property
    def _starts(self) -> dict[str, list[str]]:
        """Which workflows each starts, by calling them or by ending."""
        found: dict[str, list[str]] = {}
        for workflow, document in self.known.documents.items():
            for call in calls_of(document, self._registry):
                start, end = (workflow, call.workflow) if call.starts else (call.workflow, workflow)
                found.setdefault(start, []).append(end)
        return found


@cache
def _may_name(cls: NodeType | TriggerType) -> bool:
    text = dumps(params_schema(cls))
    return any(mark in text for mark in _MARKS)


def named_in(params: Any, cls: NodeType | TriggerType, types: Types) -> Iterator[Named]:
    """The workflows that params, as written, name. Those that expressions give are not known."""
    return (named for named in _places(params, cls, types) if named.workflow and "${{" not in named.workflow)


def _places(params: Any, cls: NodeType | TriggerType, types: Types) -> Iterator[Named]:
    """Where params name workflows, also by an expression, or leave it to a model (an empty text)."""
    if _may_name(cls):
        yield from _named(params, place_of(params_schema(cls)), (), types)


def _named(value: Any, place: Place, way: tuple[str | int, ...], types: Types) -> Iterator[Named]:
    if len(way) > _DEEPEST:
        return
    if place.workflow and isinstance(value, str):
        yield from _one(value, way, None)
    elif place.workflow and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _one(item, (*way, index), None)
    elif isinstance(value, Mapping):
        for name in place.names:
            beside = place.inside(name).input_of
            if beside is not None:
                yield from _one(value.get(beside), (*way, beside), (*way, name))
        for key, item in value.items():
            if isinstance(item, Mapping | list) or place.inside(key).workflow:
                yield from _named(item, place.entered(key, value, types), (*way, key), types)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named(item, place.inside(index), (*way, index), types)


def _one(value: Any, way: tuple[str | int, ...], input: tuple[str | int, ...] | None) -> Iterator[Named]:
    if value is None or isinstance(value, str):
        yield Named(value or "", way, input)


def calls_of(document: Any, registry: Registry, *, open: bool = False) -> list[Call]:
    """Where a document names workflows, as far as it can be read. `open`: also where an expression gives the id, which
    stands as the workflow then, or a model does, with an empty text."""
    types, named = params_schemas(registry), _places if open else named_in
    found: list[Call] = []
    if not isinstance(document, Mapping):
        return found
    for i, entry in enumerate(_entries(document.get("triggers"))):
        params = entry.get("params")
        try:
            cls = registry.trigger(str(entry.get("type"))).cls
        except NotFound:
            continue
        found += [
            Call(one.workflow, pointer("triggers", i, "params", *one.way), starts=False)
            for one in named(params, cls, types)
        ]
    _calls_in(document, "", registry, types, found, 0, named)
    settings = document.get("settings")
    handler = settings.get("on_failure") if isinstance(settings, Mapping) else None
    if isinstance(handler, str):
        found.append(Call(handler, "/settings/on_failure"))
    return found


def _calls_in(
    part: Mapping[str, Any], at: str, registry: Registry, types: Types, found: list[Call], depth: int, named: _Reader
) -> None:
    for i, entry in enumerate(_entries(part.get("nodes"))):
        place = at + pointer("nodes", i)
        for kind in BODIES:
            body = entry.get(kind)
            if isinstance(body, Mapping) and depth < _DEEPEST:
                _calls_in(body, f"{place}/{kind}", registry, types, found, depth + 1, named)
        type_id = entry.get("type")
        if not isinstance(type_id, str):
            continue
        try:
            cls = registry.node(type_id).cls
        except NotFound:
            continue
        found += [
            Call(one.workflow, place + pointer("params", *one.way)) for one in named(entry.get("params"), cls, types)
        ]


def _entries(value: Any) -> list[Mapping[str, Any]]:
    return [one if isinstance(one, Mapping) else {} for one in value] if isinstance(value, list) else []
