"""What has changed in meaning between two workflow documents: nodes, params, edges, triggers, settings.

The order of keys, nodes and edges, defaults written out, and the spelling of expressions do not count; a node that only
has a new id is a renaming.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from aicflow_language.diff.canonical import NO_NAMES, Path, canonical
from aicflow_language.diff.index import BODIES, OWN, Edge, Index, index
from aicflow_language.json_values import pointer
from aicflow_language.template.marks import mark_at

type ParamsSchema = Callable[[Top, str], Mapping[str, Any] | None]
"""The params schema of a node or trigger type; None when it is not known."""

type Kind = Literal["added", "removed", "changed", "renamed"]
type Top = Literal["nodes", "triggers"]
type What = Literal["workflow", "node", "edge", "trigger", "var", "setting"]

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}
_MISSING: Final = object()
_LONGEST: Final = 60
_ITSELF: Final = "\0"
_BODY_TEMPLATES: Final = frozenset((key,) for key in ("over", "key", "while", "carry", "output"))
_CODE: Final = {"properties": {"code": {"x-aicflow": {"kind": "code"}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference. `name` is the id (of an edge `from -> to`, of a node its new one, behind the ids of the nodes it
    is inside of: `each.get`), `path` leads to what changed
    inside, with dots. The pointers say where it stands in each document, None where there is nothing."""

    kind: Kind
    what: What
    name: str
    path: str = ""
    old: Any = None
    new: Any = None
    old_pointer: str | None = None
    new_pointer: str | None = None

    def __str__(self) -> str:
        head = f"{_SIGNS[self.kind]} {self.what}{f' {self.name}' if self.name else ''}"
        match self.kind:
            case "renamed":
                return f"{head} is now called {self.new}"
            case "changed":
                return f"{head}: {self.path}: {_shown(self.old)} -> {_shown(self.new)}"
        if self.what in ("node", "trigger"):
            entry = self.new if self.kind == "added" else self.old
            kind = entry.get("type") or next(kind for kind in BODIES if kind in entry)
            return f"{head} ({kind})"
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
        """As JSON: `{"changes": [{kind, what, name, path, old, new, old_pointer, new_pointer}]}`."""
        return {"changes": [asdict(change) for change in self.changes]}


def diff(old: Any, new: Any, params_schema: ParamsSchema | None = None) -> Diff:
    """Compare two documents. `params_schema` tells which params are code, in which `${{` is text like any other;
    without it only `python.code` is known. Raises NotADocument."""
    return Diff(tuple(_Comparison(index(old), index(new), params_schema).changes()))


