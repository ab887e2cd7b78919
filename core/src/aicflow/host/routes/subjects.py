"""/subjects: what is kept about a person. Who it is comes in the body, so that it is in no log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from aicflow.host import requests
from aicflow.host.audit_names import DRY_RUN
from aicflow.host.bodies import json_body
from aicflow.host.pages import json_response
from aicflow.host.routes.common import NoQuery, body_of, call, router, runtime_of
from aicflow.host.subjects import Subjects, found_view
from aicflow.kernel.ports.executions import Labels
from aicflow.kernel.values import dumps

routes = router("subjects")


def _who(body: requests.FindSubject) -> tuple[str | None, Labels]:
    value = str(body.value) if body.value is not None else None
    return value, tuple((body.labels or {}).items())


@routes.post(
    "/subjects/find",
    summary="Find everything that is kept about a person",
    openapi_extra=body_of(requests.FindSubject),
    **call("admin", "SubjectFound", 400, 413, 415),
)
async def find_subject(request: Request, query: NoQuery) -> Response:
    """By whom executions are about (`settings.subject` of workflows), by labels of workflows, and by the text where it
    is a key or a whole value."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.FindSubject)
    return json_response(found_view(await Subjects(runtime).find(*_who(body))))


@routes.post(
    "/subjects/export",
    summary="Export everything that is kept about a person",
    openapi_extra=body_of(requests.FindSubject),
    **call("admin", "SubjectExport", 400, 413, 415),
)
async def export_subject(request: Request, query: NoQuery) -> Response:
    """Sent while it is read. Contents of files are at `/files/{sha256}`."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.FindSubject)

    async def parts() -> AsyncIterator[bytes]:
        separator = b'{"data":['
        async for one in Subjects(runtime).export(*_who(body)):
            yield separator + dumps(one)
            separator = b","
        yield b"]}" if separator == b"," else separator + b"]}"

    return StreamingResponse(parts(), media_type="application/json")


@routes.post(
    "/subjects/erase",
    summary="Erase everything that is kept about a person",
    openapi_extra=body_of(requests.EraseSubject),
    **call("admin", "SubjectErased", 400, 409, 413, 415),
)
async def erase_subject(request: Request, query: NoQuery) -> Response:
    """For good, in free pages and the write-ahead log too. `traces` are files in which the value can still be read,
    such as backups; empty when there is none. Done again after it was cut short, it goes on."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.EraseSubject)
    if body.dry_run:
        request.scope[DRY_RUN] = True
    erase: Any = partial(Subjects(runtime).erase, *_who(body))
    return json_response(await erase(cancel=body.cancel, dry_run=body.dry_run))


@routes.get("/subjects/record", summary="Show the record of processing", **call("admin", "ProcessingRecord"))
async def processing_record(request: Request, query: NoQuery) -> Response:
    """For each workflow whom it is about, what comes in, which nodes pass data on, and how long each kind is kept."""
    return json_response(await Subjects(runtime_of(request)).record())
