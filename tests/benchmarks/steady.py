"""A server's long day: how late the event loop is at 80 % of what it can do, and memory after many executions."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

from aicflow.engine import Executions

from tests.benchmarks.lab import Row, engine_on_sqlite, percentile, save

_NODES = 10
_SECONDS = 5.0
_TICK = 0.005
_FEW, _MANY = 2_000, 20_000


async def _ticks(lags: list[float]) -> None:
    """Note, every 5 ms, by how much the loop was late."""
    while True:
        due = time.perf_counter() + _TICK
        await asyncio.sleep(_TICK)
        lags.append((time.perf_counter() - due) * 1000)


async def _one(executions: Executions) -> None:
    started = await executions.start("chain")
    assert await executions.wait(started.execution_id, 60) is not None


async def _closed(executions: Executions, count: int) -> float:
    """Executions a second, 50 at once."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await _one(executions)

    began = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(50)])
    return count / (time.perf_counter() - began)


async def _open(executions: Executions, rate: float) -> None:
    """Start executions at this rate, whether earlier ones have ended or not, and wait for them."""
    tasks: set[asyncio.Task[None]] = set()
    began = time.perf_counter()
    started = 0
    while (passed := time.perf_counter() - began) < _SECONDS:
        while started < passed * rate:
            tasks.add(asyncio.create_task(_one(executions)))
            started += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)


def _memory() -> float:
    """Resident megabytes of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run() -> list[Row]:
    """The rows."""
    rows: list[Row] = []
    idle: list[float] = []
    ticker = asyncio.create_task(_ticks(idle))
    await asyncio.sleep(2)
    ticker.cancel()
    baseline = percentile(idle, 0.99)
    rows.append(Row("Steady", "an idle event loop: late by, p99", baseline, "ms"))
    for kind, name in (("bench.effect", "nodes with effects"), ("bench.add", "pure nodes")):
        async with engine_on_sqlite("native") as executions:
            await save(executions, "chain", [{"id": f"n{i}", "type": kind, "params": {"n": i}} for i in range(_NODES)])
            await _closed(executions, 200)
            rate = await _closed(executions, 1_000)
            lags: list[float] = []
            ticker = asyncio.create_task(_ticks(lags))
            await _open(executions, 0.8 * rate)
            ticker.cancel()
            case = f"{0.8 * rate:,.0f} executions/s of ten {name}, 80 % of the most: loop late by"
            for share in (0.5, 0.99):
                late = percentile(lags, share)
                ratio = late / baseline if share == 0.99 else None
                rows.append(Row("Steady", f"{case}, p{share * 100:.0f}", late, "ms", "idle" if ratio else "", ratio))
    async with engine_on_sqlite("native") as executions:
        await save(executions, "chain", [{"id": f"n{i}", "type": "bench.add", "params": {"n": i}} for i in range(3)])
        await _closed(executions, _FEW)
        few = _memory()
        await _closed(executions, _MANY - _FEW)
        many = _memory()
        rows.append(Row("Steady", f"memory after {_FEW:,} executions", few, "MB"))
        rows.append(Row("Steady", f"memory after {_MANY:,} executions", many, "MB", f"after {_FEW:,}", many / few))
    return rows
