"""A workflow made ready to run: its graph, its node types, its params as compiled templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aicflow_language.template import Template, Types, compile_template
from pydantic import JsonValue

from aicflow.kernel.document import BodyEntry, Edge, Map, NodeEntry, Repeat, Retry, Settings, WorkflowDocument
from aicflow.kernel.errors import NotFound
from aicflow.kernel.graph import Graph
from aicflow.kernel.node import NodeType, OnRecovery
from aicflow.kernel.registry import RegisteredNode, Registry
from aicflow.language.params import params_schema, params_schemas
from aicflow.language.schema import SchemaValidator

ITEM_TYPE: Final = "workflow.call"
"""The node type that starts an item's execution, and waits for it."""


def item_plan(plan: Plan, step_id: str) -> Plan:
    """The plan of an item of an isolated map, by the step that starts it (`each[17].item`): it is run as the map's
    workflow is, without its limits. Raises NotFound."""
    map_id = step_id.partition("[")[0]
    node = plan.nodes[plan.index[map_id]] if map_id in plan.index else None
    if node is None or node.body is None or node.body.isolated is None:
        raise NotFound("isolated map", map_id)
    body, settings = node.body.isolated, plan.document.settings
    kept = Settings(engine=settings.engine, history=settings.history, fail_fast=settings.fail_fast)
    return Plan(
        workflow_id=plan.workflow_id,
        version=plan.version,
        document=plan.document.model_copy(update={"settings": kept}),
        graph=body.graph,
        nodes=body.nodes,
        index=body.index,
        output=body.output,
        vars=plan.vars,
        input_validator=None,
        disabled=plan.disabled,
        tasks=body.tasks,
    )


def body_names(entry: BodyEntry) -> tuple[str, ...]:
    """The names that expressions inside the body may use besides the roots."""
    if isinstance(entry, Map):
        return (entry.as_, "index")
    return ("carry", "index") if isinstance(entry, Repeat) else ()


