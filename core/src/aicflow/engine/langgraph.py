"""The LangGraph engine: an execution is one run of a LangGraph entrypoint, its thread id the execution's id."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

from langgraph.func import entrypoint, task

from aicflow.engine.auto import is_tracing
from aicflow.engine.native import walk_graph
from aicflow.kernel.graph import Graph
from aicflow.kernel.ports.engine import RunStep, Settlement, Skip


@dataclass(slots=True, eq=False)
class _Walk:
    """What one entrypoint run is given. `turns` says to a task that its node's turn has come, or that it never will."""

    graph: Graph
    run_step: RunStep
    skip: Skip
    tasks: Collection[int]
    turns: dict[int, asyncio.Future[bool]]


class LangGraphEngine:
    """Walks inside a LangGraph entrypoint. Nodes that LangGraph adds something to are LangGraph tasks, called up front
    in topological order so that their identity is stable; each awaits its turn. Plain nodes need no task."""

    def __init__(self) -> None:
        self._entrypoint = _make_entrypoint()

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None:
        """See the engine port."""
        config: Any = {"configurable": {"thread_id": thread_id}, "recursion_limit": 2**31 - 1}
        await self._entrypoint.ainvoke(_Walk(graph, run_step, skip, tasks, {}), config)


@task
async def _step(walk: _Walk, index: int) -> Any:
    """One node as a LangGraph task. It runs in the task's context, so that nested graphs and callbacks find it."""
    if await walk.turns[index]:
        return await walk.run_step(index)
    return ()


def _make_entrypoint() -> Any:
    @entrypoint()
    async def execution(walk: _Walk) -> None:
        tasks: dict[int, Any] = {}
        everything = is_tracing()
        loop = asyncio.get_running_loop()
        for index in walk.graph.order:
            if everything or index in walk.tasks:
                walk.turns[index] = loop.create_future()
                tasks[index] = _step(walk, index)
        if not tasks:
            await walk_graph(walk.graph, walk.run_step, walk.skip)
            return

        async def run_step(index: int) -> Settlement:
            future = tasks.get(index)
            if future is None:
                return await walk.run_step(index)
            walk.turns[index].set_result(True)
            settlement: Settlement = await future
            return settlement

        try:
            await walk_graph(walk.graph, run_step, walk.skip)
        finally:
            for turn in walk.turns.values():
                if not turn.done():
                    turn.set_result(False)
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    return execution
