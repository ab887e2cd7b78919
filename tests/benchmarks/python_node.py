"""What a Python node costs: the sealed backend beside `exec` in the same process and beside a new interpreter a call.

python tests/benchmarks/python_node.py [--calls N] [--json FILE]

Figures are medians in milliseconds unless they say otherwise. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aicflow_python.sandbox import Call, Limits, ProcessSandbox

if TYPE_CHECKING:
    from aicflow.engine import Executions

    from tests.benchmarks.lab import Row

CODE = "total = sum(inputs['values'])\nreturn {'total': total, 'mean': total / len(inputs['values'])}"
INPUTS = {"values": [1, 2, 3, 4, 5, 6, 7, 8]}
ROWS = {
    "rows": [
        {"id": n, "name": f"customer {n}", "total": n * 1.25, "tags": ["new", "eu"], "active": True, "note": None}
        for n in range(5000)
    ]
}
AT_ONCE = (10, 50, 1000, 2000)
LEAST = 100
GOALS = {
    "warm call, scope execution": 0.3,
    "warm call, scope call": 2.0,
    "calls a second, scope execution": 2000.0,
    "cold start": 300.0,
    "5,000 rows there and back": 40.0,
    "runaway dead after its limit (worst)": 300.0,
}


async def each(count: int, call: Callable[[], Awaitable[object]], pause: float = 0.0) -> list[float]:
    """Milliseconds of each of so many calls."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        await call()
        times.append((time.perf_counter() - start) * 1000)
        if pause:
            await asyncio.sleep(pause)
    return times


async def warm(sandbox: ProcessSandbox, calls: int) -> dict[str, float]:
    """Single calls, one after another, in an execution's own process and in fresh ones from the pool."""
    call = Call(CODE, INPUTS)

    async def run(scope: str | None) -> None:
        (await sandbox.call(call, scope)).unwrap()

    await each(50, lambda: run("warm"))
    shared = await each(calls, lambda: run("warm"))
    # The pause lets the pool fill up again: this is the cost of a call, not of a fork.
    fresh = await each(min(calls, 200), lambda: run(None), pause=0.02)
    return {
        "warm call, scope execution": statistics.median(shared),
        "warm call, scope execution (p95)": statistics.quantiles(shared, n=20)[-1],
        "warm call, scope call": statistics.median(fresh),
        "warm call, scope call (p95)": statistics.quantiles(fresh, n=20)[-1],
    }


async def throughput(sandbox: ProcessSandbox, calls: int) -> dict[str, float]:
    """As many calls as go through, from two executions at once, and from calls that each want a fresh process."""
    call = Call(CODE, INPUTS)

    async def many(scope: str | None, count: int) -> None:
        for _ in range(count):
            (await sandbox.call(call, scope)).unwrap()

    start = time.perf_counter()
    await asyncio.gather(many("one", calls), many("two", calls))
    shared = 2 * calls / (time.perf_counter() - start)
    start = time.perf_counter()
    await many(None, 100)
    return {
        "calls a second, scope execution": shared,
        "calls a second, scope call": 100 / (time.perf_counter() - start),
    }


async def rows(sandbox: ProcessSandbox) -> dict[str, float]:
    """A large input in, the same out."""
    call = Call("return inputs['rows']", ROWS)

    async def run() -> None:
        (await sandbox.call(call, "rows")).unwrap()

    await run()
    return {"5,000 rows there and back": statistics.median(await each(20, run))}


async def kills(sandbox: ProcessSandbox) -> dict[str, float]:
    """How long after its limit a runaway is gone: in Python, in C, asleep, and by cancelling."""
    late = []
    for code in ("while True: pass", "sum(range(10**12))", "import time\ntime.sleep(60)"):
        for limits in (Limits(timeout=0.1), Limits(cpu_seconds=0.1, timeout=5)):
            if "sleep" in code and limits.timeout > 1:
                continue
            start = time.perf_counter()
            await sandbox.call(Call(code, limits=limits), None)
            late.append((time.perf_counter() - start) * 1000 - 100)
    cancelled = []
    for _ in range(10):
        task = asyncio.create_task(sandbox.call(Call("while True: pass"), None))
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        cancelled.append((time.perf_counter() - start) * 1000)
    return {
        "runaway dead after its limit (worst)": max(late),
        "cancelled call ended": statistics.median(cancelled),
    }


async def cold() -> dict[str, float]:
    """From nothing to a full pool."""
    times = []
    for _ in range(5):
        sandbox = ProcessSandbox()
        start = time.perf_counter()
        await sandbox.start()
        times.append((time.perf_counter() - start) * 1000)
        await sandbox.close()
    return {"cold start": statistics.median(times)}


def baselines(calls: int) -> dict[str, float]:
    """The same work without any isolation, and with a new interpreter each time."""
    body = "def node(inputs):\n" + "".join(f"    {line}\n" for line in CODE.splitlines())
    compiled = compile(body, "<node>", "exec")
    inside = []
    for _ in range(calls):
        start = time.perf_counter()
        inputs = json.loads(json.dumps(INPUTS))
        names: dict[str, Any] = {}
        exec(compiled, names)
        json.loads(json.dumps(names["node"](inputs)))
        inside.append((time.perf_counter() - start) * 1000)
    program = f"import json, sys\n{body}\nprint(json.dumps(node(json.load(sys.stdin))))"
    outside = []
    for _ in range(20):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", program], input=json.dumps(INPUTS).encode(), capture_output=True)
        outside.append((time.perf_counter() - start) * 1000)
    start = time.perf_counter()
    for _ in range(10):
        json.loads(json.dumps(json.loads(json.dumps(ROWS))))
    return {
        "baseline: exec in the same process": statistics.median(inside),
        "baseline: subprocess.run([python, …])": statistics.median(outside),
        "baseline: 5,000 rows through json twice": (time.perf_counter() - start) * 100,
    }


