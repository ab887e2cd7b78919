"""Which outputs a rerun from a node may take over."""

from __future__ import annotations

from aicflow_language.suggest import did_you_mean

from aicflow.kernel.errors import Conflict
from aicflow.kernel.events import History
from aicflow.kernel.values import dumps
from aicflow.language.plan import Plan

__all__ = ["reusable_outputs"]


def reusable_outputs(plan: Plan, history: History, from_node: str) -> dict[str, tuple[str, bytes]]:
    """Node id → (port, encoded output) of every step that succeeded and is not downstream of `from_node`. Raises
    Conflict when the workflow has no such node, or when one of the outputs is not known any more (`output-masked`)."""
    start = plan.index.get(from_node)
    if start is None:
        raise Conflict(
            f"The workflow has no node {from_node!r}.",
            code="unknown-node",
            hint=did_you_mean(from_node, plan.index),
        )
    downstream = {start}
    queue = [start]
    for node in queue:  # grows while it is read
        for _, target in plan.graph.successors[node]:
            if target not in downstream:
                downstream.add(target)
                queue.append(target)
    reused: dict[str, tuple[str, bytes]] = {}
    for name, step in history.steps.items():
        index = plan.index.get(name)
        if index is None or index in downstream or step.status != "succeeded" or step.port is None:
            continue
        if step.masked:
            raise Conflict(
                f"The output of {name!r} held a secret; only its masked form was kept after the execution ended.",
                code="output-masked",
                hint=f"Rerun from {name!r} or a node before it, so that it runs again.",
            )
        reused[name] = (step.port, dumps(step.output))
    return reused
