"""/workflows: saving, reading, validating."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import document_body, json_body
from aicflow.host.etag import TAGS, etag_of, expected_revision, is_unchanged
from aicflow.host.idempotency import IDEMPOTENCY_KEY, once
from aicflow.host.pages import LABELS, PageQuery, json_response, labels_of, page_response
from aicflow.host.problems import request_invalid
from aicflow.host.reach import reach_of
from aicflow.host.routes.common import (
    Id,
    NoQuery,
    Paging,
    body_of,
    call,
    repeated,
    router,
    runtime_of,
)
from aicflow.host.views import version_view, workflow_view
from aicflow.kernel.issues import Issue
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion

routes = router("workflows")


_EXAMPLE: Final[dict[str, Any]] = {
    "aicflow": 1,
    "name": "order-triage",
    "nodes": [{"id": "big", "type": "logic.if_else", "params": {"condition": "${{ input.total > 100 }}"}}],
}


def _body(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    examples = {"order-triage": {"value": _EXAMPLE}}
    content = {kind: {"schema": schema, "examples": examples} for kind in ("application/json", "application/yaml")}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_DOCUMENT: dict[str, Any] = _body(
    "The workflow document. One that fits the schema is refused nevertheless when validation finds errors",
    {"$ref": "#/components/schemas/WorkflowDocument"},
)
_ANY_DOCUMENT: dict[str, Any] = _body("Any value; the response lists what is wrong with it", {})


def _if_match(*, required: bool) -> dict[str, Any]:
    return {"parameters": [{"name": "If-Match", "in": "header", "required": required, "schema": TAGS}]}


_ETAG: dict[str, Any] = {"ETag": {"schema": {"type": "string"}, "description": "The revision, for If-Match"}}
Version = Annotated[int, Path(ge=1, le=2**53)]


RESERVED: Final = ("validate",)


class CreateQuery(BaseModel):
    """How a workflow is saved first."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="Whether it may start executions")
    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
        json_schema_extra={"not": {"enum": list(RESERVED)}},
        description="An id of your own: a letter, then letters, digits, `_` and `-`; not `validate`",
    )

    @field_validator("id")
    @classmethod
    def _free(cls, value: str | None) -> str | None:
        if value in RESERVED:
            raise ValueError(f"{value!r} is the name of a call")
        return value


class ListQuery(PageQuery):
    """Which workflows."""

    name: str | None = Field(default=None, max_length=200, description="A part of the name, in any case")
    enabled: bool | None = None
    labels: LABELS = None


