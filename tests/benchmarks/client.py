"""The client process of the server benchmarks: requests as cheap as they can be made in Python, and watchers.

It shares the machine's cores with the server, so what it costs is kept small: requests are written as bytes made
beforehand, and of an answer only the status and the length are read."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit


async def _connection(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(url)
    return await asyncio.open_connection(place.hostname, place.port)


def _request(url: str, headers: dict[str, str], body: Any) -> bytes:
    place = urlsplit(url)
    content = json.dumps(body).encode()
    path = place.path + (f"?{place.query}" if place.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"host: {place.netloc}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def load(url: str, headers: dict[str, str], body: Any, count: int, concurrency: int, good: list[int]) -> Any:
    """Send the request `count` times over so many connections; gives latencies in milliseconds and the whole time."""
    request = _request(url, headers, body)
    left = iter(range(count))
    latencies: list[float] = []

    async def one() -> None:
        reader, writer = await _connection(url)
        for _ in left:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            lowered = head.lower()
            start = lowered.index(b"content-length:") + 15
            answer = await reader.readexactly(int(lowered[start : lowered.index(b"\r\n", start)]))
            if status not in good:
                raise RuntimeError(f"{status}: {answer[:500]!r}")
            latencies.append((time.perf_counter() - began) * 1000)
        writer.close()

    gc.disable()
    began = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(min(concurrency, count))])
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


async def watch(url: str, headers: dict[str, str], watchers: int, go: dict[str, Any] | None, path: str) -> Any:
    """Let so many WebSocket clients read one stream to its end; gives events received and seconds. `go` is the request
    that starts what is watched; `path` is the stream's, with the execution's id in it."""
    import httpx2
    from websockets.asyncio.client import connect

    execution = ""
    if go is not None:
        async with httpx2.AsyncClient() as http:
            response = await http.post(url + go["path"], headers=headers, json=go["body"])
            execution = response.json()["id"]
    base = url.replace("http://", "ws://")
    place = base + path.format(id=execution)
    ready = asyncio.Semaphore(0)
    begin = asyncio.Event()

    async def one() -> int:
        events = 0
        protocols: Any = ["aicflow.v1"]
        async with connect(
            place, additional_headers=headers, subprotocols=protocols, compression=None, max_size=None
        ) as socket:
            ready.release()
            await begin.wait()
            if go is None:
                await socket.send("go")
            async for frame in socket:
                events += frame.count("\n") + (not str(frame).endswith("\n"))
        return events

    tasks = [asyncio.create_task(one()) for _ in range(watchers)]
    for _ in tasks:
        await ready.acquire()
    began = time.perf_counter()
    begin.set()
    if go is not None and "then" in go:
        async with httpx2.AsyncClient() as http:
            then = await http.post(url + go["then"].format(id=execution), headers=headers, json={"value": None})
            then.raise_for_status()
    events = await asyncio.gather(*tasks)
    return {"seconds": time.perf_counter() - began, "events": sum(events), "each": events[0]}


if __name__ == "__main__":
    work = {"load": load, "watch": watch}[sys.argv[1]]
    print(json.dumps(asyncio.run(work(**json.loads(sys.argv[2])))))  # type: ignore[operator]