class PlannedNode:
    """One node, ready to run. Its template and its output's validator are made when the node first runs, so that the
    first node of a huge workflow need not wait for the last. `fixed_params` is the validated model when no reference
    stands in the params."""

    __slots__ = (
        "_given",
        "_names",
        "_output_validator",
        "_params",
        "_schema",
        "_types",
        "always",
        "body",
        "cls",
        "enabled",
        "entry",
        "fixed_params",
        "has_error_edge",
        "id",
        "index",
        "isolates",
        "on_recovery",
        "pure",
        "retry",
        "step_timeout",
        "timeout",
    )

    def __init__(
        self,
        index: int,
        entry: NodeEntry,
        registered: RegisteredNode,
        schema: dict[str, Any],
        types: Types,
        names: Sequence[str] = (),
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
        self.body: PlannedBody | None = None
        self.isolates = False
        self._names = names
        params = entry.type_params
        self._given = {**defaults, **params} if defaults else params
        self._schema = schema
        self._types = types
        self._params: Template | None = None
        self._output_validator: SchemaValidator | None = None

    @property
    def params(self) -> Template:
        """The params, default params included, as a template."""
        if self._params is None:
            self._params = compile_template(self._given, self._schema, self._types, self._names)
        return self._params

    def compile(self) -> None:
        """Make now what is otherwise made when the node first runs."""
        self.params.prepare()
        if self.body is not None:
            self.body.compile()

    @property
    def only_port(self) -> str | None:
        """The port by which the node is left, None when there are several."""
        ports = self.cls.ports_for(self.entry.type_params)
        return ports[0] if len(ports) == 1 else None

    @property
    def output_validator(self) -> SchemaValidator | None:
        """What checks the output against the node's own `output_schema`; None when it has none."""
        if self._output_validator is None and self.entry.output_schema not in (None, True):
            self._output_validator = SchemaValidator(self.entry.output_schema)
        return self._output_validator


@dataclass(slots=True)
class Body:
    """Nodes and the edges between them, ready to run; `output` is what one run of them gives. `tasks` are the nodes
    whose type asks for a LangGraph task, and those with a body that has any."""

    graph: Graph
    nodes: tuple[PlannedNode, ...]
    index: Mapping[str, int]
    output: Template | None
    tasks: frozenset[int]

    def compile(self) -> None:
        """Make now what is otherwise made when it first runs."""
        for node in self.nodes:
            node.compile()
        if self.output is not None:
            self.output.prepare()


@dataclass(slots=True)
class PlannedBody(Body):
    """The body of a `map`, a `repeat` or a `group`. `rule` is a map's `key`, or a repeat's `while`."""

    entry: BodyEntry
    rule: Template | None
    pure: bool
    """Whether every node in it is pure, those of bodies inside included."""
    isolated: Body | None = None
    """With `isolate`, what runs in an execution for each item; the nodes here are the one that starts it."""


@dataclass(slots=True)
class Plan(Body):
    """One version of a workflow, ready to run. Shared by all its executions, so nothing of an execution is in it."""

    workflow_id: str
    version: int
    document: WorkflowDocument
    vars: Mapping[str, Any]
    input_validator: SchemaValidator | None
    disabled: str | None
    """A node type in it that the operator has switched off."""


def build_plan(document: WorkflowDocument, registry: Registry, *, workflow_id: str = "", version: int = 0) -> Plan:
    """The plan of a valid document. Raises NotFound for a node type that is not installed (any more) and GraphError
    for a cycle; run validation first to get all problems at once."""
    builder = _Builder(registry)
    graph, nodes, index, tasks = builder.parts(document.nodes, document.edges, ())
    return Plan(
        workflow_id=workflow_id,
        version=version,
        document=document,
        graph=graph,
        nodes=nodes,
        index=index,
        output=None if document.output is None else compile_template(document.output),
        vars=document.vars,
        input_validator=None if document.input_schema in (None, True) else SchemaValidator(document.input_schema),
        disabled=builder.disabled,
        tasks=tasks,
    )


class _Builder:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._types = params_schemas(registry)
        self.disabled: str | None = None

    def parts(
        self, entries: Sequence[NodeEntry], edges: Sequence[Edge], names: tuple[str, ...]
    ) -> tuple[Graph, tuple[PlannedNode, ...], dict[str, int], frozenset[int]]:
        """Graph, nodes, index and tasks of a document or a body, in whose expressions `names` may be used."""
        index = {entry.id: i for i, entry in enumerate(entries)}
        graph = Graph.build(
            [entry.id for entry in entries],
            [(index[edge.source], edge.port, index[edge.target]) for edge in edges],
            [i for i, entry in enumerate(entries) if entry.run == "always"],
        )
        nodes: list[PlannedNode] = []
        for i, entry in enumerate(entries):
            registered = self._registry.node(entry.type_id, entry.version)
            cls = registered.cls
            if not registered.setting.enabled:
                self.disabled = self.disabled or entry.type_id
            node = PlannedNode(i, entry, registered, params_schema(cls), self._types, names)
            node.has_error_edge = graph.catches_errors(i)
            if entry.body is not None:
                node.body = self._body(entry.body, names)
            nodes.append(node)
        return (
            graph,
            tuple(nodes),
            index,
            frozenset(
                node.index
                for node in nodes
                if node.cls.in_langgraph_task or (node.body is not None and node.body.tasks)
            ),
        )

    def _body(self, entry: BodyEntry, outer: tuple[str, ...]) -> PlannedBody:
        names = (*outer, *body_names(entry))
        graph, nodes, index, tasks = self.parts(entry.nodes, entry.edges, names)
        rule = entry.key if isinstance(entry, Map) else entry.while_ if isinstance(entry, Repeat) else None
        if isinstance(entry, Map) and entry.isolate:
            output = None if entry.output is None else compile_template(entry.output, names=names)
            isolated = Body(graph, nodes, index, output, tasks)
            given: list[JsonValue] = [f"${{{{ {entry.as_} }}}}", "${{ index }}"]
            call = NodeEntry(id="item", type=ITEM_TYPE, params={"workflow": "", "input": given})
            graph, nodes, index, tasks = self.parts([call], [], names)
            nodes[0].isolates = True
            entry = entry.model_copy(update={"output": "${{ nodes.item.output.output }}"})
        else:
            isolated = None
        return PlannedBody(
            isolated=isolated,
            graph=graph,
            nodes=nodes,
            index=index,
            output=None if entry.output is None else compile_template(entry.output, names=names),
            tasks=tasks,
            entry=entry,
            rule=None if rule is None else compile_template(rule, names=names),
            pure=all(node.pure if node.body is None else node.body.pure for node in nodes),
        )
