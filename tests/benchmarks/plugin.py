"""The benchmarks' node types as a plugin, for benchmarks of a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aicflow import Context, hookimpl, node
from aicflow.kernel.node import NodeType

from tests.benchmarks.lab import NODES


@node("bench.lines")
async def lines(ctx: Context, count: int) -> int:
    """Log many lines, as fast as others let it."""
    for i in range(count):
        ctx.log(f"line {i} of a log that somebody watches")
        if i % 20 == 19:
            await asyncio.sleep(0)
    return count


@node("bench.effect")
async def effect(seconds: float = 0.0) -> float:
    """A step with effects that takes a while."""
    await asyncio.sleep(seconds)
    return seconds


@hookimpl
def aicflow_nodes() -> Sequence[NodeType]:
    """All of them."""
    return [*NODES, lines, effect]
