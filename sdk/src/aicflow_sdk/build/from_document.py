"""Filling a workflow from a document. What stands in the document is taken as it is, never escaped again."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aicflow_sdk.build.bodies import Body
from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.build.workflow import Workflow

NODE_OPTIONS: Final = (
    "name", "description", "version", "output_schema", "retry", "timeout", "step_timeout", "on_error", "on_recovery",
    "run",
)  # fmt: skip
"""The keys of a node besides its id, type and params."""

_KEYS: Final = (
    "aicflow", "description", "edges", "input_schema", "labels", "name", "nodes", "output", "settings", "triggers",
    "vars",
)  # fmt: skip
_TRIGGER_KEYS: Final = ("enabled", "id", "input", "params", "type", "version")
_NODE_KEYS: Final = tuple(sorted(("group", "id", "map", "params", "repeat", "type", *NODE_OPTIONS)))
_BODY_KEYS: Final = {
    "map": (
        "as", "batch", "collect", "concurrency", "edges", "isolate", "key", "max_items", "nodes",
        "on_item_error",        "output", "over",
    ),
    "repeat": ("carry", "delay", "edges", "max", "nodes", "output", "while"),
    "group": ("concurrency", "edges", "nodes", "output"),
}  # fmt: skip


def fill(workflow: Workflow, document: Mapping[str, Any]) -> None:
    """Make the workflow what the document says. Raises BuildError that names the place."""
    given = copy.deepcopy(dict(document))
    _object(given, "", _KEYS)
    if given.get("aicflow") != 1:
        raise BuildError(f"/aicflow is {given.get('aicflow')!r}; this package reads format 1.")
    _text(given, "", "name")
    workflow.description = given.get("description")
    workflow.labels = _object(given.get("labels", {}), "/labels")
    workflow.input_schema = given.get("input_schema")
    workflow._settings = _object(given.get("settings", {}), "/settings")
    workflow._vars = _object(given.get("vars", {}), "/vars")
    workflow._output = given.get("output")
    for place, entry in _entries(given.get("triggers", []), "/triggers", workflow._triggers, _TRIGGER_KEYS):
        _text(entry, place, "type")
        workflow._triggers[entry["id"]] = entry
    _fill_scope(workflow, given, "")


def _fill_scope(workflow: Workflow, given: Mapping[str, Any], at: str) -> None:
    """Add nodes and edges where the workflow's next ones go."""
    scope = workflow._scope
    for place, entry in _entries(given.get("nodes"), f"{at}/nodes", scope.nodes, _NODE_KEYS):
        kinds = [kind for kind in ("type", *_BODY_KEYS) if kind in entry]
        if len(kinds) != 1:
            raise BuildError(f"{place} has one of type, map, repeat and group.")
        kind = kinds[0]
        if kind == "type":
            _text(entry, place, "type")
            workflow._put(entry)
            continue
        body = dict(_object(entry[kind], f"{place}/{kind}", _BODY_KEYS[kind]))
        inside: dict[str, Any] = {key: body.pop(key) for key in ("nodes", "edges") if key in body}
        node = workflow._put({**entry, kind: body})
        assert isinstance(node, Body)
        workflow._scope = node.scope
        _fill_scope(workflow, inside, f"{place}/{kind}")
        workflow._scope = scope
    for where, edge in _list(given.get("edges", []), f"{at}/edges"):
        _object(edge, where, ("from", "port", "to"))
        for key in ("from", "to"):
            _text(edge, where, key)
            if edge[key] not in scope.nodes:
                raise BuildError(f"{where}/{key}: there is no node {edge[key]!r}.")
        scope.edges.append(edge)


def _object(value: Any, where: str, keys: Collection[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BuildError(f"{where} is not an object.")
    unknown = sorted(set(value) - set(keys)) if keys is not None else []
    if keys is not None and unknown:
        raise BuildError(f"{where}/{unknown[0]} is not known there.", hint=f"Available keys: {', '.join(keys)}.")
    return value


def _list(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The items with their places."""
    if not isinstance(value, list):
        raise BuildError(f"{where} is not a list." if value is not None else f"{where} is missing.")
    return ((f"{where}/{index}", item) for index, item in enumerate(value))


def _text(value: Mapping[str, Any], where: str, key: str) -> None:
    if not isinstance(value.get(key), str):
        raise BuildError(f"{where}/{key} is not text.")


def _entries(
    value: Any, where: str, taken: Mapping[str, Any], keys: Collection[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The nodes or triggers with their places, each once it is sure that it can be added to those `taken`."""
    for place, entry in _list(value, where):
        _object(entry, place, keys)
        _text(entry, place, "id")
        if entry["id"] in taken:
            raise BuildError(f"{place}/id: {entry['id']!r} is taken.")
        _object(entry.get("params", {}), f"{place}/params")
        yield place, entry
