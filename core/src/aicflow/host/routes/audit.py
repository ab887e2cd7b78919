"""/audit: who did what, and whether the record of it is whole."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.audit import shown
from aicflow.host.pages import PageQuery, json_response, page_response
from aicflow.host.routes.common import call, router, runtime_of
from aicflow.kernel.clock import iso
from aicflow.kernel.ports.audit import AuditFilter

routes = router("audit")


class ListQuery(PageQuery):
    """Which entries; every given condition must hold."""

    actor: str | None = Field(
        default=None, max_length=400, description="Such as `key:ak_…`, `token:ISSUER#SUBJECT`, `trigger:…`, `system`"
    )
    action: str | None = Field(default=None, max_length=200, description="Such as `delete_workflow`")
    target: str | None = Field(
        default=None, max_length=300, description="Such as `workflows/wf_1`, or the id of what was made"
    )
    since: requests.Instant | None = None
    until: requests.Instant | None = None


class VerifyQuery(BaseModel):
    """What must be in the chain."""

    model_config = ConfigDict(extra="forbid")

    expect: str | None = Field(
        default=None, pattern="^[0-9a-f]{64}$", description="The hash of an earlier verification"
    )


@routes.get("/audit", summary="List audit entries, newest first", **call("admin", "AuditPage"))
async def list_audit(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Who changed what, and who was refused. Executions that start are merged by the second (AICFLOW_AUDIT_STARTS)."""
    runtime = runtime_of(request)
    await runtime.auditor.flush()
    since, until = requests.instant(query.since), requests.instant(query.until)
    where = AuditFilter(
        None if query.actor is None else runtime.auditor.actor_in_chain(query.actor),
        query.action,
        query.target,
        iso(since) if since is not None else None,
        iso(until) if until is not None else None,
    )
    return await page_response(runtime.store.audit.list(where, limit=query.limit, cursor=query.cursor), shown)


@routes.get("/audit/verify", summary="Verify the audit chain", **call("admin", "AuditReport"))
async def verify_audit(request: Request, query: Annotated[VerifyQuery, Query()]) -> Response:
    """Reads all of it. `problems` is empty when no entry was changed, removed or moved. Keep the hash elsewhere, and
    give it as `expect` the next time: that shows that the end was not cut off either."""
    auditor = runtime_of(request).auditor
    await auditor.flush()
    return json_response(await auditor.verify(expect=query.expect))
