"""/workflows/{id}/layout: where a client drew the nodes. No part of the document: it makes no version."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.etag import ETAG_HEADER, IF_MATCH, check_match, etag_of_value
from aicflow.host.pages import json_response
from aicflow.host.problems import request_invalid
from aicflow.host.routes.common import Id, NoQuery, body_of, call, router, runtime_of
from aicflow.kernel.values import dumps

routes = router("workflows")

MOST_BYTES: Final = 256 * 1024
_NAME: Final = "~layout"
"""Kept beside the states of the workflow's triggers, none of which can have this name: it goes with the workflow."""


@routes.get(
    "/workflows/{workflow_id}/layout",
    summary="Read where the nodes of a workflow are drawn",
    **call("read", "Layout", 404, more={200: {"headers": ETAG_HEADER}}),
)
async def get_layout(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """As a client put it, null when none did."""
    await runtime_of(request).store.workflows.get(workflow_id)
    return _answer(await _layout(request, workflow_id))


@routes.put(
    "/workflows/{workflow_id}/layout",
    summary="Keep where the nodes of a workflow are drawn",
    openapi_extra={**body_of(requests.PutLayout), "parameters": [IF_MATCH]},
    **call("write", "Layout", 400, 404, 412, 413, 415, more={200: {"headers": ETAG_HEADER}}),
)
async def put_layout(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """Any JSON, up to 256 kB; nothing looks into it. It is gone with the workflow."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PutLayout)
    await runtime.store.workflows.get(workflow_id)
    if len(dumps(body.layout)) > MOST_BYTES:
        raise request_invalid("invalid", f"it is larger than {MOST_BYTES:,} bytes", name="layout", where="body")
    check_match(request, etag_of_value(await _layout(request, workflow_id)))
    await runtime.store.triggers.save_state(f"{workflow_id}:{_NAME}", {"layout": body.layout})
    return _answer(body.layout)


async def _layout(request: Request, workflow_id: str) -> Any:
    return (await runtime_of(request).store.triggers.load_state(f"{workflow_id}:{_NAME}")).get("layout")


def _answer(layout: Any) -> Response:
    return json_response({"layout": layout}, headers={"etag": etag_of_value(layout)})