async def measure(calls: int) -> dict[str, float]:
    """Everything."""
    figures = await cold()
    sandbox = ProcessSandbox(warm=4)
    await sandbox.start()
    try:
        figures |= await warm(sandbox, calls)
        figures |= await throughput(sandbox, calls)
        figures |= await rows(sandbox)
        figures |= await kills(sandbox)
    finally:
        await sandbox.close()
    return figures | baselines(calls)


def ten_nodes() -> list[dict[str, Any]]:
    """Ten Python nodes that do next to nothing."""
    params = {"code": "return inputs['n'] + 1", "inputs": {"n": 1}}
    return [{"id": f"n{i}", "type": "python.code", "params": params} for i in range(10)]


async def at_once() -> list[Row]:
    """Executions of ten Python nodes a second, so many at once, and what each costs this process and the sandbox's."""
    from aicflow_python import PythonCode

    from tests.benchmarks.lab import engine_on_sqlite, save

    rows: list[Row] = []
    for many in AT_ONCE:
        count = max(many, LEAST)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        async with engine_on_sqlite("native", types=[PythonCode]) as executions:
            await save(executions, "code", ten_nodes())

            async def one(executions: Executions = executions) -> None:
                started = await executions.start("code")
                ended = await executions.wait(started.execution_id, 300)
                assert ended is not None
                assert ended.status == "succeeded"

            await one()
            before, began = time.process_time(), time.perf_counter()
            for _ in range(count // many):
                await asyncio.gather(*(one() for _ in range(many)))
            took, spent = time.perf_counter() - began, time.process_time() - before
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        below = ended.ru_utime + ended.ru_stime - children.ru_utime - children.ru_stime
        rows += figures_of(f"ten nodes, {many} at once", count, took, spent, rows)
        rows.append(compared(f"ten nodes, {many} at once: its processes", below * 1000 / count, "ms of CPU", rows))
    return rows


async def by_webhook() -> list[Row]:
    """The same on a real server, asked and answered by webhook."""
    from tests.benchmarks.site import client, cpu_seconds, serving

    respond = {"mode": "output", "timeout": 300}
    hook = {"id": "hook", "type": "trigger.webhook", "params": {"path": "code", "respond": respond}}
    rows: list[Row] = []
    with serving("native", AICFLOW_MAX_CONNECTIONS="4096", AICFLOW_MAX_CONNECTIONS_PER_ADDRESS="4096") as site:
        site.save("code", ten_nodes(), output="${{ nodes.n9.output }}", triggers=[hook])
        asked = {"url": site.server.url + "/hooks/code", "headers": {}, "body": {}, "good": [200]}
        await client("load", **asked, count=20, concurrency=5)
        for many in AT_ONCE:
            count, spent = max(many, LEAST), cpu_seconds(site.pid)
            took = (await client("load", **asked, count=count, concurrency=many))["seconds"]
            rows += figures_of(f"by webhook, {many} at once", count, took, cpu_seconds(site.pid) - spent, rows)
    return rows


def figures_of(case: str, count: int, took: float, spent: float, earlier: Sequence[Row]) -> list[Row]:
    """So many executions that took so many seconds, and as many of the engine's CPU."""
    return [
        compared(case, count / took, "executions/s", earlier),
        compared(f"{case}: the engine", spent * 1000 / count, "ms of CPU", earlier),
    ]


def compared(case: str, value: float, unit: str, earlier: Sequence[Row]) -> Row:
    """A row beside the one of its kind with fewest at once."""
    from tests.benchmarks.lab import Row

    kind = case.partition(":")[2]
    first = next((row.value for row in earlier if row.unit == unit and row.case.partition(":")[2] == kind), value)
    return Row("python node", case, value, unit, f"{AT_ONCE[0]} at once", value / first)


async def run() -> Sequence[Row]:
    """The same as rows of the table that all benchmarks share."""
    from tests.benchmarks.lab import Row

    figures = await measure(300)
    base = figures["baseline: exec in the same process"]
    return [
        *await at_once(),
        *await by_webhook(),
        *(
            Row("python node", name, value, "/s" if "a second" in name else "ms", *comparison(name, value, base))
            for name, value in figures.items()
        ),
    ]


def comparison(name: str, value: float, base: float) -> tuple[str, float | None]:
    """Calls are compared with an exec; the rest stands by itself."""
    return ("exec", value / base) if name.startswith("warm call") else ("", None)


def main() -> None:
    """Measure, print a table, write JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.calls))
    exec_ms, python_ms = (
        figures["baseline: exec in the same process"],
        figures["baseline: subprocess.run([python, …])"],
    )
    print(f"{'':46}{'measured':>12}{'goal':>10}")
    for name, value in figures.items():
        goal = GOALS.get(name)
        print(f"{name:46}{value:12.3f}{goal if goal is not None else '':>10}")
    shared = figures["warm call, scope execution"]
    print(
        f"\nA sealed call costs {shared / exec_ms:.0f} times an exec and {shared / python_ms:.4f} of a new interpreter."
    )
    print(f"Load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.")
    if options.json:
        report = {"figures": figures, "goals": GOALS, "load": os.getloadavg()[0], "processors": os.cpu_count()}
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
