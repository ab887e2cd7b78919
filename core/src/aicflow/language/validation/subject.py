"""What is being validated: the document as far as it could be read, and what the registry knows of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aicflow_language.template import Template

from aicflow.kernel.document import Edge, NodeEntry, Settings, TriggerEntry
from aicflow.kernel.graph import Graph
from aicflow.kernel.registry import RegisteredNode, RegisteredTrigger, Registry

__all__ = ["Place", "Site", "Subject"]

type Place = Literal["node", "output", "trigger", "trigger-params", "concurrency"]


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
