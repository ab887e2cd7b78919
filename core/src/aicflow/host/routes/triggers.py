"""/triggers: the triggers of enabled workflows, their next fires, and what arrived for them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.idempotency import IDEMPOTENCY_KEY, once
from aicflow.host.pages import PageQuery, json_response, page_response
from aicflow.host.problems import Problem
from aicflow.host.reach import reach_of
from aicflow.host.routes.common import (
    Id,
    NoQuery,
    body_of,
    call,
    repeated,
    router,
    runtime_of,
    started,
    started_by,
)
from aicflow.host.triggers import ActiveTrigger
from aicflow.host.views import delivery_view
from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.trigger import Binding, Delivery

routes = router("triggers")


class ListQuery(PageQuery):
    """Which triggers."""

    workflow_id: str | None = Field(default=None, max_length=200)


class NextQuery(BaseModel):
    """How many fires."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(default=5, ge=1, le=100)


class DeliveriesQuery(PageQuery):
    """Which deliveries."""

    started: bool | None = Field(default=None, description="Those that have started an execution, or have not")


class ReplayQuery(BaseModel):
    """By which version."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(default=None, ge=1, le=2**53)


def _view(active: ActiveTrigger) -> dict[str, Any]:
    return {
        "id": active.binding.id,
        "workflow_id": active.binding.workflow_id,
        "trigger_id": active.binding.trigger_id,
        "type_id": active.binding.type_id,
        "version": active.binding.version,
        "status": active.status,
        "params": active.entry.params,
        "problem": active.problem,
    }


@routes.get(
    "/triggers", summary="List the triggers of enabled workflows", **call("read", "TriggerPage", limited="filtered")
)
async def list_triggers(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """By id, `workflow_id:trigger_id`; those that could not be activated too, with the reason."""
    reach = reach_of(request)
    found = [
        active
        for active in runtime_of(request).trigger_service.all(query.workflow_id)
        if (query.cursor is None or active.binding.id > query.cursor)
        and reach.has(active.binding.workflow_id, active.document.labels)
    ]
    cursor = found[query.limit - 1].binding.id if len(found) > query.limit else None
    return json_response({"data": [_view(active) for active in found[: query.limit]], "next_cursor": cursor})


@routes.get("/triggers/{binding_id}", summary="Show a trigger", **call("read", "Trigger", 404))
async def get_trigger(request: Request, binding_id: Id, query: NoQuery) -> Response:
    """Its id is `workflow_id:trigger_id`."""
    return json_response(_view(runtime_of(request).trigger_service.get(binding_id)))


@routes.post("/triggers/{binding_id}/pause", summary="Pause a trigger", **call("write", "Trigger", 404))
async def pause_trigger(request: Request, binding_id: Id, query: NoQuery) -> Response:
    """Kept over restarts and new versions."""
    return json_response(_view(await runtime_of(request).workflows.pause_trigger(binding_id, True)))


@routes.post("/triggers/{binding_id}/resume", summary="Resume a paused trigger", **call("write", "Trigger", 404))
async def resume_trigger(request: Request, binding_id: Id, query: NoQuery) -> Response:
    """At once."""
    return json_response(_view(await runtime_of(request).workflows.pause_trigger(binding_id, False)))


async def _fired(
    request: Request, binding: Binding, payload: Any, key: Idempotency | None, version: int | None = None
) -> Response:
    fired = await runtime_of(request).trigger_runtime.fire(
        binding, payload, version=version, idempotency=key, by=started_by(request)
    )
    if fired.execution_id is None:
        raise Problem("conflict", "Concurrency limit reached, and its rule is to skip; nothing was started.")
    return await started(request, fired.execution_id, 202)


@routes.post(
    "/triggers/{binding_id}/fire",
    summary="Fire a trigger now",
    openapi_extra={**body_of(requests.FireTrigger, required=False), "parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "Execution", 400, 404, 409, 410, 413, 415, status=202, more={200: repeated("Execution")}),
)
async def fire_trigger(request: Request, binding_id: Id, query: NoQuery) -> Response:
    """With the payload in the body, or one that the trigger type makes for now; also when it is paused."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.FireTrigger, optional=True)

    async def act(key: Idempotency | None) -> Response:
        active = runtime.trigger_service.get(binding_id)
        payload = body.payload
        if payload is None and active.instance is not None and active.params is not None:
            payload = active.instance.manual_payload(active.params, runtime.clock.now())
        return await _fired(request, active.binding, payload, key)

    return await once(request, "fire", [binding_id, body.payload], act, partial(started, request))


