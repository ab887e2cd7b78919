"""Streams: events a second to 1, 10 and 100 WebSocket clients of one execution, beside a bare WebSocket that sends
lines made beforehand. The clients are one process, which shares the machine's cores with the server."""

from __future__ import annotations

from tests.benchmarks.bare import EVENTS
from tests.benchmarks.lab import Row
from tests.benchmarks.site import bare_app, client, serving


async def run() -> list[Row]:
    """The rows. The execution waits for an answer until all clients watch it."""
    rows: list[Row] = []
    bare: dict[int, float] = {}
    async with bare_app("stream") as url:
        for watchers in (1, 10, 100):
            measured = await client("watch", url=url, headers={}, watchers=watchers, go=None, path="/")
            bare[watchers] = measured["events"] / measured["seconds"]
            rows.append(Row("Streams", f"bare WebSocket, {watchers} clients", bare[watchers], "events/s"))
    with serving("native") as site:
        nodes = [
            {"id": "w", "type": "wait", "params": {"answer_schema": True}},
            {"id": "l", "type": "bench.lines", "params": {"count": EVENTS}},
        ]
        site.save("lines", nodes)
        for watchers in (1, 10, 100):
            go = {
                "path": "/api/v1/executions",
                "body": {"workflow_id": "lines"},
                "then": "/api/v1/executions/{id}/resume",
            }
            measured = await client(
                "watch",
                url=site.server.url,
                headers=site.server.headers,
                watchers=watchers,
                go=go,
                path="/api/v1/executions/{id}/stream",
            )
            assert measured["each"] > EVENTS, measured
            rate = measured["events"] / measured["seconds"]
            rows.append(Row("Streams", f"live, {watchers} clients", rate, "events/s", "bare", rate / bare[watchers]))
    return rows
