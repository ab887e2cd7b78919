"""Filling a workflow from a document. What stands in the document is taken as it is, never escaped again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.build.workflow import Workflow

__all__ = ["fill"]

_KEYS = frozenset(
    {
        "aicflow",
        "name",
        "description",
        "labels",
        "input_schema",
        "vars",
        "triggers",
        "nodes",
        "edges",
        "output",
        "settings",
    }
)
_TRIGGER_KEYS = frozenset({"id", "type", "version", "params", "input", "enabled"})
_OPTIONS = (
    "name",
    "description",
    "output_schema",
    "retry",
    "timeout",
    "step_timeout",
    "on_error",
    "on_recovery",
    "run",
)
_NODE_KEYS = frozenset(("id", "type", "version", "params", *_OPTIONS))


def fill(workflow: Workflow, document: Mapping[str, Any]) -> None:
    """Make the workflow what the document says. Raises BuildError that names the place."""
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        raise BuildError(f"/{unknown[0]} is not a key of a document.", hint=f"Its keys are {', '.join(sorted(_KEYS))}.")
    if document.get("aicflow") != 1:
        raise BuildError(f"/aicflow is {document.get('aicflow')!r}; this package reads format 1.")
    if not isinstance(document.get("name"), str):
        raise BuildError("/name is not text.")
    given = copy.deepcopy(dict(document))
    workflow.description = given.get("description")
    workflow.labels = _object(given.get("labels", {}), "/labels")
    workflow.input_schema = given.get("input_schema")
    workflow._settings = _object(given.get("settings", {}), "/settings")
    workflow._vars = _object(given.get("vars", {}), "/vars")
    workflow._output = given.get("output")
    for index, entry in enumerate(_list(given.get("triggers", []), "/triggers")):
        entry = _entry(entry, f"/triggers/{index}", workflow._triggers, _TRIGGER_KEYS)
        workflow._triggers[entry["id"]] = entry
    for index, entry in enumerate(_list(given.get("nodes"), "/nodes")):
        workflow._put(_entry(entry, f"/nodes/{index}", workflow._nodes, _NODE_KEYS))
    for index, edge in enumerate(_list(given.get("edges", []), "/edges")):
        workflow._edges.append(_edge(edge, f"/edges/{index}", workflow._nodes))


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BuildError(f"{where} is not an object.")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BuildError(f"{where} is not a list." if value is not None else f"{where} is missing.")
    return value


def _entry(value: Any, where: str, taken: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    entry = _object(value, where)
    if unknown := sorted(set(entry) - keys):
        raise BuildError(f"{where}/{unknown[0]} is not known there.", hint=f"There are {', '.join(sorted(keys))}.")
    for key in ("id", "type"):
        if not isinstance(entry.get(key), str):
            raise BuildError(f"{where}/{key} is not text.")
    if entry["id"] in taken:
        raise BuildError(f"{where}/id: {entry['id']!r} is taken.")
    if not isinstance(entry.get("params", {}), dict):
        raise BuildError(f"{where}/params is not an object.")
    return entry


def _edge(value: Any, where: str, nodes: Mapping[str, Any]) -> dict[str, str]:
    edge = _object(value, where)
    if unknown := sorted(set(edge) - {"from", "port", "to"}):
        raise BuildError(f"{where}/{unknown[0]} is not a key of an edge.")
    for key in ("from", "to"):
        if not isinstance(edge.get(key), str):
            raise BuildError(f"{where}/{key} is not the id of a node.")
        if edge[key] not in nodes:
            raise BuildError(f"{where}/{key}: there is no node {edge[key]!r}.")
    return edge
