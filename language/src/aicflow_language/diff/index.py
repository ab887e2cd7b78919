"""A workflow document indexed for comparison: its entries by id, its edges as a set, defaults left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow_language.json_values import json_equal

__all__ = ["DEFAULTS", "OWN", "Edge", "Index", "NotADocument", "index"]

type Edge = tuple[str, str, str]
"""Source, port, target."""

OWN: Final = ("name", "description", "labels", "input_schema", "output")
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "nodes": {"params": {}, "on_error": "fail", "run": "reached"},
    "triggers": {"params": {}, "enabled": True},
    "settings": {"fail_fast": False},
    "retry": {"max_attempts": 3, "initial_delay": 1.0, "multiplier": 2.0, "max_delay": 60.0, "jitter": True},
    "concurrency": {"key": "", "limit": 1, "when_full": "queue"},
}
"""What the document model puts in for keys that are not written. Every other key defaults to null."""


class NotADocument(ValueError):
    """It has not the shape of a workflow document; the message says where."""


@dataclass(slots=True)
class Index:
    """`at` says at which position of its list an entry is."""

    own: dict[str, Any]
    vars: dict[str, Any]
    settings: dict[str, Any]
    triggers: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[Edge, int] = field(default_factory=dict)
    at: dict[tuple[str, str], int] = field(default_factory=dict)


def index(document: Any) -> Index:
    """The document indexed; whether it is valid is not checked. Raises NotADocument."""
    document = _object(document, "")
    found = Index(
        own={key: document[key] for key in OWN if document.get(key) is not None},
        vars=dict(_object(document.get("vars") or {}, "/vars")),
        settings=_entry("settings", _object(document.get("settings") or {}, "/settings")),
    )
    for key, table in (("triggers", found.triggers), ("nodes", found.nodes)):
        for position, entry in enumerate(_list(document.get(key), f"/{key}")):
            place = f"/{key}/{position}"
            entry_id = _text(_object(entry, place).get("id"), f"{place}/id")
            _text(entry.get("type"), f"{place}/type")
            if entry_id in table:
                raise NotADocument(f"duplicate id {entry_id!r} at {place}/id")
            table[entry_id] = _entry(key, {name: value for name, value in entry.items() if name != "id"})
            found.at[key, entry_id] = position
    for position, edge in enumerate(_list(document.get("edges"), "/edges")):
        place = f"/edges/{position}"
        source = _text(_object(edge, place).get("from"), f"{place}/from")
        arrow = (source, _text(edge.get("port", "main"), f"{place}/port"), _text(edge.get("to"), f"{place}/to"))
        found.edges.setdefault(arrow, position)
    return found


def _entry(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry without what is the default anyway."""
    defaults = DEFAULTS[key]
    kept = {name: value for name, value in entry.items() if not json_equal(value, defaults.get(name))}
    for part in ("retry", "concurrency"):
        if isinstance(kept.get(part), Mapping):
            kept[part] = _entry(part, kept[part])
    return kept


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotADocument(f"expected an object at {place or 'the top'}")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise NotADocument(f"expected a list at {place}")
    return value or []


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise NotADocument(f"expected a text at {place}")
    return value
