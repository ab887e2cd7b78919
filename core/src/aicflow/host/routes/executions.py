"""/executions: starting, reading, and changing the course of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from aicflow.engine import KEEP
from aicflow.engine.bulk import BulkOutcome
from aicflow.engine.starting import valid_traceparent
from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.idempotency import IDEMPOTENCY_KEY, fresh, once
from aicflow.host.pages import (
    LABELS,
    PageQuery,
    json_response,
    known_statuses,
    labels_of,
    page_response,
    statuses_pattern,
)
from aicflow.host.problems import request_invalid
from aicflow.host.reach import reach_of
from aicflow.host.routes.common import (
    Id,
    NoQuery,
    PlainRoute,
    body_of,
    call,
    repeated,
    returns,
    router,
    runtime_of,
    scoped,
    shown,
    shows,
    started,
    started_by,
)
from aicflow.host.views import bulk_view, execution_view
from aicflow.kernel.execution import (
    ACTIVE_STATUSES,
    STATUSES,
    TERMINAL_STATUSES,
    Execution,
    TriggerInfo,
    TriggerKind,
)
from aicflow.kernel.ports.executions import ExecutionFilter, Idempotency, Labels
from aicflow.texts import cut

routes = router("executions")
STATUSES_PATTERN: Final = statuses_pattern(STATUSES)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*(\d{1,6})\s*(?:,|$)")
_WAIT_QUERY = re.compile(r"\d{1,6}(\.\d{1,6})?\Z")


class ListQuery(PageQuery):
    """Which executions; every given condition must hold."""

    workflow_id: str | None = Field(default=None, max_length=200)
    status: str | None = Field(
        default=None,
        max_length=200,
        description="Statuses, with commas",
        json_schema_extra={"pattern": STATUSES_PATTERN},
    )
    trigger_kind: TriggerKind | None = None
    created_after: requests.Instant | None = None
    created_before: requests.Instant | None = None
    labels: LABELS = None
    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description='A part of the input, output or error, such as `A-17` or `"total":17`, or of a label `name=value` '
        "of the workflow, in any case of ASCII letters; of each value the first 16 kB are looked at",
    )

    @field_validator("status")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return known_statuses(value, STATUSES)

    def filter(self) -> ExecutionFilter:
        """As the store's filter."""
        return filter_of(
            self.workflow_id,
            self.status.split(",") if self.status is not None else None,
            self.created_after,
            self.created_before,
            self.trigger_kind,
            labels_of(self.labels),
            self.q,
        )


def filter_of(
    workflow_id: str | None,
    statuses: list[Any] | None,
    after: datetime | None,
    before: datetime | None,
    trigger_kind: TriggerKind | None = None,
    labels: Labels = (),
    text: str | None = None,
) -> ExecutionFilter:
    """The store's filter."""
    return ExecutionFilter(
        workflow_id=workflow_id,
        statuses=frozenset(statuses) if statuses is not None else None,
        trigger_kind=trigger_kind,
        created_after=requests.instant(after),
        created_before=requests.instant(before),
        labels=labels,
        text=text,
    )


def _accepted(request: Request, execution: Execution, status: int = 202) -> Response:
    return json_response(shown(request, execution), status, {"location": f"/api/v1/executions/{execution.id}"})


def _wait_of(request: Request, longest: float) -> float | None:
    """How long the caller wants to wait for the end, in seconds. Raises Problem."""
    text: str | None = None
    for name, value in request.query_params.multi_items():
        if name != "wait":
            raise request_invalid(
                "unknown", f"query /{cut(name, 80)}: is not known here", name=cut(name, 80), where="query"
            )
        if _WAIT_QUERY.match(value) is None or float(value) > longest:
            raise request_invalid(
                "invalid",
                f"it must be seconds from 0 to {longest:g}, not {cut(value, 40)!r}",
                name="wait",
                where="query",
            )
        text = value
    if text is None and (found := _WAIT.search(request.headers.get("prefer", ""))) is not None:
        return min(float(found[1]), longest)  # a preference is met as far as it can be
    return float(text) if text is not None else None


