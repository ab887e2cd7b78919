"""Recovery: a thousand executions are at work when the server is killed; how long until the last of them is done."""

from __future__ import annotations

import time

from tests.benchmarks.lab import Row, scratch
from tests.benchmarks.site import Site, client, environment
from tests.support.server import start_server

_EXECUTIONS = 1_000
_STEP = 0.5


async def run() -> list[Row]:
    """The rows. Each execution has four steps with effects of half a second and is killed in one of them."""
    rows: list[Row] = []
    for engine in ("langgraph", "native"):
        data, variables = scratch() / "data", environment(engine)
        site = Site(start_server(data, variables))
        try:
            site.save(
                "steps", [{"id": f"s{i}", "type": "bench.effect", "params": {"seconds": _STEP}} for i in range(4)]
            )
            body = {"workflow_id": "steps"}
            given = {"url": site.api + "/executions", "headers": site.server.headers, "good": [202], "body": body}
            await client("load", **given, count=_EXECUTIONS, concurrency=50)
            site.server.kill()
            killed = time.perf_counter()
            done_before = site.many("succeeded", "steps")
            site = Site(start_server(data, variables))
            up = time.perf_counter() - killed
            await site.until("succeeded", "steps", _EXECUTIONS)
            done = time.perf_counter() - killed
        finally:
            site.server.kill()
        left = _EXECUTIONS - done_before
        rows.append(Row("Recovery", f"{engine}: killed, until the server answers again", up, "s"))
        rows.append(
            Row("Recovery", f"{engine}: killed, until the last of {left:,} is done", done, "s", "start-up", done / up)
        )
    return rows
