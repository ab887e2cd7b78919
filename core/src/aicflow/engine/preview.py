"""Trying an expression out: against the data of an execution as one of its nodes would see it, or against any data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aicflow_language.expr import ExpressionError, Secret, compile_expression
from aicflow_language.template import compile_template

from aicflow.engine.run.recovery import scope_entry
from aicflow.engine.secrets import SecretsView
from aicflow.kernel.clock import iso
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import Execution, Step
from aicflow.kernel.graph import Graph, GraphError
from aicflow.kernel.values import json_type


@dataclass(frozen=True, slots=True)
class Preview:
    """What came of an expression: its value with its JSON type, or the error. `span` of the error counts characters of
    what was given."""

    value: Any = None
    error: ExpressionError | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `ok` with `value` and `type`, or `error`."""
        if self.error is None:
            return {"ok": True, "value": self.value, "type": json_type(self.value)}
        error: dict[str, Any] = {
            "code": self.error.code,
            "message": self.error.message,
            "span": list(self.error.span),
        }
        if self.error.hint is not None:
            error["hint"] = self.error.hint
        return {"ok": False, "error": error}


def preview_expression(source: str, scope: Mapping[str, Any]) -> Preview:
    """The value of an expression, or of a text with `${{ … }}` in it, against a scope. Never raises for what is
    written or what the scope holds; secrets are never revealed."""
    try:
        if "${{" in source:
            return Preview(compile_template(source).resolve(scope))
        value = compile_expression(source).evaluate(scope)
        if isinstance(value, Secret):
            hint = "Only the node sees it, when its step runs."
            whole = (0, len(source))
            return Preview(
                error=ExpressionError("secret.not-allowed", f"The secret '{value.name}' is not shown.", whole, hint)
            )
        return Preview(value)
    except ExpressionError as error:
        return Preview(error=error)


def preview_scope(
    document: Mapping[str, Any],
    execution: Execution | None = None,
    steps: Iterable[Step] = (),
    node_id: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names that expressions of a workflow would see: those of an execution where one is given, with `extra` in
    place of what it names.

    With `node_id`, `nodes` has only what is before that node, and `execution.attempt` is that of its step. Raises
    NotFound when the document has no such node.
    """
    settled = {step.node_id: step for step in steps}
    visible = set(settled) if node_id is None else _before(document, node_id)
    scope: dict[str, Any] = {
        "input": None,
        "trigger": None,
        "nodes": {
            name: scope_entry(step)
            for name, step in settled.items()
            if name in visible and (step.status in ("succeeded", "failed") or step.port is not None)
        },
        "vars": document.get("vars", {}),
        "secrets": SecretsView(),
    }
    if execution is not None:
        own = settled.get(node_id) if node_id is not None else None
        scope["input"] = execution.input
        scope["trigger"] = execution.trigger.payload
        scope["execution"] = {
            "id": execution.id,
            "started_at": None if execution.started_at is None else iso(execution.started_at),
            "attempt": own.attempt if own is not None else 1,
        }
    return {**scope, **(extra or {}), "secrets": scope["secrets"]}


def _before(document: Mapping[str, Any], node_id: str) -> set[str]:
    """The ids of the nodes that have settled when this one begins."""
    names = [node["id"] for node in document["nodes"]]
    if node_id not in names:
        raise NotFound("node", node_id)
    index = {name: position for position, name in enumerate(names)}
    try:
        edges = [(index[e["from"]], e.get("port", "main"), index[e["to"]]) for e in document.get("edges", [])]
        graph = Graph.build(names, edges)
    except (GraphError, KeyError):  # a document that is not saved yet
        return set(names) - {node_id}
    before = {index[node_id]}
    for node in reversed(graph.order):
        if any(target in before for _, target in graph.successors[node]):
            before.add(node)
    return {names[node] for node in before} - {node_id}