async def start_execution(request: Request) -> Response:
    """Durable when this answers."""
    runtime = runtime_of(request)
    wait = (
        _wait_of(request, runtime.settings.max_wait)
        if request.scope["query_string"] or "prefer" in request.headers
        else None
    )
    body = await json_body(request, runtime.settings, requests.StartExecution)
    await reach_of(request).workflow(body.workflow_id)
    executions = runtime.executions

    async def act(key: Idempotency | None) -> Response:
        made = fresh(
            await executions.start(
                body.workflow_id,
                body.input,
                version=body.version,
                priority=body.priority,
                engine=body.engine,
                trigger=TriggerInfo(traceparent=valid_traceparent(request.headers.get("traceparent"))),
                idempotency=key,
                by=started_by(request),
            )
        )
        execution = await runtime.wait(made.execution_id, wait) if wait else made.execution
        if execution is None:
            execution = await executions.get(made.execution_id)
        return _accepted(request, execution, 200 if wait and execution.status in TERMINAL_STATUSES else 202)

    async def again(execution_id: str) -> Response:
        if wait:
            await runtime.wait(execution_id, wait)
        return await started(request, execution_id)

    return await once(request, "executions", body, act, again)


start_route = PlainRoute(
    "/api/v1/executions",
    start_execution,
    methods=["POST"],
    tags=["executions"],
    operation_id="start_execution",
    summary="Start an execution",
    status_code=202,
    responses=returns(
        "Execution",
        *(400, 404, 409, 410, 413, 415, 503),
        status=202,
        more={
            202: {"headers": {"Location": {"schema": {"type": "string"}}}},
            200: shows("Execution", "It ended in the time waited, or the key was used before"),
        },
    ),
    openapi_extra={
        **body_of(requests.StartExecution),
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "required": False,
                "description": "Seconds to wait for the end, at most AICFLOW_MAX_WAIT",
                "schema": {"type": "number", "minimum": 0, "maximum": 60},
            },
            IDEMPOTENCY_KEY,
            {"name": "Prefer", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
    },
    dependencies=scoped("execute", "filtered"),
)


