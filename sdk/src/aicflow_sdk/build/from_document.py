"""Filling a workflow from a document. What stands in the document is taken as it is, never escaped again."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.build.workflow import Workflow

__all__ = ["NODE_OPTIONS", "fill"]

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
_NODE_KEYS: Final = tuple(sorted(("id", "type", "params", *NODE_OPTIONS)))


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
    for entry in _entries(given.get("triggers", []), "/triggers", workflow._triggers, _TRIGGER_KEYS):
        workflow._triggers[entry["id"]] = entry
    for entry in _entries(given.get("nodes"), "/nodes", workflow._nodes, _NODE_KEYS):
        workflow._put(entry)
    for where, edge in _list(given.get("edges", []), "/edges"):
        _object(edge, where, ("from", "port", "to"))
        for key in ("from", "to"):
            _text(edge, where, key)
            if edge[key] not in workflow._nodes:
                raise BuildError(f"{where}/{key}: there is no node {edge[key]!r}.")
        workflow._edges.append(edge)


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


def _entries(value: Any, where: str, taken: Mapping[str, Any], keys: Collection[str]) -> Iterator[dict[str, Any]]:
    """The nodes or triggers, each once it is sure that it can be added to those `taken`."""
    for place, entry in _list(value, where):
        _object(entry, place, keys)
        _text(entry, place, "id")
        _text(entry, place, "type")
        if entry["id"] in taken:
            raise BuildError(f"{place}/id: {entry['id']!r} is taken.")
        _object(entry.get("params", {}), f"{place}/params")
        yield entry
