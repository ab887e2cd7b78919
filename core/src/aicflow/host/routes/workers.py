"""Which workers there are, and how many are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host.pages import json_response, list_response
from aicflow.host.routes.common import Paging, call, router, runtime_of
from aicflow.kernel.clock import iso
from aicflow.kernel.document import QueueName
from aicflow.workers import DEFAULT_QUEUE, WorkerRecord

routes = router("executions")


class ScalingQuery(BaseModel):
    """Which queue; all without it."""

    model_config = ConfigDict(extra="forbid")

    queue: QueueName | None = Field(default=None, description="Only the figures of this queue")


@routes.get("/workers", summary="List the workers that are alive", **call("read", "WorkerPage"))
async def list_workers(request: Request, query: Paging) -> Response:
    """Oldest first: what each can run, from which queues, and how much it runs. One that has said nothing for 30
    seconds is left out."""
    return list_response(list(await runtime_of(request).store.workers.live()), attrgetter("id"), query, _view)


def _view(worker: WorkerRecord) -> dict[str, Any]:
    return {
        "id": worker.id,
        "name": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "queues": worker.queues,
        "max_running": worker.max_running,
        "running": worker.running,
        "types": sorted(worker.types),
        "started_at": iso(worker.started_at),
        "seen_at": iso(worker.seen_at),
    }


@routes.get("/scaling", summary="How many workers are wanted", **call("read", "Scaling"))
async def get_scaling(request: Request, query: Annotated[ScalingQuery, Query()]) -> Response:
    """What waits to be run and what is running on all hosts of the store, together and by queue, for an autoscaler.
    Executions that wait for a time, an answer or a place among those that may run at once want no worker."""
    runtime = runtime_of(request)
    backlog = await runtime.store.executions.backlog()
    queue_of = await runtime.store.workers.queues()
    queues: dict[str, list[tuple[int, float, int]]] = {}
    for number, figures in backlog.items():
        queues.setdefault(queue_of.get(number, DEFAULT_QUEUE), []).append(figures)
    most = runtime.settings.max_running
    if query.queue is not None:
        queues = {query.queue: queues.get(query.queue, [])}
    every = [figures for found in queues.values() for figures in found]
    by_queue = [{"queue": name, **_figures(found, most)} for name, found in sorted(queues.items())]
    return json_response({**_figures(every, most), "max_running": most, "queues": by_queue})


def _figures(found: Iterable[tuple[int, float, int]], most: int) -> dict[str, Any]:
    """Of several requirements together."""
    found = list(found)
    queued, running = sum(one[0] for one in found), sum(one[2] for one in found)
    seconds = max((one[1] for one in found), default=0.0)
    return {
        "queued": queued,
        "queue_seconds": round(max(0.0, seconds), 3),
        "running": running,
        "wanted_workers": -(-(queued + running) // most),
    }
