"""The default engine: LangGraph for executions that gain by it, the plain walk for all others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection

from aicflow.engine.native import NativeEngine
from aicflow.kernel.graph import Graph
from aicflow.kernel.ports.engine import Engine, RunStep, Skip


def is_tracing() -> bool:
    """Whether LangGraph's tracing is on, so that every node is worth a task."""
    return os.environ.get("LANGSMITH_TRACING", os.environ.get("LANGCHAIN_TRACING_V2", "")).lower() == "true"


class AutoEngine:
    """Walks with LangGraph when a node asks for a task or LangGraph's tracing is on. An entrypoint without tasks adds
    nothing to an execution and costs as much as ten small nodes. `langgraph` makes that engine: it is imported, in a
    thread, when an execution first needs it."""

    def __init__(self, langgraph: Callable[[], Engine]) -> None:
        self._native = NativeEngine()
        self._make = langgraph
        self._made: asyncio.Future[Engine] | None = None

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None:
        """See the engine port."""
        engine = await self._langgraph() if tasks or is_tracing() else self._native
        await engine.run(graph, run_step, skip, thread_id=thread_id, tasks=tasks)

    async def _langgraph(self) -> Engine:
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._make))
        try:
            return await asyncio.shield(self._made)
        except ModuleNotFoundError:
            return self._native  # it is not installed; what a task adds is missing then, nothing else
