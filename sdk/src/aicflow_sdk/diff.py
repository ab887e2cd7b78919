"""What has changed in meaning between two workflow documents: nodes, params, edges, triggers, settings.

The order of nodes and edges, defaults written out, and the spelling of expressions do not count; a node that only has a
new id is a renaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aicflow_sdk.build.canonical import canonical, node_with_references, renamed
from aicflow_sdk.documents import HasDocument, document_of

__all__ = ["Change", "Diff", "diff"]

type Kind = Literal["added", "removed", "changed", "renamed"]
type What = Literal["workflow", "node", "edge", "trigger", "var", "setting"]

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}
_MISSING: Final = object()
_LONGEST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. `name` is the id (of an edge `from -> to`), `path` leads to what changed inside, with dots."""

    kind: Kind
    what: What
    name: str
    path: str = ""
    old: Any = None
    new: Any = None

    def __str__(self) -> str:
        head = f"{_SIGNS[self.kind]} {self.what}{f' {self.name}' if self.name else ''}"
        match self.kind:
            case "renamed":
                return f"{head} is now called {self.new}"
            case "changed":
                return f"{head}: {self.path}: {_shown(self.old)} -> {_shown(self.new)}"
        if self.what in ("node", "trigger"):
            entry = self.new if self.kind == "added" else self.old
            return f"{head} ({entry['type']})"
        return head


@dataclass(frozen=True, slots=True)
class Diff:
    """The changes, those of the workflow itself first. False when there are none."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "no changes"

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `{"changes": [{kind, what, name, path, old, new}]}`."""
        return {"changes": [asdict(change) for change in self.changes]}


def diff(old: HasDocument | Mapping[str, Any], new: HasDocument | Mapping[str, Any]) -> Diff:
    """Compare two workflows, documents or ones built in Python."""
    before, after = canonical(document_of(old)), canonical(document_of(new))
    renames = _renames(before, after)
    changes = [Change(kind="renamed", what="node", name=a, old=a, new=b) for a, b in renames.items()]
    before = renamed(before, renames)
    changes[:0] = _own(before, after)
    changes += _keyed("var", before["vars"], after["vars"])
    changes += _keyed("setting", before["settings"], after["settings"])
    changes += _entries("trigger", before["triggers"], after["triggers"])
    changes += _entries("node", before["nodes"], after["nodes"])
    changes += _edges(before["edges"], after["edges"])
    return Diff(tuple(changes))


def _own(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(kind="changed", what="workflow", name="", path=path, old=_shell(a), new=_shell(b))
        for key in ("name", "description", "input_schema", "output")
        for path, a, b in _differences(before[key], after[key], key)
    ]


def _keyed(what: What, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in (*before, *(key for key in after if key not in before)):
        if key not in after:
            yield Change(kind="removed", what=what, name=key, old=before[key])
        elif key not in before:
            yield Change(kind="added", what=what, name=key, new=after[key])
        else:
            for path, a, b in _differences(before[key], after[key], "value"):
                yield Change(kind="changed", what=what, name=key, path=path, old=_shell(a), new=_shell(b))


def _entries(what: What, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in (*before, *(key for key in after if key not in before)):
        if key not in after:
            yield Change(kind="removed", what=what, name=key, old=before[key])
        elif key not in before:
            yield Change(kind="added", what=what, name=key, new=after[key])
        else:
            for path, a, b in _differences(before[key], after[key], ""):
                yield Change(kind="changed", what=what, name=key, path=path, old=_shell(a), new=_shell(b))


def _edges(before: frozenset[tuple[str, str, str]], after: frozenset[tuple[str, str, str]]) -> Iterator[Change]:
    for edge in sorted(before - after):
        yield Change(kind="removed", what="edge", name=_edge(edge), old=_edge_json(edge))
    for edge in sorted(after - before):
        yield Change(kind="added", what="edge", name=_edge(edge), new=_edge_json(edge))


def _edge(edge: tuple[str, str, str]) -> str:
    source, port, target = edge
    return f"{source}{'' if port == 'main' else f'.{port}'} -> {target}"


def _edge_json(edge: tuple[str, str, str]) -> dict[str, str]:
    return {"from": edge[0], "port": edge[1], "to": edge[2]}


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """The innermost places that differ, with `_MISSING` where there is nothing."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*old, *(key for key in new if key not in old)):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(old.get(key, _MISSING), new.get(key, _MISSING), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _differences(a, b, f"{path}[{index}]")
    elif not _same(old, new):
        yield path, old, new


def _same(old: Any, new: Any) -> bool:
    """JSON equality: true is not 1, and 1.0 is 1."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return bool(old == new)


def _renames(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Nodes that are gone, with the new node that is the same but for its id and stands in the same place."""
    gone = [key for key in before["nodes"] if key not in after["nodes"]]
    fresh = [key for key in after["nodes"] if key not in before["nodes"]]
    found: dict[str, str] = {}
    for old_id in gone:
        for new_id in fresh:
            if new_id in found.values() or before["nodes"][old_id]["type"] != after["nodes"][new_id]["type"]:
                continue
            trial = {**found, old_id: new_id}
            if _same(node_with_references(renamed(before, trial), new_id), node_with_references(after, new_id)):
                found = trial
                break
    return found


def _shell(value: Any) -> Any:
    return None if value is _MISSING else value


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
