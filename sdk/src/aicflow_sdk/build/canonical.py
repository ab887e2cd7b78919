"""Documents in one form, so that what means the same looks the same; and documents with nodes renamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from aicflow_sdk.build.parse import parse
from aicflow_sdk.build.template import Hole, scan
from aicflow_sdk.build.text import escape, hole
from aicflow_sdk.build.trees import Chain, Field, Index, Literal, Root, Tree
from aicflow_sdk.errors import BuildError

__all__ = ["canonical", "node_with_references", "renamed"]

_NODE_DEFAULTS: Final[Mapping[str, Any]] = {"on_error": "fail", "params": {}, "run": "reached"}
_TRIGGER_DEFAULTS: Final[Mapping[str, Any]] = {"enabled": True, "params": {}}
_SETTING_DEFAULTS: Final[Mapping[str, Any]] = {"fail_fast": False}
_CODE: Final = frozenset({("python.code", "code")})


def canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with nodes and triggers by id, edges as a set of (from, port, to), defaults left out, expressions
    spelled in one way. Raises BuildError for what has not the shape of a document."""
    try:
        return {
            "name": document.get("name"),
            "description": document.get("description"),
            "labels": dict(document.get("labels") or {}),
            "input_schema": document.get("input_schema"),
            "output": _spelled(document.get("output")),
            "vars": dict(document.get("vars") or {}),
            "settings": _said(_spelled(document.get("settings") or {}), _SETTING_DEFAULTS),
            "triggers": {e["id"]: _entry(e, _TRIGGER_DEFAULTS) for e in document.get("triggers") or []},
            "nodes": {e["id"]: _entry(e, _NODE_DEFAULTS) for e in document.get("nodes") or []},
            "edges": frozenset((e["from"], e.get("port", "main"), e["to"]) for e in document.get("edges") or []),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise BuildError(f"This is not a workflow document: {error!r}.") from None


def renamed(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A canonical document with nodes called otherwise, everywhere."""
    if not names:
        return dict(document)

    def name(node_id: str) -> str:
        return names.get(node_id, node_id)

    def change(tree: Tree) -> Tree:
        changed: Tree = _with_names(tree, names)
        return changed

    out = dict(document)
    for key in ("output", "settings", "triggers"):
        out[key] = _spelled(document[key], change)
    out["nodes"] = {name(key): _changed_params(entry, change) for key, entry in document["nodes"].items()}
    out["edges"] = frozenset((name(a), port, name(b)) for a, port, b in document["edges"])
    return out


def node_with_references(document: Mapping[str, Any], node_id: str) -> dict[str, Any]:
    """A node of a canonical document with the edges at it: what must be the same for a renaming."""
    near = sorted(list(edge) for edge in document["edges"] if node_id in (edge[0], edge[2]))
    return {"entry": document["nodes"].get(node_id), "edges": near}


def _entry(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in entry.items() if key != "id"}
    return _said(_changed_params(rest, lambda tree: tree), defaults)


def _changed_params(entry: Mapping[str, Any], change: Callable[[Tree], Tree]) -> dict[str, Any]:
    """The entry with the expressions in its params and input changed; code is not touched."""
    out = dict(entry)
    if "params" in entry:
        out["params"] = {
            key: value if (entry.get("type"), key) in _CODE else _spelled(value, change)
            for key, value in entry["params"].items()
        }
    if "input" in entry:
        out["input"] = _spelled(entry["input"], change)
    return out


def _said(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in entry.items()
        if value is not None and not (key in defaults and value == defaults[key])
    }


def _spelled(value: Any, change: Callable[[Tree], Tree] = lambda tree: tree) -> Any:
    """The value with every expression changed and spelled in one way; what cannot be read stays."""
    if isinstance(value, Mapping):
        return {key: _spelled(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item, change) for item in value]
    if not isinstance(value, str) or "${{" not in value:
        return value
    parts = scan(value)
    if parts is None:
        return value
    try:
        spelled = [hole(change(parse(part.source))) if isinstance(part, Hole) else escape(part) for part in parts]
    except BuildError:
        return value
    if len([part for part in parts if isinstance(part, Hole)]) == 1 and all(
        part.isspace() for part in parts if isinstance(part, str)
    ):
        return "".join(text for text, part in zip(spelled, parts, strict=True) if isinstance(part, Hole))
    return "".join(spelled)


def _with_names(tree: Any, names: Mapping[str, str]) -> Any:
    """The tree with other nodes in its references."""
    if isinstance(tree, tuple):
        return tuple(_with_names(part, names) for part in tree)
    if not is_dataclass(tree) or isinstance(tree, type):
        return tree
    changed = replace(
        tree, **{field.name: _with_names(getattr(tree, field.name), names) for field in fields(tree) if field.init}
    )
    if not isinstance(changed, Chain) or changed.base != Root("nodes"):
        return changed
    first, *rest = changed.steps
    if isinstance(first, Field) and first.name in names:
        return Chain(changed.base, (Field(names[first.name], first.optional), *rest))
    if isinstance(first, Index) and isinstance(first.index, Literal) and first.index.value in names:
        key = Literal(names[str(first.index.value)])
        return Chain(changed.base, (Index(key, first.optional), *rest))
    return changed
