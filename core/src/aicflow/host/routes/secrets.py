"""/secrets: keeping, listing, deleting, and rotating the key they are sealed under."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.etag import TAGS, etag_of_version, expected_version
from aicflow.host.pages import json_response, list_response
from aicflow.host.problems import Problem, request_invalid
from aicflow.host.routes.common import NoQuery, Paging, body_of, call, router, runtime_of
from aicflow.kernel.errors import AICFlowError, Conflict, NotFound
from aicflow.kernel.ports.access import SecretRecord

routes = router("secrets")

Name = Annotated[str, Path(max_length=200, pattern="^[A-Za-z_][A-Za-z0-9_]{0,199}$")]
_MATCH: dict[str, Any] = {"name": "If-Match", "in": "header", "required": False, "schema": TAGS}
_MATCH |= {"description": "Only if it has this ETag"}
_NONE: dict[str, Any] = {"name": "If-None-Match", "in": "header", "required": False}
_NONE |= {"schema": {"type": "string", "const": "*"}, "description": "`*`: only if there is none"}


class DeleteQuery(BaseModel):
    """How a secret is deleted."""

    model_config = ConfigDict(extra="forbid")

    force: bool = Field(default=False, description="Also when workflows use it")


@routes.get("/secrets", summary="List secrets, by name", **call("write", "SecretPage"))
async def list_secrets(request: Request, query: Paging) -> Response:
    """Those of every source that lists them, with who uses them; never their values."""
    rows = await runtime_of(request).secret_service.all()
    return list_response(rows, lambda row: f"{row['name']} {row['source']}", query, lambda row: row)


@routes.get("/secrets-check", summary="Check the secrets", **call("write", "SecretsCheck"))
async def check_secrets(request: Request, query: NoQuery) -> Response:
    """Whether each secret that a workflow names is there for it, also in older versions that executions still run, and
    whether the key fits all that are stored."""
    return json_response(await runtime_of(request).secret_service.check())


@routes.post("/secrets-key/rotate", summary="Rotate the key of stored secrets", **call("admin", "SecretRotation", 409))
async def rotate_secrets_key(request: Request, query: NoQuery) -> Response:
    """The server takes up the first key of its key file, or makes a new one in its data folder, and wraps the key of
    every secret with it. It may be repeated; one that was interrupted goes on at the next start by itself."""
    try:
        return json_response(await runtime_of(request).secret_service.rotate())
    except AICFlowError as error:
        raise Problem("conflict", error.message, hint=error.hint) from None


@routes.get("/secrets/{name}", summary="Show a secret", **call("write", "Secret", 404))
async def get_secret(request: Request, name: Name, query: NoQuery) -> Response:
    """One that is kept in the store, with who uses it; never its value."""
    service = runtime_of(request).secret_service
    return await _shown(request, await service.get(name))


@routes.put(
    "/secrets/{name}",
    summary="Keep a secret",
    openapi_extra={**body_of(requests.PutSecret), "parameters": [_MATCH, _NONE]},
    **call("admin", "Secret", 400, 404, 409, 412, 413, 415, more={201: {"description": "It is new"}}),
)
async def put_secret(request: Request, name: Name, query: NoQuery) -> Response:
    """Steps that begin from now on have the new value; on other hosts of the same store, within
    AICFLOW_SECRETS_LIFETIME. The value is hidden wherever something is shown, and cannot be read back."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PutSecret)
    changes: dict[str, Any] = {key: getattr(body, key) for key in body.model_fields_set - {"value"}}
    changes = {key: value if value is not None else _NOTHING[key] for key, value in changes.items()}
    if "workflows" in changes:
        changes["workflows"] = tuple(dict.fromkeys(changes["workflows"]))
    expected = await _expected(request, name)
    try:
        record, is_new = await runtime.secret_service.put(name, body.value, changes=changes, expected=expected)
    except ValueError as error:
        raise request_invalid("invalid", str(error), name="value", where="body") from None
    except (Conflict, NotFound):
        raise
    except AICFlowError as error:
        raise Problem("unavailable", error.message, hint=error.hint) from None
    await runtime.trigger_service.renew_secrets()
    return await _shown(request, record, 201 if is_new else 200)


_NOTHING: dict[str, Any] = {"description": None, "workflows": (), "labels": {}}


@routes.delete(
    "/secrets/{name}",
    summary="Delete a secret",
    openapi_extra={"parameters": [_MATCH]},
    **call("admin", None, 404, 409, 412, status=204),
)
async def delete_secret(request: Request, name: Name, query: Annotated[DeleteQuery, Query()]) -> Response:
    """Refused while the current version of a workflow uses it, unless `force` is true."""
    runtime = runtime_of(request)
    await runtime.secret_service.delete(name, expected=await _expected(request, name), force=query.force)
    await runtime.trigger_service.renew_secrets()
    return Response(status_code=204)


async def _shown(request: Request, record: SecretRecord, status: int = 200) -> Response:
    service = runtime_of(request).secret_service
    row = service.row(record, (await service.uses()).get(record.name, ()))
    return json_response(row, status, {"etag": etag_of_version(record.created_at, record.version)})


async def _expected(request: Request, name: str) -> int | None:
    """The version that the request is about, 0 when there must be none, None when any will do."""
    record = await runtime_of(request).store.secrets.get(name)
    tag = etag_of_version(record.created_at, record.version) if record is not None else None
    return expected_version(request, tag, record.version if record is not None else 0)
