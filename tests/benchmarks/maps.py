"""Maps: what an item costs beside a plain node, early and late, and how soon another worker goes on after a crash."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path
from typing import Any

from aicflow import node
from aicflow.engine import Executions
from aicflow.engine.builtins import MapNode

from tests.benchmarks.lab import NODES, Row, engine_on_sqlite, save

_ITEMS = 10_000
_MANY = 100_000
_CRASH_AT = 9_000
_SPAN = 100
_seen: list[float] = []


@node("bench.stamp")
async def stamp(n: int) -> int:
    """One more, and the instant is kept; from the item on that the test names, it holds."""
    _seen.append(time.perf_counter())
    if n >= _CRASH_AT:
        await asyncio.sleep(3_600)
    return n + 1


@node("bench.mark", pure=True)
async def mark(n: int) -> int:
    """One more, and the instant is kept."""
    _seen.append(time.perf_counter())
    return n + 1


_TYPES = (*NODES, stamp, mark, MapNode)


def _resident() -> float:
    """MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


async def _map(executions: Executions, name: str, kind: str, **more: Any) -> None:
    body = [{"id": "do", "type": kind, "params": {"n": "${{ item }}"}}]
    await save(executions, name, [{"id": "each", "map": {"over": "${{ input }}", "nodes": body, **more}}])


async def _timed(executions: Executions, name: str, items: int) -> float:
    """Seconds of one execution over so many items."""
    began = time.perf_counter()
    started = await executions.start(name, list(range(items)))
    ended = await executions.wait(started.execution_id, 600)
    assert ended is not None
    assert ended.status == "succeeded"
    return time.perf_counter() - began


async def _taken_over() -> float:
    """Seconds from a new worker's start until the first item runs again after a crash at item 9,000 of 10,000."""
    async with engine_on_sqlite("native", types=_TYPES) as executions:
        await _map(executions, "stamped", "bench.stamp")
        _seen.clear()
        started = await executions.start("stamped", list(range(_ITEMS)))
        while len(_seen) < _CRASH_AT + 10:
            await asyncio.sleep(0.01)
        worker = executions._worker
        tasks = [*worker._loops, *worker._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        again = Executions(
            executions.store,
            executions._env.registry,
            engines=executions._engine_types,
            options=executions.options,
        )
        _seen.clear()
        await executions.store.executions.reclaim(again.worker.id)
        began = time.perf_counter()
        await again.open()
        while not _seen:
            await asyncio.sleep(0.001)
        taken = _seen[0] - began
        await again.cancel(started.execution_id)
        assert await again.wait(started.execution_id, 60) is not None
        await again.close()
    return taken


async def run() -> list[Row]:
    """The rows."""
    rows: list[Row] = []
    async with engine_on_sqlite("native", types=_TYPES) as executions:
        nodes = [{"id": f"n{i}", "type": "bench.add", "params": {"n": i}} for i in range(_ITEMS)]
        await save(executions, "nodes", nodes)
        for name, kind in (("pure", "bench.mark"), ("effects", "bench.effect")):
            await _map(executions, name, kind)
        await _timed(executions, "pure", 10)
        gc.collect()
        before = _resident()
        _seen.clear()
        pure = await _timed(executions, "pure", _ITEMS) / _ITEMS * 1e6
        grown = _resident() - before
        early, late = _seen[2 * _SPAN] - _seen[_SPAN], _seen[-_SPAN] - _seen[-2 * _SPAN]
        plain = min([await _timed(executions, "nodes", 1) for _ in range(2)]) / _ITEMS * 1e6
        effects = await _timed(executions, "effects", _ITEMS) / _ITEMS * 1e6
        _seen.clear()
        many = await _timed(executions, "pure", _MANY) / _MANY * 1e6
        spans = [_seen[at + 1_000] - _seen[at] for at in range(0, _MANY - 1_000, 1_000)]
        first, last = sorted(spans[:20])[10] * 1e3, sorted(spans[-20:])[10] * 1e3
    rows.append(Row("Maps", f"{_ITEMS:,} plain pure nodes", plain, "µs a node"))
    rows.append(Row("Maps", f"{_ITEMS:,} items of a pure node", pure, "µs an item", "plain", pure / plain))
    rows.append(
        Row("Maps", f"{_ITEMS:,} items of a node with effects", effects, "µs an item", "plain", effects / plain)
    )
    rows.append(Row("Maps", f"{_MANY:,} items of a pure node", many, "µs an item", "10,000", many / pure))
    rows.append(Row("Maps", "a hundred items, from item 100 on", early * 1e4, "µs an item"))
    rows.append(Row("Maps", "the last hundred", late * 1e4, "µs an item", "from 100 on", late / early))
    rows.append(Row("Maps", "of 100,000: the first 20,000, median", first, "µs an item"))
    rows.append(Row("Maps", "of 100,000: the last 20,000, median", last, "µs an item", "the first", last / first))
    rows.append(Row("Maps", f"memory grown over {_ITEMS:,} pure items", grown, "MB"))
    taken = await _taken_over()
    rows.append(Row("Maps", f"killed at item {_CRASH_AT:,}: until another worker runs the next", taken, "s"))
    return rows
