"""The output of an execution that succeeded, or of one run of a body."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aicflow.engine.nodes.params import resolved
from aicflow.language.plan import Body


def body_output(body: Body, scope: Mapping[str, Any], ran: Collection[str]) -> Any:
    """The `output` of a document or of a body, resolved. Without one: the output of the last node, or of each last node
    by id when several ran; nodes that always run do not count. Raises ReferenceFailed."""
    if body.output is not None:
        return resolved(body.output, scope, None, "output")
    nodes: Mapping[str, Any] = scope["nodes"]
    counted = {node.id for node in body.nodes if not node.always}.intersection(ran) or ran
    last = [
        name
        for index, name in enumerate(body.graph.names)
        if name in counted
        and not any(body.graph.names[target] in counted for _, target in body.graph.successors[index])
    ]
    if len(last) == 1:
        return nodes[last[0]]["output"]
    return {name: nodes[name]["output"] for name in last}
