"""The output of an execution that succeeded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aicflow.engine.nodes.params import resolved
from aicflow.language.plan import Plan

__all__ = ["execution_output"]


def execution_output(plan: Plan, scope: Mapping[str, Any], ran: Collection[str]) -> Any:
    """The document's `output`, resolved. Without one: the output of the last node, or of each last node by id when
    several ran; nodes that always run do not count. Raises ReferenceFailed."""
    if plan.output is not None:
        return resolved(plan.output, scope, None, "output")
    nodes: Mapping[str, Any] = scope["nodes"]
    counted = {node.id for node in plan.nodes if not node.always}.intersection(ran) or ran
    last = [
        name
        for index, name in enumerate(plan.graph.names)
        if name in counted
        and not any(plan.graph.names[target] in counted for _, target in plan.graph.successors[index])
    ]
    if len(last) == 1:
        return nodes[last[0]]["output"]
    return {name: nodes[name]["output"] for name in last}
