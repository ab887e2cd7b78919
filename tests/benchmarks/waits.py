"""W2: a thousand executions at once of a node that waits one second. W3: the overhead of a step over its function."""

from __future__ import annotations

import asyncio
import time

from tests.benchmarks.lab import Row, engine_on_sqlite, fib, percentile, save

_EXECUTIONS = 1_000


async def thousand_at_once() -> list[Row]:
    """The rows of W2: time to start and time until all are done, from the first request."""
    rows: list[Row] = []
    began = time.perf_counter()
    await asyncio.gather(*[asyncio.sleep(1) for _ in range(_EXECUTIONS)])
    bare = time.perf_counter() - began
    rows.append(Row("W2", "bare asyncio.sleep(1), 1,000 at once: all done", bare, "s"))
    for engine in ("langgraph", "native"):
        async with engine_on_sqlite(engine) as executions:
            await save(executions, "sleep", [{"id": "s", "type": "bench.sleep", "params": {"seconds": 1.0}}])
            await save(executions, "warm", [{"id": "s", "type": "bench.sleep", "params": {"seconds": 0.0}}])
            await executions.wait((await executions.start("warm")).execution_id, 10)
            began = time.perf_counter()

            async def one() -> float:
                started = await executions.start("sleep")
                ended = await executions.wait(started.execution_id, 60)
                assert ended is not None
                return float(ended.output)

            starts = [start - began for start in await asyncio.gather(*[one() for _ in range(_EXECUTIONS)])]
            done = time.perf_counter() - began
        for name, value in (
            ("started p50", percentile(starts, 0.5)),
            ("started p95", percentile(starts, 0.95)),
            ("all started", max(starts)),
        ):
            rows.append(Row("W2", f"AIC Flow, {engine}: {name}", value, "s"))
        rows.append(Row("W2", f"AIC Flow, {engine}: all done", done, "s", "bare", done / bare))
    return rows


async def overhead() -> list[Row]:
    """The rows of W3: sequential fibonacci as nodes, and what that costs over the bare functions."""
    rows: list[Row] = []
    for count, n in ((40, 10), (10, 33)):
        began = time.perf_counter()
        for _ in range(count):
            fib(n)
        bare = time.perf_counter() - began
        rows.append(Row("W3", f"{count} × fibonacci({n}), bare", bare * 1000, "ms"))
        for engine in ("langgraph", "native"):
            async with engine_on_sqlite(engine) as executions:
                nodes = [{"id": f"f{i}", "type": "bench.fibonacci", "params": {"n": n}} for i in range(count)]
                await save(executions, "fib", nodes)
                await save(executions, "warm", [{"id": "f", "type": "bench.fibonacci", "params": {"n": 1}}])
                await executions.wait((await executions.start("warm")).execution_id, 10)
                began = time.perf_counter()
                ended = await executions.wait((await executions.start("fib")).execution_id, 300)
                assert ended is not None
                took = time.perf_counter() - began
            over = (took - bare) * 1000
            rows.append(Row("W3", f"{count} × fibonacci({n}), {engine}: over bare", over, "ms", "bare", took / bare))
    return rows