@routes.get("/triggers/{binding_id}/next", summary="When a trigger will fire next", **call("read", "Fires", 404, 409))
async def next_fires(request: Request, binding_id: Id, query: Annotated[NextQuery, Query()]) -> Response:
    """For triggers that fire by the clock; the trigger type defines the rows."""
    runtime = runtime_of(request)
    active = runtime.trigger_service.get(binding_id)
    rows = None
    if active.instance is not None and active.params is not None:
        rows = active.instance.next_fires(active.params, count=query.count, after=runtime.clock.now())
    if rows is None:
        raise Problem("conflict", f"Triggers of type {active.binding.type_id} do not fire by the clock.")
    return json_response({"data": list(rows)})


@routes.get(
    "/triggers/{binding_id}/deliveries",
    summary="List what arrived for a trigger, newest first",
    **call("read", "DeliveryPage", 404),
)
async def list_deliveries(request: Request, binding_id: Id, query: Annotated[DeliveriesQuery, Query()]) -> Response:
    """Without the payloads."""
    runtime = runtime_of(request)
    await _known(request, binding_id)
    read = runtime.store.triggers.deliveries(binding_id, limit=query.limit, cursor=query.cursor, started=query.started)
    return await page_response(read, lambda delivery: delivery_view(delivery))


async def _known(request: Request, binding_id: str) -> None:
    """Deliveries stay when a workflow is switched off, when a trigger is taken out of it, and while it is a draft.
    Raises NotFound when there is no such workflow."""
    runtime = runtime_of(request)
    if not any(active.binding.id == binding_id for active in runtime.trigger_service.all()):
        await runtime.store.workflows.get(binding_id.rpartition(":")[0])


async def _delivery(request: Request, binding_id: str, delivery_id: str) -> Delivery:
    runtime = runtime_of(request)
    await _known(request, binding_id)
    delivery = await runtime.store.triggers.delivery(delivery_id)
    if delivery.binding_id != binding_id:
        raise NotFound("delivery", delivery_id)
    return delivery


@routes.get(
    "/triggers/{binding_id}/deliveries/{delivery_id}",
    summary="Show something that arrived for a trigger",
    **call("read", "Delivery", 404),
)
async def get_delivery(request: Request, binding_id: Id, delivery_id: Id, query: NoQuery) -> Response:
    """With its payload."""
    return json_response(
        delivery_view(await _delivery(request, binding_id, delivery_id), runtime_of(request).executions.vault)
    )


@routes.post(
    "/triggers/{binding_id}/deliveries/{delivery_id}/replay",
    summary="Start an execution with a payload that arrived before",
    openapi_extra={"parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "Execution", 404, 409, 410, status=202, more={200: repeated("Execution")}),
)
async def replay_delivery(
    request: Request, binding_id: Id, delivery_id: Id, query: Annotated[ReplayQuery, Query()]
) -> Response:
    """A new execution by today's version, or by the one named (a draft), whatever became of the first."""

    async def act(key: Idempotency | None) -> Response:
        delivery = await _delivery(request, binding_id, delivery_id)
        binding = await runtime_of(request).trigger_service.binding(binding_id, query.version)
        payload = runtime_of(request).trigger_runtime.payload_of(delivery)
        return await _fired(request, binding, payload, key, query.version)

    return await once(request, "replay", [binding_id, delivery_id, query.version], act, partial(started, request))
