"""The engine port: who walks the graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

from aicflow.kernel.graph import Graph

type Settlement = tuple[str, ...] | None
"""The ports a settled node is left by (none: the branch ends here), or None for a step that is parked: it waits,
and its node stays unsettled in this run."""

type RunStep = Callable[[int], Coroutine[Any, Any, Settlement]]
"""Runs the step of node `i` and returns how it settled. Steps finished before a recovery settle at once. It raises
only to stop the whole walk (cancelled, claim lost, store gone), never because a node failed."""

type Skip = Callable[[int], None]
"""Told once of each node that is skipped."""


class Engine(Protocol):
    """Walks a graph by the run rule: `run_step(i)` is called once for each node whose turn comes, as soon as its own
    predecessors are settled; a slow branch holds back nobody else. Returns when nothing can go on: every node is
    settled, or what is left sits behind parked steps. Cancelling `run` cancels the steps under way.

    `tasks` are the nodes whose type asks for a task of the framework below the engine.
    """

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None: ...