class ValidateQuery(BaseModel):
    """For which workflow."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
        description="The workflow that it is to be saved as: what calls this workflow is checked, too",
    )


class DiffQuery(BaseModel):
    """Which two versions."""

    model_config = ConfigDict(extra="forbid")

    old: int | None = Field(default=None, alias="from", ge=1, le=2**53, description="By default the one before `to`")
    new: int | None = Field(default=None, alias="to", ge=1, le=2**53, description="By default the current one")


def _saved(record: WorkflowRecord, issues: list[Issue], status: int = 200) -> Response:
    headers = {"etag": etag_of(record)}
    if status == 201:
        headers["location"] = f"/api/v1/workflows/{record.id}"
    return json_response(workflow_view(record, issues=issues), status, headers)


@routes.post(
    "/workflows",
    summary="Save a new workflow",
    openapi_extra={**_DOCUMENT, "parameters": [IDEMPOTENCY_KEY]},
    **call(
        "write",
        "Workflow",
        400,
        409,
        410,
        413,
        415,
        status=201,
        limited="filtered",
        more={201: {"headers": _ETAG}, 200: repeated("Workflow")},
    ),
)
async def create_workflow(request: Request, query: Annotated[CreateQuery, Query()]) -> Response:
    """The document is validated first; one with errors is refused with all of them and nothing is stored."""
    runtime = runtime_of(request)
    document = await document_body(request, runtime.settings)
    reach = reach_of(request)
    reach.check_new(document.value, query.id)
    within = reach.within

    async def act(key: Idempotency | None) -> Response:
        made = await runtime.workflows.create(
            document.value, workflow_id=query.id, enabled=query.enabled, idempotency=key, within=within
        )
        return _saved(*made, 201)

    async def again(workflow_id: str) -> Response:
        await reach.workflow(workflow_id)  # it may have other labels by now
        record = await runtime.store.workflows.get(workflow_id)
        response = _saved(record, await runtime.workflows.check(document.value, record.id, within))
        response.headers["location"] = f"/api/v1/workflows/{workflow_id}"
        return response

    return await once(request, "workflows", [document.value, query.id, query.enabled], act, again)


@routes.get("/workflows", summary="List workflows, newest first", **call("read", "WorkflowPage", limited="filtered"))
async def list_workflows(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """Without their documents."""
    if query.name is not None and "\0" in query.name:
        raise request_invalid("invalid", "it holds a NUL character", name="name", where="query")
    read = runtime_of(request).store.workflows.list(
        limit=query.limit,
        cursor=query.cursor,
        name=query.name,
        enabled=query.enabled,
        labels=labels_of(query.labels),
        within=reach_of(request).within,
    )
    return await page_response(read, lambda record: workflow_view(record, document=False))


@routes.post(
    "/workflows/validate",
    summary="Validate a document without saving it",
    openapi_extra=_ANY_DOCUMENT,
    **call("read", "ValidationResult", 400, 413, 415, limited="filtered"),
)
async def validate_workflow(request: Request, query: Annotated[ValidateQuery, Query()]) -> Response:
    """All findings at once, also for a document with errors; only a body that cannot be read is refused."""
    runtime = runtime_of(request)
    reach = reach_of(request)
    if query.id is not None:
        await reach.workflow(query.id)
    document = await document_body(request, runtime.settings)
    issues = await runtime.workflows.check(document.value, query.id, reach.within)
    valid = not any(issue.severity == "error" for issue in issues)
    return json_response({"valid": valid, "issues": [issue.to_dict() for issue in issues]})


@routes.get(
    "/workflows/{workflow_id}",
    summary="Show a workflow with its newest document",
    **call(
        "read", "Workflow", 404, more={200: {"headers": _ETAG}, 304: {"description": "It is what If-None-Match names"}}
    ),
)
async def get_workflow(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """The ETag names its revision."""
    record = await runtime_of(request).store.workflows.get(workflow_id)
    headers = {"etag": etag_of(record)}
    if is_unchanged(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return json_response(workflow_view(record), headers=headers)


@routes.put(
    "/workflows/{workflow_id}",
    summary="Save a new version of a workflow",
    openapi_extra={**_DOCUMENT, **_if_match(required=True)},
    **call("write", "Workflow", 400, 404, 412, 413, 415, 428, more={200: {"headers": _ETAG}}),
)
async def replace_workflow(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """Needs If-Match. An equal document makes no new version."""
    runtime = runtime_of(request)
    current = await runtime.store.workflows.get(workflow_id)
    expected = expected_revision(request.headers.get("if-match"), current, required=True)
    document = await document_body(request, runtime.settings)
    reach = reach_of(request)
    reach.check_change(document.value, current.labels)
    record, issues = await runtime.workflows.replace(workflow_id, document.value, expected, reach.within)
    return _saved(record, issues)


@routes.get(
    "/workflows/{workflow_id}/callers",
    operation_id="list_workflow_callers",
    summary="List the enabled workflows that name a workflow",
    **call("read", "Callers", 404),
)
async def list_callers(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """Each place in each of them: a call, a tool of an agent, a failure workflow, or a trigger that waits for its
    end. Ids that expressions give are not known."""
    found = await runtime_of(request).workflows.calls.callers(workflow_id, reach_of(request).within)
    return json_response({"workflow_id": workflow_id, "callers": [asdict(caller) for caller in found]})


@routes.patch(
    "/workflows/{workflow_id}",
    summary="Switch a workflow on or off",
    openapi_extra={**body_of(requests.PatchWorkflow), **_if_match(required=False)},
    **call("write", "Workflow", 400, 404, 412, 413, 415, more={200: {"headers": _ETAG}}),
)
async def patch_workflow(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """A workflow that is off starts nothing; executions under way go on."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PatchWorkflow)
    current = await runtime.store.workflows.get(workflow_id)
    expected = expected_revision(request.headers.get("if-match"), current, required=False)
    record = await runtime.workflows.set_enabled(workflow_id, body.enabled, expected)
    return json_response(workflow_view(record), headers={"etag": etag_of(record)})


