"""/events: sending events to the steps and triggers that look out for them, and reading what was sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from aicflow.engine.ids import new_id
from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.gate import caller_of
from aicflow.host.idempotency import IDEMPOTENCY_KEY, once
from aicflow.host.pages import PageQuery, json_response, page_response
from aicflow.host.problems import Problem
from aicflow.host.retention import age
from aicflow.host.routes.common import Id, NoQuery, body_of, call, repeated, router, runtime_of
from aicflow.host.views import sent_event_view
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.values import dumps

routes = router("events")


class ListQuery(PageQuery):
    """Which events."""

    name: str | None = Field(default=None, max_length=128)
    key: str | None = Field(default=None, max_length=512)


def _shown(request: Request, event: SentEvent, status: int = 200) -> Response:
    view = sent_event_view(event, runtime_of(request).executions.vault, values=caller_of(request.scope).may("read"))
    return json_response(view, status, {"location": f"/api/v1/events/{event.id}"})


@routes.post(
    "/events",
    summary="Send an event",
    openapi_extra={**body_of(requests.SendEvent), "parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "SentEvent", 400, 409, 410, 413, 415, status=201, more={200: repeated("SentEvent")}),
)
async def send_event(request: Request, query: NoQuery) -> Response:
    """Stored, and the steps that wait for its name and key are woken, in one transaction before the answer; then it
    fires the triggers `trigger.event`. An id that was sent before is answered with the event that has it."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.SendEvent)
    size, limit = len(dumps(body.data)), runtime.settings.max_event_bytes
    if size > limit:
        raise Problem(
            "body-too-large",
            f"The event's data is {size} bytes as JSON; at most {limit} are taken (AICFLOW_MAX_EVENT_BYTES).",
            hint="Keep what is large elsewhere, and send where it is.",
        )

    async def act(key: Idempotency | None) -> Response:
        now = round(runtime.clock.now(), 6)
        ttl = age(runtime.settings.event_ttl) if body.ttl is None else body.ttl
        event = SentEvent(body.id or new_id("ev", now), body.name, body.key, body.data, now, now + ttl)
        kept = await runtime.executions.send_event(event, idempotency=key)
        runtime.events.wake()
        return _shown(request, kept, 201 if kept.received_at == now else 200)

    async def again(event_id: str) -> Response:
        return _shown(request, await runtime.store.sent.get(event_id))

    return await once(request, "event", body, act, again)


@routes.get("/events", summary="List the events that are kept, newest first", **call("read", "SentEventPage"))
async def list_events_sent(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Of a name, a key, or both."""
    runtime = runtime_of(request)
    read = runtime.store.sent.list(limit=query.limit, cursor=query.cursor, name=query.name, key=query.key)
    return await page_response(read, lambda event: sent_event_view(event, runtime.executions.vault))


@routes.get("/events/{event_id}", summary="Show an event", **call("read", "SentEvent", 404))
async def get_event(request: Request, event_id: Id, query: NoQuery) -> Response:
    """As long as it is kept."""
    return _shown(request, await runtime_of(request).store.sent.get(event_id))
