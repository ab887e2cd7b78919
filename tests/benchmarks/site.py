"""A server under a benchmark, a bare app beside it, and the client process that loads either of them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2

from tests.benchmarks.lab import scratch
from tests.support.plugin import plugin_path
from tests.support.server import Server, start_server

_TICKS = os.sysconf("SC_CLK_TCK")


class Site:
    """A running server and how to ask it things."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.api = server.url + "/api/v1"

    @property
    def pid(self) -> int:
        return self.server.process.pid

    def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        """One call of the API."""
        response = httpx2.request(method, self.api + path, headers=self.server.headers, timeout=120, **kwargs)
        response.raise_for_status()
        return response.json()

    def save(self, workflow_id: str, nodes: list[dict[str, Any]], **more: Any) -> None:
        """Save the nodes as a chain."""
        edges = [{"from": a["id"], "to": b["id"]} for a, b in pairwise(nodes)]
        document = {"aicflow": 1, "name": workflow_id, "nodes": nodes, "edges": edges, **more}
        self.ask("POST", "/workflows", params={"id": workflow_id}, json=document)

    def many(self, status: str, workflow_id: str) -> int:
        """How many executions of a workflow have a status, as its database tells."""
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(self.server.data / "aicflow.db", timeout=30)) as connection:
            sql = "SELECT count(*) FROM executions WHERE workflow_id = ? AND status = ?"
            return int(connection.execute(sql, (workflow_id, status)).fetchone()[0])

    async def until(self, status: str, workflow_id: str, many: int) -> None:
        """Wait until so many have it."""
        while self.many(status, workflow_id) < many:
            await asyncio.sleep(0.05)


def environment(engine: str) -> dict[str, str]:
    """What the benchmark's servers are started with."""
    return {
        "PYTHONPATH": plugin_path(scratch() / "plugin", "bench", "tests.benchmarks.plugin"),
        "AICFLOW_ENGINE": engine,
        "AICFLOW_LOG_LEVEL": "warning",
        "AICFLOW_MAX_RUNNING": "5000",
        # requests are counted, and there are more of them from one address than any honest client sends
        "AICFLOW_RATE_KEY": "100000000/m",
        "AICFLOW_RATE_ADDRESS": "100000000/m",
        "AICFLOW_WEBHOOK_RATE": "100000000/m",
        "AICFLOW_WEBHOOK_OPEN_RATE": "100000000/m",
    }


@contextmanager
def serving(engine: str, **options: str) -> Iterator[Site]:
    """A server on a fresh data folder."""
    server = start_server(scratch() / "data", environment(engine) | options)
    try:
        yield Site(server)
    finally:
        server.kill()


@asynccontextmanager
async def bare_app(name: str) -> AsyncIterator[str]:
    """One of the bare apps of `bare.py` in a process of its own; gives its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bare", name, str(scratch()), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def client(what: str, **given: Any) -> dict[str, Any]:
    """Run the client process; gives what it measured."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.client", what, json.dumps(given), stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the client failed with {process.returncode}")
    measured: dict[str, Any] = json.loads(out)
    return measured


def chain(count: int) -> list[dict[str, Any]]:
    """Trivial nodes, each of which takes the one before."""
    return [
        {"id": f"n{i}", "type": "bench.add", "params": {"n": f"${{{{ nodes.n{i - 1}.output }}}}" if i else 0}}
        for i in range(count)
    ]


def resident(pid: int) -> int:
    """Bytes of memory that a process holds for itself."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
