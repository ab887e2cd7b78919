"""Nodes with a body of nodes of its own: `map`, `repeat` and `group`, whose nodes are added inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aicflow_sdk.build.expr import Expr, root
from aicflow_sdk.build.nodes import Node
from aicflow_sdk.build.values import render
from aicflow_sdk.errors import BuildError

if TYPE_CHECKING:
    from aicflow_sdk.build.workflow import Workflow

_KINDS: Final = ("map", "repeat", "group")


def kind_of(entry: Mapping[str, Any]) -> str | None:
    """Which of them the node of a document is; None when it has a type."""
    return next((kind for kind in _KINDS if kind in entry), None)


class Scope:
    """Nodes and edges that belong together: those of a workflow, or of a body inside of it."""

    def __init__(self, outer: Scope | None = None, owner: Body | None = None) -> None:
        self.outer = outer
        self.owner = owner
        self.nodes: dict[str, Node] = {}
        self.edges: list[dict[str, str]] = []
        self.bodies: list[Body] = []

    def __contains__(self, node_id: object) -> bool:
        """Whether a new node here cannot have this id: an id is unique in the whole workflow."""
        *_, whole = self.around()
        return any(node_id in scope.nodes for scope in whole.inside())

    def around(self) -> Iterator[Scope]:
        """This one and those that it stands in, from the inside to the outside."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def inside(self) -> Iterator[Scope]:
        """This one and all in it."""
        yield self
        for body in self.bodies:
            yield from body.scope.inside()


class Body(Node):
    """A map, a repeat or a group. Nodes that are added inside of its `with` block stand in its body. The block's
    variable is the item of a map, the carry of a repeat, and of a group the node itself."""

    def __init__(self, workflow: Workflow, entry: dict[str, Any], kind: str, scope: Scope) -> None:
        super().__init__(workflow, entry, scope)
        self._kind = kind
        self.scope = Scope(scope, self)

    @property
    def type(self) -> str:
        """Its node type: `map`, `repeat` or `group`."""
        return self._kind

    @property
    def item(self) -> Any:
        """Of a map: the item, as an expression; with `batch` a list of items."""
        return self._name(self.item_name, "map", "item")

    @property
    def carry(self) -> Any:
        """Of a repeat: what the pass before gave, as an expression."""
        return self._name("carry", "repeat", "carry")

    @property
    def index(self) -> Any:
        """The number of the item or pass, from 0, as an expression."""
        return self._name("index", "group", "index")

    @property
    def item_name(self) -> str:
        """What the item of a map is called inside."""
        return str(self._entry["map"].get("as", "item")) if self._kind == "map" else "item"

    def returns(self, value: Any) -> None:
        """Say what one run of the body gives: the output of an item, the next carry of a repeat, the output of a
        group."""
        self._entry[self._kind]["output"] = render(value, f"{self.id}: output")

    def __enter__(self) -> Any:
        if self._workflow._scope is not self._scope:
            raise BuildError(
                f"{self.id} cannot be opened {_place(self._workflow._scope)}; it is {_place(self._scope)}."
            )
        self._workflow._scope = self.scope
        if self._kind == "group":
            return self
        return self.item if self._kind == "map" else self.carry

    def __exit__(self, *raised: object) -> None:
        self._workflow._scope = self._scope
        if raised[0] is None and not self.scope.nodes:
            raise BuildError(f"{self.id} has no nodes.", hint=f"Add them inside its block: with {self.id}: …")

    def to_entry(self) -> dict[str, Any]:
        """The node as it stands in a document."""
        body: dict[str, Any] = dict(self._entry[self._kind])
        output = {"output": body.pop("output")} if "output" in body else {}
        body["nodes"] = [node.to_entry() for node in self.scope.nodes.values()]
        if self.scope.edges:
            body["edges"] = self.scope.edges
        return {**self._entry, self._kind: body | output}

    def _name(self, name: str, kind: str, what: str) -> Any:
        """A root that is known inside of the block alone."""
        if (self._kind == kind) is (what == "index"):
            raise BuildError(f"{self.id} is a {self._kind}, which has no {what}.")
        scopes = list(self._workflow._scope.around())
        if self.scope not in scopes:
            raise BuildError(
                f"{self.id}.{what} is known only inside of {self.id}.",
                hint=f"Use it in the block: with {self.id}: … What the whole gave is {self.id}.output.",
            )
        for scope in scopes[: scopes.index(self.scope)]:
            inner = scope.owner
            if inner is not None and name in roots_of(inner):
                raise BuildError(
                    f"{self.id}.{what} cannot be used inside of {inner.id}, which has a {what} of its own.",
                    hint=f"Let {inner.id} take it along in what it goes over, or give the item another name: as_='…'.",
                )
        return root(name)

    def __repr__(self) -> str:
        return f"<{self._kind} {self.id}: {len(self.scope.nodes)} nodes>"


def roots_of(body: Body) -> tuple[str, ...]:
    """What expressions inside can name besides what they can outside."""
    return {"map": (body.item_name, "index"), "repeat": ("carry", "index"), "group": ()}[body.type]


def ruled(value: Any, name: str) -> Any:
    """A `key` or `while`: a value, or what a function makes of the item or carry."""
    return value(root(name)) if callable(value) and not isinstance(value, Expr) else value


def _place(scope: Scope) -> str:
    return "outside of every body" if scope.owner is None else f"inside of {scope.owner.id}"