@routes.get("/executions", summary="List executions, newest first", **call("read", "ExecutionPage", limited="filtered"))
async def list_executions(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Without their inputs and outputs. With `labels` or `q` one call looks at 1,000 executions: a page may be short,
    or empty, and have a `next_cursor` nevertheless."""
    where = reach_of(request).filter(query.filter())
    read = runtime_of(request).store.executions.list(where, limit=query.limit, cursor=query.cursor)
    return await page_response(read, lambda execution: execution_view(execution, values=False))


@routes.get("/executions/{execution_id}", summary="Show an execution", **call("read", "Execution", 404))
async def get_execution(request: Request, execution_id: Id, query: NoQuery) -> Response:
    """With its input, and its output or error once it ended."""
    return json_response(shown(request, await runtime_of(request).executions.get(execution_id)))


class EventsQuery(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(default=0, ge=0, le=2**53, description="Only events with a greater seq")
    limit: int = Field(default=1000, ge=1, le=10_000)


@routes.get(
    "/executions/{execution_id}/events", summary="List the events of an execution", **call("read", "Events", 404, 410)
)
async def list_events(request: Request, execution_id: Id, query: Annotated[EventsQuery, Query()]) -> Response:
    """In order. Ask again with `after` = `last_seq` for more."""
    runtime = runtime_of(request)
    await runtime.executions.get(execution_id)
    events = list(await runtime.store.executions.events(execution_id, after=query.after, limit=query.limit))
    last = query.after + len(events)  # seq is gapless
    body = b'{"data":[' + b",".join(events) + b'],"last_seq":%d}' % last
    return Response(body, media_type="application/json")


@routes.post(
    "/executions/{execution_id}/cancel", summary="Cancel an execution", **call("execute", "Execution", 404, status=202)
)
async def cancel_execution(request: Request, execution_id: Id, query: NoQuery) -> Response:
    """Stops the work within two seconds; then nodes with `run: always` run. After the end it changes nothing."""
    executions = runtime_of(request).executions
    await executions.cancel(execution_id)
    return _accepted(
        request, await executions.get(execution_id)
    )  # with its input and output, which cancelling does not read


@routes.post(
    "/executions/{execution_id}/resume",
    summary="Answer a waiting step",
    openapi_extra=body_of(requests.ResumeExecution, required=False),
    **call("execute", "Execution", 400, 404, 409, 413, 415, status=202),
)
async def resume_execution(request: Request, execution_id: Id, query: NoQuery) -> Response:
    """With `answered` the step runs again with the value; `retry`, `skip` and `fail` settle it otherwise."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.ResumeExecution, optional=True)
    await runtime.executions.resume(execution_id, body.node_id, action=body.action, value=body.value)
    return _accepted(request, await runtime.executions.get(execution_id))


@routes.post(
    "/executions/{execution_id}/rerun",
    summary="Make a new execution from an old one",
    openapi_extra={**body_of(requests.RerunExecution, required=False), "parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "Execution", 400, 404, 409, 410, 413, 415, status=202, more={200: repeated("Execution")}),
)
async def rerun_execution(request: Request, execution_id: Id, query: NoQuery) -> Response:
    """With the same input unless `input` is given, also null."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.RerunExecution, optional=True)

    async def act(key: Idempotency | None) -> Response:
        made = await runtime.executions.rerun(
            execution_id,
            input=body.input if "input" in body.model_fields_set else KEEP,
            version=body.version,
            from_node=body.from_node,
            reuse=body.reuse,
            idempotency=key,
            by=started_by(request),
        )
        return await started(request, fresh(made).execution_id, 202)

    return await once(request, "rerun", [execution_id, body], act, partial(started, request))


@routes.get(
    "/executions/{execution_id}/why",
    summary="Say what an execution is doing, or why it ended as it did",
    **call("read", "Why", 404),
)
async def why_execution(request: Request, execution_id: Id, query: NoQuery) -> Response:
    """In a sentence."""
    return json_response({"sentence": await runtime_of(request).executions.why(execution_id)})


async def _bulk(
    request: Request, call: str, default: frozenset[str], act: Callable[..., Awaitable[BulkOutcome]]
) -> Response:
    """Read the conditions and do it to the executions that meet them."""
    body = await json_body(request, runtime_of(request).settings, requests.BulkRequest)
    if not body.model_fields_set - {"limit"}:
        raise request_invalid("missing", "at least one condition must be given", name="", where="body")
    where = filter_of(body.workflow_id, list(body.status or default), body.created_after, body.created_before)

    where = reach_of(request).filter(where)

    async def once_each(key: Idempotency | None) -> Response:
        outcome = await act(where, limit=body.limit, idempotency=key)
        response = json_response(bulk_view(outcome))
        if outcome.repeated:
            response.headers["idempotent-replayed"] = "true"
        return response

    async def other(result: str) -> Response:
        raise AssertionError("an equal request goes on with the first one's choice")

    return await once(request, call, body, once_each, other)


@routes.post(
    "/executions/bulk-cancel",
    summary="Cancel many executions",
    openapi_extra={**body_of(requests.BulkRequest), "parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "BulkResult", 400, 413, 415, limited="filtered"),
)
async def bulk_cancel(request: Request, query: NoQuery) -> Response:
    """Those that have not ended. A result for each; what fails for one holds up no other."""
    return await _bulk(request, "bulk-cancel", ACTIVE_STATUSES, runtime_of(request).executions.bulk_cancel)


@routes.post(
    "/executions/bulk-rerun",
    summary="Rerun many executions",
    openapi_extra={**body_of(requests.BulkRequest), "parameters": [IDEMPOTENCY_KEY]},
    **call("execute", "BulkResult", 400, 413, 415, limited="filtered"),
)
async def bulk_rerun(request: Request, query: NoQuery) -> Response:
    """Failed and cancelled ones, unless `status` says which. A result for each; what fails for one holds up no
    other."""
    rerun = partial(runtime_of(request).executions.bulk_rerun, by=started_by(request))
    return await _bulk(request, "bulk-rerun", TERMINAL_STATUSES - {"succeeded"}, rerun)
