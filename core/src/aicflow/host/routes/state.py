"""/workflows/{id}/state: what workflows keep between their executions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from aicflow.engine.nodes.state import state_place, state_problem
from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.etag import TAGS, only_if_absent
from aicflow.host.pages import PageQuery, json_response, page_response
from aicflow.host.problems import Problem, request_invalid
from aicflow.host.routes.common import Id, NoQuery, body_of, call, router, runtime_of
from aicflow.host.views import state_view
from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import Conflict, NotFound

routes = router("state")

Key = Annotated[str, Path(max_length=200, pattern="^[A-Za-z0-9_.:@-]{1,200}$")]
_CONDITIONS: dict[str, Any] = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": TAGS,
            "description": "Only if it has this ETag",
        },
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "const": "*"},
            "description": "`*`: only if there is none",
        },
    ]
}


class StateQuery(PageQuery):
    """Which entries."""

    prefix: str = Field(default="", max_length=200, description="What their keys begin with")


@routes.get(
    "/workflows/{workflow_id}/state", summary="List what a workflow keeps, by key", **call("read", "StatePage", 404)
)
async def list_state(request: Request, workflow_id: Id, query: Annotated[StateQuery, Query()]) -> Response:
    """What its executions kept with `state.set`, and what was put here."""
    store, vault = runtime_of(request).store, runtime_of(request).executions.vault
    await store.workflows.get(workflow_id)
    page = store.state.list(workflow_id, prefix=query.prefix, limit=query.limit, cursor=query.cursor)
    return await page_response(page, lambda entry: state_view(entry, vault))


@routes.get("/workflows/{workflow_id}/state/{key}", summary="Read an entry", **call("read", "StateEntry", 404))
async def get_state(request: Request, workflow_id: Id, key: Key, query: NoQuery) -> Response:
    """The ETag is its version, for a change that must not overwrite another."""
    store = runtime_of(request).store
    entry = await store.state.get(workflow_id, key)
    if entry is None:
        await store.workflows.get(workflow_id)
        raise NotFound("state", key)
    return _shown(request, entry)


@routes.put(
    "/workflows/{workflow_id}/state/{key}",
    summary="Keep a value under a key",
    openapi_extra={**body_of(requests.PutState), **_CONDITIONS},
    **call("write", "StateEntry", 400, 404, 412, 413, 415),
)
async def put_state(request: Request, workflow_id: Id, key: Key, query: NoQuery) -> Response:
    """Executions of the workflow find it with `state.get`."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PutState)
    await runtime.store.workflows.get(workflow_id)
    if (problem := state_problem(key, runtime.settings.max_state_bytes, body.value, body.lifetime)) is not None:
        raise request_invalid("invalid", problem[1], name=problem[0], where="body")
    try:
        kept = runtime.executions.vault.keep(state_place(workflow_id, key), body.value)
        entry = await runtime.store.state.put(
            workflow_id, key, kept, lifetime=body.lifetime, version=_expected(request)
        )
    except Conflict as error:
        raise Problem("revision-mismatch", error.message, hint=error.hint) from None
    return _shown(request, entry)


@routes.delete(
    "/workflows/{workflow_id}/state/{key}",
    summary="Forget an entry",
    openapi_extra=_CONDITIONS,
    **call("write", None, 404, 412, status=204),
)
async def delete_state(request: Request, workflow_id: Id, key: Key, query: NoQuery) -> Response:
    """For good."""
    store = runtime_of(request).store
    try:
        found = await store.state.delete(workflow_id, key, version=_expected(request))
    except Conflict as error:
        raise Problem("revision-mismatch", error.message, hint=error.hint) from None
    if not found:
        await store.workflows.get(workflow_id)
        raise NotFound("state", key)
    return Response(status_code=204)


def _shown(request: Request, entry: StateEntry) -> Response:
    view = state_view(entry, runtime_of(request).executions.vault)
    return json_response(view, headers={"etag": f'"{entry.version}"'})


def _expected(request: Request) -> int | None:
    """The version that the request is about, 0 when there must be none, None when any will do."""
    wanted = request.headers.get("if-match", "*").strip()
    if only_if_absent(request):
        return 0
    if wanted == "*":
        return None
    number = wanted.strip('"')
    return int(number) if number.isdecimal() and len(number) < 18 else -1