@routes.delete(
    "/workflows/{workflow_id}",
    summary="Delete a workflow",
    openapi_extra=_if_match(required=False),
    **call("write", None, 404, 412, status=204),
)
async def delete_workflow(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """Its executions stay and can be read."""
    runtime = runtime_of(request)
    current = await runtime.store.workflows.get(workflow_id)
    expected = expected_revision(request.headers.get("if-match"), current, required=False)
    await runtime.workflows.delete(workflow_id, expected)
    return Response(status_code=204)


@routes.post(
    "/workflows/{workflow_id}/drafts",
    summary="Keep a new version without making it the current one",
    openapi_extra={**_DOCUMENT, "parameters": [IDEMPOTENCY_KEY]},
    **call("write", "WorkflowVersion", 400, 404, 410, 413, 415, status=201, more={200: repeated("WorkflowVersion")}),
)
async def create_draft(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """To be tried by its number or by a webhook's test URL; restoring it makes it the current version."""
    runtime, reach = runtime_of(request), reach_of(request)
    document = await document_body(request, runtime.settings)
    if reach.within is not None:
        reach.check_change(document.value, (await runtime.store.workflows.get(workflow_id)).labels)

    def response(version: WorkflowVersion, status: int) -> Response:
        headers = {"location": f"/api/v1/workflows/{workflow_id}/versions/{version.version}"}
        return json_response(version_view(version), status, headers)

    async def act(key: Idempotency | None) -> Response:
        return response(
            await runtime.workflows.add_draft(workflow_id, document.value, idempotency=key, within=reach.within), 201
        )

    async def again(number: str) -> Response:
        return response(await runtime.store.workflows.version(workflow_id, int(number)), 200)

    return await once(request, "drafts", [workflow_id, document.value], act, again)


@routes.get(
    "/workflows/{workflow_id}/versions",
    operation_id="list_workflow_versions",
    summary="List the versions of a workflow, newest first",
    **call("read", "WorkflowVersionPage", 404),
)
async def list_versions(request: Request, workflow_id: Id, query: Paging) -> Response:
    """Without their documents."""
    read = runtime_of(request).store.workflows.versions(workflow_id, limit=query.limit, cursor=query.cursor)
    return await page_response(read, lambda version: version_view(version, document=False))


@routes.get(
    "/workflows/{workflow_id}/versions/{version}",
    operation_id="get_workflow_version",
    summary="Show one version of a workflow",
    **call("read", "WorkflowVersion", 404),
)
async def get_version(request: Request, workflow_id: Id, version: Version, query: NoQuery) -> Response:
    """With its document. Versions never change."""
    return json_response(version_view(await runtime_of(request).store.workflows.version(workflow_id, version)))


@routes.post(
    "/workflows/{workflow_id}/versions/{version}/restore",
    operation_id="restore_workflow_version",
    summary="Make an old version the newest one",
    openapi_extra=_if_match(required=False),
    **call("write", "Workflow", 404, 412, more={200: {"headers": _ETAG}}),
)
async def restore_version(request: Request, workflow_id: Id, version: Version, query: NoQuery) -> Response:
    """The old document must be valid with what is installed today."""
    runtime, reach = runtime_of(request), reach_of(request)
    if reach.within is not None:
        old = await runtime.store.workflows.version(workflow_id, version)
        reach.check_change(old.document, (await runtime.store.workflows.get(workflow_id)).labels)
    current = await runtime.store.workflows.get(workflow_id)
    expected = expected_revision(request.headers.get("if-match"), current, required=False)
    record, issues = await runtime.workflows.restore(workflow_id, version, expected, reach.within)
    return _saved(record, issues)


@routes.get(
    "/workflows/{workflow_id}/diff",
    operation_id="diff_workflow_versions",
    summary="Show what changed between two versions of a workflow",
    **call("read", "WorkflowDiff", 404),
)
async def diff_versions(request: Request, workflow_id: Id, query: Annotated[DiffQuery, Query()]) -> Response:
    """In meaning, not in text: nodes, params, edges, triggers, vars and settings. The order of nodes and edges,
    defaults written out and the spelling of expressions do not count; a node that only has a new id is a renaming."""
    runtime = runtime_of(request)
    workflows = runtime.store.workflows
    new = query.new or (await workflows.get(workflow_id)).version
    old = query.old or new - 1
    if old == 0:
        message = "version 1 is the first, there is none before it to compare it with"
        raise request_invalid("invalid", message, name="to" if query.new else "from", where="query")
    before, after = await workflows.version(workflow_id, old), await workflows.version(workflow_id, new)
    found = await runtime.workflows.compare(before.document, after.document)
    return json_response({"workflow_id": workflow_id, "from": old, "to": new, **found.to_dict()})
