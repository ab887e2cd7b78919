"""The default engine: LangGraph for executions that gain by it, the plain walk for all others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection
from contextlib import suppress

from aicflow.engine.native import NativeEngine
from aicflow.kernel.graph import Graph
from aicflow.kernel.ports.engine import Engine, RunStep, Skip


def is_tracing() -> bool:
    """Whether LangGraph's tracing is on, so that every node is worth a task."""
    return os.environ.get("LANGSMITH_TRACING", os.environ.get("LANGCHAIN_TRACING_V2", "")).lower() == "true"


class LaterEngine:
    """An engine that is made, in a thread, when an execution first walks with it: importing LangGraph takes a second
    or two, for which nothing else must stand still."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._made: asyncio.Future[Engine] | None = None

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None:
        """See the engine port."""
        await (await self.made()).run(graph, run_step, skip, thread_id=thread_id, tasks=tasks)

    async def made(self) -> Engine:
        """The engine itself. Raises what making it raised."""
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._make))
        return await asyncio.shield(self._made)


class AutoEngine:
    """Walks with LangGraph, which `langgraph` makes, when a node asks for a task or LangGraph's tracing is on. An
    entrypoint without tasks adds nothing to an execution and costs as much as ten small nodes."""

    def __init__(self, langgraph: Callable[[], Engine]) -> None:
        self._native = NativeEngine()
        self._langgraph = LaterEngine(langgraph)

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None:
        """See the engine port."""
        engine: Engine = self._native
        if tasks or is_tracing():
            with suppress(ModuleNotFoundError):  # it is not installed; what a task adds is missing then, nothing else
                engine = await self._langgraph.made()
        await engine.run(graph, run_step, skip, thread_id=thread_id, tasks=tasks)
