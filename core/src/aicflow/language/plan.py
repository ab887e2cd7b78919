"""A workflow made ready to run: its graph, its node types, its params as compiled templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aicflow_language.template import Template, Types, compile_template

from aicflow.kernel.document import NodeEntry, Retry, WorkflowDocument
from aicflow.kernel.graph import Graph
from aicflow.kernel.node import NodeType, OnRecovery
from aicflow.kernel.registry import RegisteredNode, Registry
from aicflow.language.schema import SchemaValidator

__all__ = ["Plan", "PlannedNode", "build_plan"]


class PlannedNode:
    """One node, ready to run. Its template and its output's validator are made when the node first runs, so that the
    first node of a huge workflow need not wait for the last. `fixed_params` is the validated model when no reference
    stands in the params."""

    __slots__ = (
        "_given",
        "_output_validator",
        "_params",
        "_schema",
        "_types",
        "always",
        "cls",
        "enabled",
        "entry",
        "fixed_params",
        "has_error_edge",
        "id",
        "index",
        "on_recovery",
        "pure",
        "retry",
        "step_timeout",
        "timeout",
    )

    def __init__(
        self, index: int, entry: NodeEntry, registered: RegisteredNode, schema: dict[str, Any], types: Types
    ) -> None:
        cls, defaults = registered.cls, registered.setting.default_params
        self.index = index
        self.id = entry.id
        self.entry = entry
        self.cls: NodeType = cls
        self.enabled = registered.setting.enabled
        self.retry: Retry | None = entry.retry
        self.timeout = entry.timeout
        self.step_timeout = entry.step_timeout
        self.on_recovery: OnRecovery = entry.on_recovery or cls.on_recovery
        self.pure: bool = cls.pure
        self.always = entry.run == "always"
        self.has_error_edge = False
        self.fixed_params: Any = None
        self._given = {**defaults, **entry.params} if defaults else entry.params
        self._schema = schema
        self._types = types
        self._params: Template | None = None
        self._output_validator: SchemaValidator | None = None

    @property
    def params(self) -> Template:
        """The params, default params included, as a template."""
        if self._params is None:
            self._params = compile_template(self._given, self._schema, self._types)
        return self._params

    def compile(self) -> None:
        """Make now what is otherwise made when the node first runs."""
        for made in self.params.expressions:
            if made.expression is not None:
                made.expression.prepare()

    @property
    def only_port(self) -> str | None:
        """The port by which the node is left, None when there are several."""
        ports = self.cls.ports_for(self.entry.params)
        return ports[0] if len(ports) == 1 else None

    @property
    def output_validator(self) -> SchemaValidator | None:
        """What checks the output against the node's own `output_schema`; None when it has none."""
        if self._output_validator is None and self.entry.output_schema not in (None, True):
            self._output_validator = SchemaValidator(self.entry.output_schema)
        return self._output_validator


@dataclass(slots=True)
class Plan:
    """One version of a workflow, ready to run. Shared by all its executions, so nothing of an execution is in it."""

    workflow_id: str
    version: int
    document: WorkflowDocument
    graph: Graph
    nodes: tuple[PlannedNode, ...]
    index: Mapping[str, int]
    output: Template | None
    vars: Mapping[str, Any]
    input_validator: SchemaValidator | None
    tasks: frozenset[int]
    """Nodes whose type asks for a LangGraph task."""


def build_plan(document: WorkflowDocument, registry: Registry, *, workflow_id: str = "", version: int = 0) -> Plan:
    """The plan of a valid document. Raises NotFound for a node type that is not installed (any more) and GraphError
    for a cycle; run validation first to get all problems at once."""
    index = {entry.id: i for i, entry in enumerate(document.nodes)}
    graph = Graph.build(
        [entry.id for entry in document.nodes],
        [(index[edge.source], edge.port, index[edge.target]) for edge in document.edges],
        [i for i, entry in enumerate(document.nodes) if entry.run == "always"],
    )
    schemas: dict[NodeType, dict[str, Any]] = {}
    nodes: list[PlannedNode] = []
    for i, entry in enumerate(document.nodes):
        registered = registry.node(entry.type, entry.version)
        cls = registered.cls
        schema = schemas.get(cls)
        if schema is None:
            schema = schemas[cls] = cls.params_schema()
        node = PlannedNode(i, entry, registered, schema, registry.params_schema)
        node.has_error_edge = graph.catches_errors(i)
        nodes.append(node)
    return Plan(
        workflow_id=workflow_id,
        version=version,
        document=document,
        graph=graph,
        nodes=tuple(nodes),
        index=index,
        output=None if document.output is None else compile_template(document.output),
        vars=document.vars,
        input_validator=None if document.input_schema in (None, True) else SchemaValidator(document.input_schema),
        tasks=frozenset(node.index for node in nodes if node.cls.in_langgraph_task),
    )
