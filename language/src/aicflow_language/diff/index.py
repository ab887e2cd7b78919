"""A workflow document indexed for comparison: its entries by id, its edges as a set, defaults left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow_language.json_values import json_equal, pointer

type Edge = tuple[str, str, str]
"""Source, port, target."""
type Place = tuple[str | int, ...]

BODIES: Final = ("map", "repeat", "group")
"""The keys under which a node has nodes of its own. Ids are unique over all of them."""

OWN: Final = ("name", "description", "labels", "input_schema", "output")
DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "nodes": {"params": {}, "on_error": "fail", "run": "reached"},
    "triggers": {"params": {}, "enabled": True},
    "settings": {"fail_fast": False},
    "retry": {"max_attempts": 3, "initial_delay": 1.0, "multiplier": 2.0, "max_delay": 60.0, "jitter": True},
    "concurrency": {"key": "", "limit": 1, "when_full": "queue"},
    "map": {"as": "item", "concurrency": 10, "batch": 1, "on_item_error": "fail", "max_items": 100_000}
    | {"collect": "items", "isolate": False},
    "repeat": {"delay": 0.0},
    "group": {},
}
"""What the document model puts in for keys that are not written. Every other key defaults to null."""


class NotADocument(ValueError):
    """It has not the shape of a workflow document; the message says where."""


@dataclass(slots=True)
class Index:
    """`at` says where an entry stands, `inside` in which node, when it is in one. Edges are those of all bodies."""

    own: dict[str, Any]
    vars: dict[str, Any]
    settings: dict[str, Any]
    triggers: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[Edge, Place] = field(default_factory=dict)
    at: dict[tuple[str, str], Place] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)

    def name(self, node: str) -> str:
        """The node's id behind those of the nodes it is inside of: `each.get`."""
        outer = self.inside.get(node)
        return node if outer is None else f"{self.name(outer)}.{node}"


def index(document: Any) -> Index:
    """The document indexed; whether it is valid is not checked. Raises NotADocument."""
    document = _object(document, ())
    found = Index(
        own={key: document[key] for key in OWN if document.get(key) is not None},
        vars=dict(_object(document.get("vars") or {}, ("vars",))),
        settings=_entry("settings", _object(document.get("settings") or {}, ("settings",))),
    )
    _take_entries(found, "triggers", found.triggers, document, ())
    parts: list[tuple[Mapping[str, Any], Place]] = [(document, ())]
    for part, root in parts:  # grows while it is read
        for entry_id, kind in _take_entries(found, "nodes", found.nodes, part, root):
            own = found.nodes[entry_id]
            body, place = own[kind], (*found.at["nodes", entry_id], kind)
            parts.append((body, place))
            found.inside |= {inner["id"]: entry_id for inner in _list(body.get("nodes"), place) if _has_id(inner)}
            own[kind] = _entry(kind, {key: value for key, value in body.items() if key not in ("nodes", "edges")})
        for position, edge in enumerate(_list(part.get("edges"), (*root, "edges"))):
            place = (*root, "edges", position)
            source = _text(_object(edge, place).get("from"), (*place, "from"))
            port = _text(edge.get("port", "main"), (*place, "port"))
            found.edges.setdefault((source, port, _text(edge.get("to"), (*place, "to"))), place)
    return found


def _take_entries(
    found: Index, key: str, table: dict[str, dict[str, Any]], part: Mapping[str, Any], root: Place
) -> list[tuple[str, str]]:
    """Index the entries of a list; those with a body are returned, each with its key."""
    bodies = []
    for position, entry in enumerate(_list(part.get(key), (*root, key))):
        place = (*root, key, position)
        entry_id = _text(_object(entry, place).get("id"), (*place, "id"))
        kind = next((one for one in BODIES if key == "nodes" and isinstance(entry.get(one), Mapping)), None)
        if kind is None:
            _text(entry.get("type"), (*place, "type"))
        else:
            bodies.append((entry_id, kind))
        if entry_id in table:
            raise NotADocument(f"duplicate id {entry_id!r} at {pointer(*place, 'id')}")
        table[entry_id] = _entry(key, {name: value for name, value in entry.items() if name != "id"})
        found.at[key, entry_id] = place
    return bodies


def _has_id(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str)


def _entry(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry without what is the default anyway."""
    defaults = DEFAULTS[key]
    kept = {name: value for name, value in entry.items() if not json_equal(value, defaults.get(name))}
    for part in ("retry", "concurrency"):
        if isinstance(kept.get(part), Mapping):
            kept[part] = _entry(part, kept[part])
    return kept


def _object(value: Any, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotADocument(f"expected an object at {pointer(*place) or 'the top'}")
    return value


def _list(value: Any, place: Place) -> list[Any]:
    if not isinstance(value, list | None):
        raise NotADocument(f"expected a list at {pointer(*place)}")
    return value or []


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str):
        raise NotADocument(f"expected a text at {pointer(*place)}")
    return value
