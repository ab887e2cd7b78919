"""W1: a chain of ten trivial nodes, 200 executions, pure ones and such with effects, beside bare loops and raw
LangGraph; and one chain of 10,000 nodes with effects."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from tests.benchmarks.lab import Row, engine_on_sqlite, save, scratch

_NODES = 10
_EXECUTIONS = 200
_LONG = 10_000


async def _at_once(count: int, concurrency: int, one: Callable[[int], Awaitable[Any]], warm_up: int = 3) -> float:
    """Seconds that `count` calls take, `concurrency` at a time. The first ones warm up and do not count."""
    for i in range(warm_up):
        await one(i)
    gc.collect()
    gate = asyncio.Semaphore(concurrency)

    async def limited(i: int) -> None:
        async with gate:
            await one(i)

    began = time.perf_counter()
    await asyncio.gather(*[limited(i) for i in range(count)])
    return time.perf_counter() - began


async def _ours(
    engine: str, concurrency: int, kind: str = "bench.add", size: int = _NODES, count: int = _EXECUTIONS
) -> float:
    async with engine_on_sqlite(engine) as executions:
        nodes = [
            {"id": f"n{i}", "type": kind, "params": {"n": f"${{{{ nodes.n{i - 1}.output }}}}" if i else 0}}
            for i in range(size)
        ]
        await save(executions, "chain", nodes)

        async def one(i: int) -> None:
            started = await executions.start("chain")
            ended = await executions.wait(started.execution_id, 60)
            assert ended is not None
            assert ended.output == size

        return await _at_once(count, concurrency, one, warm_up=3 if size == _NODES else 1)


type _Rows = list[tuple[int, str]]


class _BareLog:
    """Rows in SQLite as a careful author writes them without us: whoever waits shares a durable commit, in a thread."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(scratch() / "bare.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, execution INTEGER, body TEXT)")
        self._waiting: list[tuple[_Rows, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._write())

    def _commit(self, batches: list[_Rows]) -> None:
        rows = [row for batch in batches for row in batch]
        self._db.execute("BEGIN IMMEDIATE")
        for start in range(0, len(rows), 500):
            part = rows[start : start + 500]
            marks = ",".join(["(?,?)"] * len(part))
            flat = [value for row in part for value in row]
            self._db.execute(f"INSERT INTO rows (execution, body) VALUES {marks}", flat)
        self._db.execute("COMMIT")

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, self._waiting[:] = list(self._waiting), []
                await asyncio.to_thread(self._commit, [batch for batch, _ in group])
                for _, future in group:
                    future.set_result(None)

    async def commit(self, rows: _Rows) -> None:
        """Returns when they are durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, future))
        self._wake.set()
        await future

    def close(self) -> None:
        self._task.cancel()
        self._db.close()


async def _bare(concurrency: int, *, each: bool = False, size: int = _NODES, count: int = _EXECUTIONS) -> float:
    """The same functions called one after the other, two rows a node: (a) one durable batch an execution, or (d) one
    durable commit for `each` node, which its successor waits for."""

    async def add(n: int) -> int:
        return n + 1

    log = _BareLog()

    async def one(i: int) -> None:
        rows: _Rows = []
        value = 0
        for n in range(size):
            rows.append((i, json.dumps({"type": "started", "node": n})))
            if each:
                await log.commit(rows)
                rows = []
            value = await add(value)
            rows.append((i, json.dumps({"type": "succeeded", "node": n, "output": value})))
        await log.commit(rows)

    seconds = await _at_once(count, concurrency, one)
    log.close()
    return seconds


def _commits(count: int) -> float:
    """Seconds for so many commits one after the other: what the disk alone takes."""
    db = sqlite3.connect(scratch() / "commits.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)")
    began = time.perf_counter()
    for i in range(count):
        db.execute("INSERT INTO rows (body) VALUES (?)", (json.dumps({"type": "succeeded", "node": i}),))
    seconds = time.perf_counter() - began
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
        for engine in ("langgraph", "native", "auto"):
            ours = work / await _ours(engine, concurrency)
            rows.append(Row(case, f"AIC Flow, {engine}", ours, "nodes/s", "(a)", ours / bare))
            rows.append(Row(case, f"AIC Flow, {engine}", ours, "nodes/s", "(c)", ours / saver))
        each = work / await _bare(concurrency, each=True)
        effects = work / await _ours("native", concurrency, "bench.effect")
        rows.append(Row(case, "(d) bare loop, one durable commit a node", each, "nodes/s"))
        rows.append(Row(case, "AIC Flow, native, nodes with effects", effects, "nodes/s", "(d)", effects / each))
    disk = _commits(_LONG)
    each = await _bare(1, each=True, size=_LONG, count=1)
    ours = await _ours("native", 1, "bench.effect", size=_LONG, count=1)
    case = "a chain of 10,000 nodes with effects"
    rows.append(Row(case, "(e) as many durable commits of a row, no event loop", disk, "s"))
    rows.append(Row(case, "(d) bare loop, one durable commit a node", each, "s"))
    rows.append(Row(case, "AIC Flow, native", ours, "s", "(d)", ours / each))
    rows.append(Row(case, "AIC Flow, native", ours, "s", "(e)", ours / disk))
    return rows
