"""What executions cost a server while they wait, are queued or run: memory each, and CPU when nothing happens."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.benchmarks.lab import Row
from tests.benchmarks.site import Site, client, cpu_seconds, resident, serving

_WAITING = 10_000
_QUEUED = 5_000
_RUNNING = 2_000
_LOOK = 10.0


async def _idle(site: Site) -> float:
    """Share of a core that the server uses when nobody asks anything, in percent."""
    await asyncio.sleep(1.0)
    before = cpu_seconds(site.pid)
    await asyncio.sleep(_LOOK)
    return (cpu_seconds(site.pid) - before) / _LOOK * 100


async def _started(site: Site, workflow: str, count: int) -> None:
    given: dict[str, Any] = {"url": site.api + "/executions", "headers": site.server.headers, "good": [202]}
    await client("load", **given, body={"workflow_id": workflow}, count=count, concurrency=50)


async def run() -> list[Row]:
    """The rows. Memory is what the process holds for itself; the first thousand of each kind only warm up."""
    rows: list[Row] = []
    with serving("native") as site:
        rows.append(Row("Waiting", "idle server", await _idle(site), "% of a core"))
        rows.append(Row("Waiting", "idle server: memory", resident(site.pid) / 1e6, "MB"))
        site.save("waits", [{"id": "w", "type": "wait", "params": {"answer_schema": True}}])
        site.save("sleeps", [{"id": "s", "type": "bench.sleep", "params": {"seconds": 600}}])
        site.save(
            "queued",
            [{"id": "s", "type": "bench.sleep", "params": {"seconds": 600}}],
            settings={"max_concurrency": 1},
        )
        for kind, workflow, status, count in (
            ("waiting", "waits", "waiting", _WAITING),
            ("queued", "queued", "queued", _QUEUED),
            ("running no-op", "sleeps", "running", _RUNNING),
        ):
            warm = 1_000
            await _started(site, workflow, warm)
            await site.until(status, workflow, warm - (kind == "queued"))
            await asyncio.sleep(1.0)
            before = resident(site.pid)
            await _started(site, workflow, count)
            await site.until(status, workflow, warm + count - (kind == "queued"))
            await asyncio.sleep(1.0)
            each = (resident(site.pid) - before) / count / 1000
            rows.append(Row("Waiting", f"memory for each {kind} execution", each, "kB"))
            rows.append(Row("Waiting", f"idle with {warm + count:,} {kind}", await _idle(site), "% of a core"))
    return rows
