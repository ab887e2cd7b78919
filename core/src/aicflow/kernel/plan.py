"""A workflow made ready to run: its graph, its node types, its params as compiled templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aicflow.kernel.document import NodeEntry, Retry, WorkflowDocument
from aicflow.kernel.graph import Graph
from aicflow.kernel.node import NodeType, OnRecovery
from aicflow.kernel.registry import Registry
from aicflow.kernel.schema import SchemaValidator
from aicflow.kernel.template import Template, compile_template

__all__ = ["Plan", "PlannedNode", "build_plan"]


@dataclass(slots=True)
class PlannedNode:
    """One node, ready to run. `fixed_params` is its validated model when no reference stands in its params."""

    index: int
    id: str
    entry: NodeEntry
    cls: NodeType
    enabled: bool
    params: Template
    retry: Retry | None
    timeout: float | None
    step_timeout: float | None
    on_recovery: OnRecovery
    pure: bool
    has_error_edge: bool
    output_validator: SchemaValidator | None
    fixed_params: Any = None


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


def build_plan(document: WorkflowDocument, registry: Registry, *, workflow_id: str = "", version: int = 0) -> Plan:
    """The plan of a valid document. Raises NotFound for a node type that is not installed (any more) and GraphError
    for a cycle; run validation first to get all problems at once."""
    index = {entry.id: i for i, entry in enumerate(document.nodes)}
    graph = Graph.build(
        [entry.id for entry in document.nodes],
        [(index[edge.source], edge.port, index[edge.target]) for edge in document.edges],
    )
    schemas: dict[NodeType, dict[str, Any]] = {}
    nodes: list[PlannedNode] = []
    for i, entry in enumerate(document.nodes):
        registered = registry.node(entry.type, entry.version)
        cls = registered.cls
        schema = schemas.get(cls)
        if schema is None:
            schema = schemas[cls] = cls.params_schema()
        given = (
            {**registered.setting.default_params, **entry.params} if registered.setting.default_params else entry.params
        )
        nodes.append(
            PlannedNode(
                index=i,
                id=entry.id,
                entry=entry,
                cls=cls,
                enabled=registered.setting.enabled,
                params=compile_template(given, schema),
                retry=entry.retry,
                timeout=entry.timeout,
                step_timeout=entry.step_timeout,
                on_recovery=entry.on_recovery or cls.on_recovery,
                pure=cls.pure,
                has_error_edge=any(port == "error" for port, _ in graph.successors[i]),
                output_validator=None if entry.output_schema in (None, True) else SchemaValidator(entry.output_schema),
            )
        )
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
    )
