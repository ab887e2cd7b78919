"""A workflow document taken apart for comparison: its entries by id, its edges as a set, defaults left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow.kernel.document import Concurrency, NodeEntry, Retry, Settings, TriggerEntry
from aicflow.kernel.errors import AICFlowError

__all__ = ["OWN", "Edge", "Outline", "outline"]

type Edge = tuple[str, str, str]
"""Source, port, target."""

OWN: Final = ("name", "description", "labels", "input_schema", "output")
_DEFAULTS: Final[dict[Any, dict[str, Any]]] = {
    model: {
        name: found.get_default(call_default_factory=True)
        for name, found in model.model_fields.items()
        if not found.is_required()
    }
    for model in (NodeEntry, TriggerEntry, Settings, Retry, Concurrency)
}


@dataclass(slots=True)
class Outline:
    """`at` says at which index of its list an entry or an edge stands."""

    own: dict[str, Any]
    vars: dict[str, Any]
    settings: dict[str, Any]
    triggers: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[Edge, int] = field(default_factory=dict)
    at: dict[tuple[str, str], int] = field(default_factory=dict)


def outline(document: Any) -> Outline:
    """The document taken apart. Raises AICFlowError for what has not the shape of a workflow document; whether it is
    valid is not asked."""
    document = _object(document, "")
    settings = _without_defaults(_object(document.get("settings") or {}, "/settings"), Settings)
    if isinstance(settings.get("concurrency"), Mapping):
        settings["concurrency"] = _without_defaults(settings["concurrency"], Concurrency)
    found = Outline(
        own={key: document[key] for key in OWN if document.get(key) is not None},
        vars=dict(_object(document.get("vars") or {}, "/vars")),
        settings=settings,
    )
    for key, table, model in (("triggers", found.triggers, TriggerEntry), ("nodes", found.nodes, NodeEntry)):
        for index, entry in enumerate(_list(document.get(key), f"/{key}")):
            place = f"/{key}/{index}"
            entry_id = _text(_object(entry, place).get("id"), f"{place}/id")
            _text(entry.get("type"), f"{place}/type")
            if entry_id in table:
                raise _unusable(f"{place}/id", f"{entry_id!r} stands twice")
            table[entry_id] = _entry(entry, model)
            found.at[key, entry_id] = index
    for index, edge in enumerate(_list(document.get("edges"), "/edges")):
        place = f"/edges/{index}"
        source = _text(_object(edge, place).get("from"), f"{place}/from")
        arrow = (source, _text(edge.get("port", "main"), f"{place}/port"), _text(edge.get("to"), f"{place}/to"))
        found.edges.setdefault(arrow, index)
    return found


def _entry(entry: Mapping[str, Any], model: Any) -> dict[str, Any]:
    kept = _without_defaults({key: value for key, value in entry.items() if key != "id"}, model)
    if isinstance(kept.get("retry"), Mapping):
        kept["retry"] = _without_defaults(kept["retry"], Retry)
    return kept


def _without_defaults(given: Mapping[str, Any], model: Any) -> dict[str, Any]:
    defaults = _DEFAULTS[model]
    return {key: value for key, value in given.items() if key not in defaults or not _is(value, defaults[key])}


def _is(value: Any, default: Any) -> bool:
    return (
        value is None
        if default is None
        else (value == default and isinstance(value, bool) == isinstance(default, bool))
    )


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _unusable(place, "an object is wanted")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise _unusable(place, "a list is wanted")
    return value or []


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _unusable(place, "a text is wanted")
    return value


def _unusable(place: str, what: str) -> AICFlowError:
    return AICFlowError(
        f"This is not a workflow document: {what} at {place or 'the top'}.",
        hint="`aicflow validate` tells all problems.",
    )
