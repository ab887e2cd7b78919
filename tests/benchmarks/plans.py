"""P1: more workflows than plans used to be kept for, run in turn, beside one workflow run as often; P2: the first
execution of a workflow of 1,000 nodes beside a later one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aicflow.engine import Executions

from tests.benchmarks.lab import Row, engine_on_sqlite, percentile, save

_WORKFLOWS = 300
_ROUNDS = 2
_AT_ONCE = 50
_LONG = 1_000
_TRIES = 5


def _chain(name: str, size: int) -> list[dict[str, Any]]:
    """Nodes whose expressions no other workflow has."""
    return [
        {
            "id": f"{name}-{i}",
            "type": "bench.add",
            "params": {"n": f"${{{{ nodes['{name}-{i - 1}'].output }}}}" if i else 0},
        }
        for i in range(size)
    ]


async def _executed(executions: Executions, name: str) -> float:
    """Process time of one execution, in seconds."""
    began = time.process_time()
    started = await executions.start(name)
    assert await executions.wait(started.execution_id, 60) is not None
    return time.process_time() - began


async def _rate(executions: Executions, names: list[str]) -> float:
    """Executions a second of process time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            await _executed(executions, name)

    began = time.process_time()
    await asyncio.gather(*(one(name) for name in names))
    return len(names) / (time.process_time() - began)


async def run() -> list[Row]:
    """The rows of P1 and P2."""
    names = [f"w{k}" for k in range(_WORKFLOWS)]
    async with engine_on_sqlite("native") as executions:
        for name in names:
            await save(executions, name, _chain(name, 10))
        await _rate(executions, names)
        alone, many = [], []
        for _ in range(_ROUNDS):
            alone.append(await _rate(executions, names[:1] * _WORKFLOWS))
            many.append(await _rate(executions, names))
        cold, first, later = [], [], []
        for k in range(_TRIES):
            await save(executions, f"cold{k}", _chain(f"cold{k}", _LONG))
            cold.append(await _executed(executions, f"cold{k}"))
            await save(executions, f"long{k}", _chain(f"long{k}", _LONG))
            executions.prepare(await executions.store.workflows.get(f"long{k}"))  # as the server does after a save
            first.append(await _executed(executions, f"long{k}"))
            later.append(await _executed(executions, f"long{k}"))
    one, all_of_them = percentile(alone, 1), percentile(many, 1)
    again, new = percentile(later, 0.5) * 1000, percentile(first, 0.5) * 1000
    unprepared = percentile(cold, 0.5) * 1000
    return [
        Row("P1", "one workflow of 10 nodes", one, "executions/s of CPU"),
        Row("P1", f"{_WORKFLOWS} workflows in turn", all_of_them, "executions/s of CPU", "one", all_of_them / one),
        Row("P2", f"{_LONG:,} nodes, run before", again, "ms of CPU"),
        Row("P2", f"{_LONG:,} nodes, first run after a save", new, "ms of CPU", "run before", new / again),
        Row(
            "P2",
            f"{_LONG:,} nodes, first run after a restart",
            unprepared,
            "ms of CPU",
            "run before",
            unprepared / again,
        ),
    ]