class _Comparison:
    def __init__(self, before: Index, after: Index, params_schema: ParamsSchema | None) -> None:
        self.before = before
        self.after = after
        self._params_schema = params_schema
        self._schemas: dict[tuple[Top, str], Mapping[str, Any] | None] = {}
        self.names: Mapping[str, str] = NO_NAMES
        self.names = self._renames()

    def changes(self) -> Iterator[Change]:
        before, after = self.before, self.after
        for key in OWN:
            one, other = before.own.get(key, _MISSING), after.own.get(key, _MISSING)
            rule = _everywhere if key == "output" else _nowhere
            yield from self._inside("workflow", "", (key,), one, other, ((), ()), rule)
        for was, key in self.names.items():
            places = pointer(*before.at["nodes", was]), pointer(*after.at["nodes", key])
            yield _change("renamed", "node", before.name(was), old=was, new=key, places=places)
        yield from self._keyed("var", "vars", before.vars, after.vars, _nowhere)
        yield from self._keyed("setting", "settings", before.settings, after.settings, _everywhere)
        yield from self._entries("trigger", "triggers", before.triggers, after.triggers, NO_NAMES)
        yield from self._entries("node", "nodes", before.nodes, after.nodes, self.names)
        yield from self._edges()

    def _keyed(
        self, what: What, top: str, before: Mapping[str, Any], after: Mapping[str, Any], rule: Callable[[Path], bool]
    ) -> Iterator[Change]:
        for key in _either(before, after):
            if key not in after:
                yield _change("removed", what, key, old=before[key], places=(pointer(top, key), None))
            elif key not in before:
                yield _change("added", what, key, new=after[key], places=(None, pointer(top, key)))
            else:
                roots = (top, key), (top, key)
                yield from self._inside(what, key, (), before[key], after[key], roots, rule, shown="value")

    def _entries(
        self,
        what: What,
        top: Top,
        before: Mapping[str, dict[str, Any]],
        after: Mapping[str, dict[str, Any]],
        names: Mapping[str, str],
    ) -> Iterator[Change]:
        ids = {names.get(key, key): key for key in before}
        for key in _either(ids, after):
            was = ids.get(key)
            old_at = self.before.at[top, was] if was is not None else None
            new_at = self.after.at[top, key] if key in after else None
            name = key if top == "triggers" else self._name(key)
            if was is None or old_at is None:
                yield _change("added", what, name, new=after[key], places=(None, pointer(*new_at or ())))
            elif new_at is None:
                yield _change("removed", what, name, old=before[was], places=(pointer(*old_at), None))
            else:
                if top == "nodes" and self._home(was) != self.after.inside.get(key):
                    old, new = self.before.inside.get(was), self.after.inside.get(key)
                    places = pointer(*old_at), pointer(*new_at)
                    yield _change("changed", what, name, "inside", old=old, new=new, places=places)
                rule = self._rule(top, after[key])
                yield from self._inside(what, name, (), before[was], after[key], (old_at, new_at), rule)

    def _name(self, node: str) -> str:
        return (self.after if node in self.after.nodes else self.before).name(node)

    def _arrow(self, edge: Edge) -> str:
        port = "" if edge[1] == "main" else f".{edge[1]}"
        return f"{self._name(edge[0])}{port} -> {self._name(edge[2])}"

    def _home(self, was: str) -> str | None:
        """The node that the old one is inside of, by its new id."""
        outer = self.before.inside.get(was)
        return None if outer is None else self.names.get(outer, outer)

    def _edges(self) -> Iterator[Change]:
        def name(node_id: str) -> str:
            return self.names.get(node_id, node_id)

        before = {(name(a), port, name(b)): index for (a, port, b), index in self.before.edges.items()}
        after = self.after.edges
        for edge in sorted(before.keys() - after.keys()):
            place = pointer(*before[edge])
            yield _change("removed", "edge", self._arrow(edge), old=_edge_json(edge), places=(place, None))
        for edge in sorted(after.keys() - before.keys()):
            place = pointer(*after[edge])
            yield _change("added", "edge", self._arrow(edge), new=_edge_json(edge), places=(None, place))

    def _inside(
        self,
        what: What,
        name: str,
        path: Path,
        old: Any,
        new: Any,
        roots: tuple[Path, Path],
        rule: Callable[[Path], bool],
        shown: str = "",
    ) -> Iterator[Change]:
        """The innermost places that differ."""
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            for key in _either(old, new):
                one, other = old.get(key, _MISSING), new.get(key, _MISSING)
                yield from self._inside(what, name, (*path, key), one, other, roots, rule, shown)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for index, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from self._inside(what, name, (*path, index), one, other, roots, rule, shown)
        elif isinstance(old, str) and old == new and not (self.names and "nodes" in old):
            return  # most of two versions is the same; reading its expressions would be the whole cost
        elif canonical(old, path, rule, self.names) != canonical(new, path, rule):
            places = (
                pointer(*roots[0], *path) if old is not _MISSING else None,
                pointer(*roots[1], *path) if new is not _MISSING else None,
            )
            old, new = (None if value is _MISSING else value for value in (old, new))
            yield _change("changed", what, name, _dotted(path, shown), old=old, new=new, places=places)

    def _rule(self, top: Top, entry: Mapping[str, Any]) -> Callable[[Path], bool]:
        """Where the texts of an entry are templates: in `input`, in `params` but for code, and in some options
        of bodies."""

        def rule(path: Path) -> bool:
            if path[:1] and path[0] in BODIES:
                return path[1:2] in _BODY_TEMPLATES
            if not path or path[0] not in ("params", "input"):
                return False
            return path[0] == "input" or mark_at(self._schema(top, entry), path[1:]).kind != "code"

        return rule

    def _schema(self, top: Top, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
        key = (top, entry["type"])
        if key not in self._schemas:
            known = self._params_schema(*key) if self._params_schema is not None else None
            self._schemas[key] = _CODE if known is None and key[1] == "python.code" else known
        return self._schemas[key]

    def _renames(self) -> dict[str, str]:
        """Nodes that are gone, with the new node that is the same but for its id and stands in the same place."""
        before, after = self.before.nodes, self.after.nodes
        fresh: dict[Hashable, list[str]] = {}
        near = _neighbours(self.after, {key for key in after if key not in before})
        for key in near:
            home = self.after.inside.get(key)
            fresh.setdefault(self._character(after[key], home, near[key], {key: _ITSELF}), []).append(key)
        found: dict[str, str] = {}
        near = _neighbours(self.before, {key for key in before if key not in after}) if fresh else {}
        for key in near:
            home = self.before.inside.get(key)
            home = None if home is None else found.get(home, home)
            same = fresh.get(self._character(before[key], home, near[key], ChainMap({key: _ITSELF}, found)))
            if same:
                found[key] = same.pop(0)
        return found

    def _character(
        self, entry: Mapping[str, Any], home: str | None, edges: list[Edge], names: Mapping[str, str]
    ) -> Hashable:
        """All that makes a node but its id."""
        around = frozenset((names.get(a, a), port, names.get(b, b)) for a, port, b in edges)
        return canonical(entry, (), self._rule("nodes", entry), names), home, around


def _neighbours(document: Index, wanted: set[str]) -> dict[str, list[Edge]]:
    """The edges at each of these nodes, in the document's order of nodes."""
    near: dict[str, list[Edge]] = {key: [] for key in document.nodes if key in wanted}
    for edge in document.edges:
        for key in {edge[0], edge[2]}:
            if key in near:
                near[key].append(edge)
    return near


def _change(
    kind: Kind,
    what: What,
    name: str,
    path: str = "",
    *,
    old: Any = None,
    new: Any = None,
    places: tuple[str | None, str | None],
) -> Change:
    return Change(
        kind=kind, what=what, name=name, path=path, old=old, new=new, old_pointer=places[0], new_pointer=places[1]
    )


def _either(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from before
    yield from (key for key in after if key not in before)


def _everywhere(path: Path) -> bool:
    return True


def _nowhere(path: Path) -> bool:
    return False


def _dotted(path: Path, text: str = "") -> str:
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _edge_json(edge: Edge) -> dict[str, str]:
    return {"from": edge[0], "port": edge[1], "to": edge[2]}


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
