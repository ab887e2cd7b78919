"""http.request beside the client that it is made of (httpx2) and beside aiohttp, on a server in another process."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.lab import Row


_NODES = 10
_ROUNDS = 5

type Work = Callable[[int, int], Awaitable[None]]


class _Server(asyncio.Protocol):
    """Answers each GET with a small JSON document, `/large` with one of a megabyte."""

    small = json.dumps({"id": 1, "name": "first"}).encode()
    large = json.dumps([{"id": i, "name": f"item {i}", "price": i * 1.25, "tags": ["a", "b"]} for i in range(16_000)])

    def connection_made(self, transport: Any) -> None:
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, self._read = self._read.partition(b"\r\n\r\n")
            body = self.large.encode() if b"/large" in head.split(b"\r\n", 1)[0] else self.small
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@asynccontextmanager
async def _httpx2(url: str) -> AsyncIterator[Work]:
    import httpx2

    async with httpx2.AsyncClient(trust_env=False) as client:

        async def work(count: int, at_once: int) -> None:
            async def some() -> None:
                for _ in range(count // at_once):
                    (await client.get(url)).json()

            await asyncio.gather(*(some() for _ in range(at_once)))

        yield work


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[Work]:
    import aiohttp

    async with aiohttp.ClientSession() as client:

        async def work(count: int, at_once: int) -> None:
            async def some() -> None:
                for _ in range(count // at_once):
                    async with client.get(url) as response:
                        await response.json()

            await asyncio.gather(*(some() for _ in range(at_once)))

        yield work


@asynccontextmanager
async def _node(url: str) -> AsyncIterator[Work]:
    """The node type by itself, its params already checked."""
    from aicflow.net import HostRules, HttpSettings
    from aicflow.testing import RecordingContext
    from aicflow_http import HttpRequest, HttpRequestParams

    node = HttpRequest(HttpSettings(allow=HostRules.parse("127.0.0.1")))
    await node.start()
    params, context = HttpRequestParams(url=url), RecordingContext()

    async def work(count: int, at_once: int) -> None:
        async def some() -> None:
            for _ in range(count // at_once):
                await node.run(context, params)

        await asyncio.gather(*(some() for _ in range(at_once)))

    yield work
    await node.stop()


@asynccontextmanager
async def _steps(url: str) -> AsyncIterator[Work]:
    """Steps of executions, each stored, ten in a row."""
    from aicflow_http import HttpRequest

    from tests.benchmarks.lab import engine_on_sqlite, save

    os.environ["AICFLOW_HTTP_ALLOW_HOSTS"] = "127.0.0.1"
    async with engine_on_sqlite("native", types=[HttpRequest]) as executions:
        nodes = [{"id": f"n{i}", "type": "http.request", "params": {"url": url}} for i in range(_NODES)]
        await save(executions, "calls", nodes)

        async def work(count: int, at_once: int) -> None:
            async def some() -> None:
                for _ in range(count // at_once // _NODES):
                    started = await executions.start("calls")
                    ended = await executions.wait(started.execution_id, 60)
                    assert ended is not None
                    assert ended.status == "succeeded"

            await asyncio.gather(*(some() for _ in range(at_once)))

        yield work


async def _measured(work: Work, count: int, at_once: int) -> tuple[float, float]:
    """CPU seconds of this process and seconds on the clock for each call."""
    gc.collect()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await work(count, at_once)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / count, seconds / count


async def run() -> list[Row]:
    """Calls a second and CPU time for each, small documents one and fifty at once, and one of a megabyte."""
    from tests.benchmarks.lab import Row

    server = subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
    opens = {"httpx2": _httpx2, "aiohttp": _aiohttp, "the node by itself": _node, "steps of executions": _steps}
    rows: list[Row] = []
    try:
        for case, path, count, at_once in (
            ("http, small JSON, 1 at once", "", 200, 1),
            ("http, small JSON, 50 at once", "", 1000, 50),
            ("http, 1 MB of JSON, 1 at once", "large", 20, 1),
        ):
            figures: dict[str, list[tuple[float, float]]] = {}
            async with AsyncExitStack() as stack:
                clients = {name: await stack.enter_async_context(one(url + path)) for name, one in opens.items()}
                for measured in (False, *[True] * _ROUNDS):  # interleaved; the first round warms up
                    for name, work in clients.items():
                        figure = await _measured(work, count, at_once)
                        if measured:
                            figures.setdefault(name, []).append(figure)
            cpu, seconds = (
                {name: statistics.median(figure[i] for figure in found) for name, found in figures.items()}
                for i in (0, 1)
            )
            for name in figures:
                rows.append(Row(case, name, 1 / seconds[name], "calls/s", "httpx2", seconds["httpx2"] / seconds[name]))
                rows.append(Row(case, name, cpu[name] * 1e6, "µs of CPU a call", "httpx2", cpu[name] / cpu["httpx2"]))
    finally:
        server.kill()
        server.communicate()
    return rows


if __name__ == "__main__":
    asyncio.run(_serve())
