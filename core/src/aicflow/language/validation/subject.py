"""What is being validated: the document as far as it could be read, and what the registry knows of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aicflow_language.template import Template

from aicflow.kernel.document import Edge, NodeEntry, Settings, TriggerEntry
from aicflow.kernel.graph import Graph
from aicflow.kernel.registry import RegisteredNode, RegisteredTrigger, Registry
from aicflow.kernel.values import pointer
from aicflow.language.validation.called import Callees
from aicflow.language.validation.paths import Paths

type Place = Literal["node", "output", "trigger", "trigger-params", "concurrency", "subject", "key", "while"]


@dataclass(frozen=True, slots=True)
class Site:
    """A template in the document. `index` is the number of the node or trigger it belongs to, `schema` the JSON
    Schema that its value must fit, when there is one."""

    place: Place
    pointer: str
    template: Template
    index: int = -1
    schema: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Subject:
    """A document under validation. Entries that could not be read are None at their index; `node_ids` has every id
    that is written down, also of those."""

    raw: Mapping[str, Any]
    registry: Registry
    secret_names: Collection[str] | None
    callees: Callees | None = None
    """The workflows that it may call; None when nothing is known of any."""
    nodes: list[NodeEntry | None] = field(default_factory=list)
    edges: list[Edge | None] = field(default_factory=list)
    triggers: list[TriggerEntry | None] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    vars: Mapping[str, Any] = field(default_factory=dict)
    input_schema: Mapping[str, Any] | bool | None = None
    output: Any = None
    index: dict[str, int] = field(default_factory=dict)
    trigger_ids: dict[str, int] = field(default_factory=dict)
    types: list[RegisteredNode | None] = field(default_factory=list)
    ports: list[tuple[str, ...] | None] = field(default_factory=list)
    """The ports of each node, without `error`; None when they are not known."""
    trigger_types: list[RegisteredTrigger | None] = field(default_factory=list)
    graph: Graph | None = None
    loose: set[int] = field(default_factory=set)
    """Nodes with an incoming edge whose source is not known."""
    unusable_schemas: set[str] = field(default_factory=set)
    """Pointers of declared schemas that are not JSON Schemas."""
    sites: list[Site] = field(default_factory=list)
    paths: Paths | None = None
    body: Body | None = None
    """Whose body this is; None for the document itself."""
    names: tuple[str, ...] = ()
    """What expressions may use besides the roots."""
    bodies: dict[int, Subject] = field(default_factory=dict)
    """The bodies of its nodes."""
    homes: dict[str, Subject] = field(default_factory=dict)
    """Where each node of the whole document stands, by id."""
    ids: dict[str, str] = field(default_factory=dict)
    """The pointer of each id of the whole document."""

    def pointer(self, *keys: str | int) -> str:
        """The pointer of a part of it, from the top of the document."""
        return pointer(*keys) if self.body is None else self.body.pointer + pointer(*keys)

    def holder(self, name: str) -> Body | None:
        """The body directly in it that holds the node, however deep inside."""
        home = self.homes.get(name)
        while home is not None and home.body is not None:
            if home.body.outer is self:
                return home.body
            home = home.body.outer
        return None

    def parts(self) -> Iterator[Subject]:
        """Itself and all bodies inside, in document order."""
        yield self
        for body in self.bodies.values():
            yield from body.parts()


@dataclass(frozen=True, slots=True)
class Body:
    """Where a body stands: under which key (`map`, `repeat`, `group`) of which node of what is around it."""

    outer: Subject
    owner: int
    kind: str

    @property
    def pointer(self) -> str:
        return self.outer.pointer("nodes", self.owner, self.kind)

    @property
    def name(self) -> str:
        """The id of the node that it is the body of."""
        return next((name for name, at in self.outer.index.items() if at == self.owner), f"node {self.owner}")

    @property
    def result(self) -> str:
        """How expressions outside read what the body gives."""
        return f"nodes.{self.name}.output" + {"map": ".items[*]", "repeat": ".carry"}.get(self.kind, "")
