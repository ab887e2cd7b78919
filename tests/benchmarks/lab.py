"""What the benchmarks share: node types, an open engine on SQLite, and rows of the table."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from aicflow import node
from aicflow.engine import EngineOptions, Executions
from aicflow.engine.plugin import aicflow_engines
from aicflow.kernel.node import NodeType
from aicflow.kernel.registry import Registry
from aicflow.store.sqlite import SQLiteStore


@dataclass(frozen=True, slots=True)
class Row:
    """A figure. `ratio` is against `baseline`, both from this run."""

    benchmark: str
    case: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@node("bench.add", pure=True)
async def add(n: int) -> int:
    """One more."""
    return n + 1


@node("bench.effect")
async def effect(n: int) -> int:
    """One more, by a node as they are by default: it may have effects."""
    return n + 1


@node("bench.sleep", pure=True)
async def sleep(seconds: float) -> float:
    """Wait a while; gives the instant at which it began."""
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    return began


@node("bench.fibonacci", pure=True)
async def fibonacci(n: int) -> int:
    """Plain recursive fibonacci."""
    return fib(n)


def fib(n: int) -> int:
    """The bare function."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


NODES = (add, effect, sleep, fibonacci)


def scratch() -> Path:
    """A folder on a real disk."""
    return Path(tempfile.mkdtemp(prefix="aicflow-bench-"))


def machine() -> str:
    """The machine in a few words."""
    model = "unknown processor"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


@asynccontextmanager
async def engine_on_sqlite(
    engine: str, *, types: Sequence[NodeType] = NODES, **options: Any
) -> AsyncIterator[Executions]:
    """An open engine on a fresh SQLite file with `synchronous=FULL`."""
    store = SQLiteStore(scratch() / "bench.db")
    await store.open()
    registry = Registry()
    for cls in types:
        registry.register(cls)
    executions = Executions(
        store,
        registry,
        engines={one.name: one.create for one in aicflow_engines()},
        options=EngineOptions(engine=engine, **options),
    )
    await executions.open()
    # as the server does when it has started
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield executions
    finally:
        await executions.close()
        await store.close()


async def save(executions: Executions, workflow_id: str, nodes: list[dict[str, Any]]) -> None:
    """Save the nodes as a chain."""
    edges = [{"from": a["id"], "to": b["id"]} for a, b in pairwise(nodes)]
    document = {"aicflow": 1, "name": workflow_id, "nodes": nodes, "edges": edges}
    await executions.store.workflows.create(workflow_id, document, now=time.time())
