"""The native engine: a plain asyncio walk over the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aicflow.kernel.graph import Graph, Walk
from aicflow.kernel.ports.engine import RunStep, Skip


class NativeEngine:
    """Walks with one task for each branch; a chain of nodes stays in one task."""

    async def run(
        self, graph: Graph, run_step: RunStep, skip: Skip, *, thread_id: str, tasks: Collection[int] = ()
    ) -> None:
        """See the engine port."""
        await walk_graph(graph, run_step, skip)


async def walk_graph(graph: Graph, run_step: RunStep, skip: Skip) -> None:
    """Run every node whose turn comes; returns when nothing can go on."""
    walk = Walk(graph)
    start = walk.start()
    if len(start) == 1:
        await _branch(walk, run_step, skip, start[0], None)
    elif start:
        await _fan_out(walk, run_step, skip, start)


async def _branch(walk: Walk, run_step: RunStep, skip: Skip, node: int, group: asyncio.TaskGroup | None) -> None:
    while (ports := await run_step(node)) is not None:
        ready, skipped = walk.settle(node, ports)
        for lost in skipped:
            skip(lost)
        if not ready:
            return
        node = ready[0]
        if len(ready) > 1:
            if group is None:
                await _fan_out(walk, run_step, skip, ready)
                return
            for other in ready[1:]:
                group.create_task(_branch(walk, run_step, skip, other, group))


async def _fan_out(walk: Walk, run_step: RunStep, skip: Skip, ready: list[int]) -> None:
    # the group is made at the first fork: a chain never pays for it
    async with asyncio.TaskGroup() as group:
        for node in ready:
            group.create_task(_branch(walk, run_step, skip, node, group))
