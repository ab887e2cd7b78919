"""API: accepting executions, and ten durable nodes from request to result. The client is a process of its own that
shares the machine's cores with the server."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.lab import Row, percentile
from tests.benchmarks.site import bare_app, chain, client, cpu_seconds, serving

_ACCEPTS = ((1, 500), (50, 3_000))
_WHOLE = 2_000
_ROUNDS = ((1, 150), (50, 2_000), (200, 2_000))


def _rows(case: str, measured: dict[str, Any], base: dict[str, Any] | None = None) -> list[Row]:
    latencies = measured["latencies"]
    rate = len(latencies) / measured["seconds"]
    base_rate = None if base is None else len(base["latencies"]) / base["seconds"]
    rows = [
        Row("API", f"{case}: rate", rate, "/s", "bare" if base_rate else "", rate / base_rate if base_rate else None)
    ]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        value = percentile(latencies, share)
        ratio = None if base is None else value / percentile(base["latencies"], share)
        rows.append(Row("API", f"{case}: {name}", value, "ms", "bare" if ratio else "", ratio))
    return rows


async def webhooks() -> list[Row]:
    """Ten nodes and the result by webhook, beside `POST /executions` and the bare route, in turn."""
    rows: list[Row] = []
    trigger = {
        "id": "hook",
        "type": "trigger.webhook",
        "params": {"path": "ten", "respond": {"mode": "output", "timeout": 60}},
    }
    async with bare_app("commit") as bare:
        with serving("auto") as site:
            site.save("ten", chain(10), output="${{ nodes.n9.output }}", triggers=[trigger])
            cases: dict[str, dict[str, Any]] = {
                "bare route": {"url": bare + "/", "headers": {}, "good": [202]},
                "POST /executions": {
                    "url": site.api + "/executions?wait=60",
                    "headers": site.server.headers,
                    "good": [200],
                },
                "webhook": {"url": site.server.url + "/hooks/ten", "headers": {}, "good": [200]},
            }
            for case in cases.values():
                await client("load", **case, body={"workflow_id": "ten"}, count=200, concurrency=20)
            for concurrency, count in _ROUNDS:
                base: dict[str, Any] | None = None
                for name, case in cases.items():
                    spent = cpu_seconds(site.pid)
                    measured = await client(
                        "load", **case, body={"workflow_id": "ten"}, count=count, concurrency=concurrency
                    )
                    work = ", 10 nodes and the result" if base else ""
                    label = f"{name}{work}, {concurrency} at once"
                    rows += _rows(label, measured, base)
                    if base is not None:
                        rows.append(Row("API", f"{label}: CPU", (cpu_seconds(site.pid) - spent) / count * 1000, "ms"))
                    base = base or measured
    return rows


async def run() -> list[Row]:
    """The rows."""
    rows: list[Row] = []
    bare: dict[int, dict[str, Any]] = {}
    async with bare_app("commit") as url:
        given: dict[str, Any] = {"url": url + "/", "headers": {}, "body": {"workflow_id": "one"}, "good": [202]}
        await client("load", **given, count=200, concurrency=10)
        for concurrency, count in _ACCEPTS:
            bare[concurrency] = await client("load", **given, count=count, concurrency=concurrency)
            rows += _rows(f"bare route, one row, {concurrency} at once", bare[concurrency])
    for engine in ("langgraph", "native"):
        with serving(engine) as site:
            site.save("one", chain(1))
            site.save("ten", chain(10), output="${{ nodes.n9.output }}")
            headers = site.server.headers
            given = {"url": site.api + "/executions", "headers": headers, "good": [202]}
            whole = {"url": site.api + "/executions?wait=30", "headers": headers, "good": [200]}
            await client("load", **given, body={"workflow_id": "one"}, count=300, concurrency=20)
            await site.until("succeeded", "one", 300)
            done = 300
            for concurrency, count in _ACCEPTS:
                measured = await client(
                    "load", **given, body={"workflow_id": "one"}, count=count, concurrency=concurrency
                )
                rows += _rows(f"accept, {engine}, {concurrency} at once", measured, bare[concurrency])
                done += count
                await site.until("succeeded", "one", done)
            await client("load", **whole, body={"workflow_id": "ten"}, count=200, concurrency=20)
            measured = await client("load", **whole, body={"workflow_id": "ten"}, count=_WHOLE, concurrency=50)
            rows += _rows(f"10 nodes and the result, {engine}, 50 at once", measured, bare[50])
    return rows
