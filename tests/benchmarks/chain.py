"""W1: a chain of ten trivial nodes, 200 executions, beside a bare loop and raw LangGraph."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from tests.benchmarks.lab import Row, engine_on_sqlite, save, scratch

__all__ = ["run"]

_NODES = 10
_EXECUTIONS = 200


async def _at_once(count: int, concurrency: int, one: Callable[[int], Awaitable[Any]]) -> float:
    """Seconds that `count` calls take, `concurrency` at a time. The first ones warm up and do not count."""
    for i in range(3):
        await one(i)
    gc.collect()
    gate = asyncio.Semaphore(concurrency)

    async def limited(i: int) -> None:
        async with gate:
            await one(i)

    began = time.perf_counter()
    await asyncio.gather(*[limited(i) for i in range(count)])
    return time.perf_counter() - began


async def _ours(engine: str, concurrency: int) -> float:
    async with engine_on_sqlite(engine) as executions:
        nodes = [
            {"id": f"n{i}", "type": "bench.add", "params": {"n": f"${{{{ nodes.n{i - 1}.output }}}}" if i else 0}}
            for i in range(_NODES)
        ]
        await save(executions, "chain", nodes)

        async def one(i: int) -> None:
            started = await executions.start("chain")
            ended = await executions.wait(started.execution_id, 60)
            assert ended is not None
            assert ended.output == _NODES

        return await _at_once(_EXECUTIONS, concurrency, one)


async def _bare(concurrency: int) -> float:
    """(a) The same functions called one after the other, two rows a node, one durable batch an execution."""
    db = sqlite3.connect(scratch() / "bare.db", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, execution INTEGER, body TEXT)")

    async def add(n: int) -> int:
        return n + 1

    waiting: list[tuple[list[tuple[int, str]], asyncio.Future[None]]] = []
    wake = asyncio.Event()

    def commit(batches: list[list[tuple[int, str]]]) -> None:
        rows = [row for batch in batches for row in batch]
        db.execute("BEGIN IMMEDIATE")
        for start in range(0, len(rows), 500):
            part = rows[start : start + 500]
            marks = ",".join(["(?,?)"] * len(part))
            flat = [value for row in part for value in row]
            db.execute(f"INSERT INTO rows (execution, body) VALUES {marks}", flat)
        db.execute("COMMIT")

    async def writer() -> None:
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                group, waiting[:] = list(waiting), []
                await asyncio.to_thread(commit, [batch for batch, _ in group])
                for _, future in group:
                    future.set_result(None)

    task = asyncio.create_task(writer())

    async def one(i: int) -> None:
        rows, value = [], 0
        for n in range(_NODES):
            rows.append((i, json.dumps({"type": "started", "node": n})))
            value = await add(value)
            rows.append((i, json.dumps({"type": "succeeded", "node": n, "output": value})))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((rows, future))
        wake.set()
        await future

    seconds = await _at_once(_EXECUTIONS, concurrency, one)
    task.cancel()
    db.close()
    return seconds


class _State(TypedDict):
    n: int


def _graph() -> Any:
    from langgraph.graph import END, START, StateGraph

    async def add(state: _State) -> _State:
        return {"n": state["n"] + 1}

    builder = StateGraph(_State)
    for i in range(_NODES):
        builder.add_node(f"n{i}", add)
    builder.add_edge(START, "n0")
    for i in range(_NODES - 1):
        builder.add_edge(f"n{i}", f"n{i + 1}")
    builder.add_edge(f"n{_NODES - 1}", END)
    return builder


async def _langgraph_in_memory(concurrency: int) -> float:
    """(b) Raw LangGraph `StateGraph`, nothing durable."""
    graph = _graph().compile()

    async def one(i: int) -> None:
        assert (await graph.ainvoke({"n": 0}))["n"] == _NODES

    return await _at_once(_EXECUTIONS, concurrency, one)


async def _langgraph_with_saver(concurrency: int) -> float:
    """(c) Raw LangGraph with its own SQLite checkpointer."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with AsyncSqliteSaver.from_conn_string(str(scratch() / "saver.db")) as saver:
        graph = _graph().compile(checkpointer=saver)
        number = iter(range(1_000_000))

        async def one(i: int) -> None:
            config = {"configurable": {"thread_id": f"t{next(number)}"}}
            assert (await graph.ainvoke({"n": 0}, config))["n"] == _NODES

        return await _at_once(_EXECUTIONS, concurrency, one)


async def run() -> list[Row]:
    """The rows of W1."""
    rows: list[Row] = []
    for concurrency in (1, 50):
        case = f"W1, concurrency {concurrency}"
        work = _NODES * _EXECUTIONS
        bare = work / await _bare(concurrency)
        memory = work / await _langgraph_in_memory(concurrency)
        saver = work / await _langgraph_with_saver(concurrency)
        rows.append(Row(case, "(a) bare loop, one durable batch an execution", bare, "nodes/s"))
        rows.append(Row(case, "(b) raw LangGraph, in memory", memory, "nodes/s"))
        rows.append(Row(case, "(c) raw LangGraph, AsyncSqliteSaver", saver, "nodes/s"))
        for engine in ("langgraph", "native"):
            ours = work / await _ours(engine, concurrency)
            rows.append(Row(case, f"AIC Flow, {engine}", ours, "nodes/s", "(a)", ours / bare))
            rows.append(Row(case, f"AIC Flow, {engine}", ours, "nodes/s", "(c)", ours / saver))
    return rows
