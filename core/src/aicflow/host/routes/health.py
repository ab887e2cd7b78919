"""/livez and /readyz, which need no key: whether the process lives and can do its work. /metrics: its figures."""

from __future__ import annotations

import logging
from collections import Counter
from operator import attrgetter
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from aicflow.host.addresses import ADDRESS
from aicflow.host.gate import key_of
from aicflow.host.metrics import MEDIA_TYPE
from aicflow.host.pages import json_response
from aicflow.host.problems import Problem
from aicflow.host.request_limiter import RequestLimiter
from aicflow.host.routes.common import NoQuery, problems, runtime_of, scoped, shows
from aicflow.kernel.errors import AICFlowError
from aicflow.rates import LIMITER

routes = APIRouter(tags=["health"], generate_unique_id_function=attrgetter("name"))
_log = logging.getLogger("aicflow.host")
PATHS = ("/livez", "/readyz")


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    every = problems()
    return {status: every[status] for status in statuses}


@routes.get("/livez", summary="Whether the process is alive", responses=_only(422))
async def livez(query: NoQuery) -> Response:
    """Answers as long as the event loop turns."""
    return json_response({"status": "alive"})


@routes.get(
    "/readyz",
    summary="Whether executions can be accepted and run",
    responses={
        200: shows("Ready", "Successful Response"),
        **_only(422, 429),
        503: {
            "description": "Not ready, or starting or stopping",
            "content": {**shows("Ready", "")["content"], **_only(503)[503]["content"]},
        },
    },
)
async def readyz(request: Request, query: NoQuery) -> Response:
    """Asks the store whether it can be written to and the worker whether it works; nothing else makes it not ready.
    `degraded` names the node types that cannot run here. With an API key
    `node_types` shows all that they report, without one only whether they are ready."""
    runtime = runtime_of(request)
    checks = {"store": "ok", "worker": "ok"}
    try:
        await runtime.store.check()
    except AICFlowError as error:
        _log.warning("The store is not ready: %s", error.message)  # with paths, which callers must not see
        checks["store"] = "the store cannot be written to"
    if not runtime.executions.worker.alive:
        checks["worker"] = "the worker has stopped"
    if runtime.closing.is_set():
        checks["worker"] = "the host is stopping"
    ready = all(value == "ok" for value in checks.values())
    plugins = dict(Counter(info.status for info in runtime.plugins.infos))
    nodes = await runtime.node_health.results()
    degraded = [type_id for type_id, said in nodes.items() if said["ready"] is False]
    if not await _is_known(request):
        nodes = {type_id: {"ready": said["ready"]} for type_id, said in nodes.items()}
    body = {
        "status": "ready" if ready else "not-ready",
        "checks": checks,
        "plugins": plugins,
        "degraded": degraded,
        "stuck": len(runtime.executions.worker.faults),
        "node_types": nodes,
    }
    return json_response(body, 200 if ready else 503)


@routes.get(
    "/metrics",
    summary="Figures of this process for Prometheus",
    dependencies=scoped("read"),
    response_class=PlainTextResponse,
    responses=problems(),
)
async def metrics(request: Request, query: NoQuery) -> Response:
    """Prometheus' text format. Needs a key with scope `read`: give Prometheus a `credentials_file`."""
    return Response(runtime_of(request).metrics.text(), media_type=MEDIA_TYPE)


async def _is_known(request: Request) -> bool:
    """Whether the request carries a key that may read; an invalid one is not refused here, but counted as such."""
    key = key_of(request.scope)
    limiter: RequestLimiter = request.scope[LIMITER]
    try:
        caller = await limiter.caller(runtime_of(request).callers, key) if key is not None else None
    except AICFlowError:
        return False
    except Problem as problem:
        if problem.code != "unavailable":  # the keys of a token's issuer
            raise
        return False
    return caller is not None and caller.may("read") and caller.may_come_from(request.scope[ADDRESS])
