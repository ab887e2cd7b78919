"""/api-keys: creating, listing, rotating, revoking."""

from __future__ import annotations

import asyncio
from operator import attrgetter

from fastapi import Request
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.idempotency import IDEMPOTENCY_KEY, once
from aicflow.host.pages import json_response, list_response
from aicflow.host.problems import request_invalid
from aicflow.host.routes.common import (
    Id,
    NoQuery,
    Paging,
    body_of,
    call,
    repeated,
    router,
    runtime_of,
    shows,
)
from aicflow.host.views import api_key_view
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.executions import Idempotency

routes = router("api-keys")


def _created(record: ApiKeyRecord, key: str, status: int) -> Response:
    location = {"location": f"/api/v1/api-keys/{record.id}"}
    return json_response({**api_key_view(record), "key": key}, status, location)


@routes.post(
    "/api-keys",
    summary="Create an API key",
    openapi_extra={**body_of(requests.CreateApiKey), "parameters": [IDEMPOTENCY_KEY]},
    **call("admin", "ApiKeyCreated", 400, 410, 413, 415, status=201, more={200: repeated("ApiKeyCreated")}),
)
async def create_api_key(request: Request, query: NoQuery) -> Response:
    """The key itself is in this answer only, and in that to the same request with the same idempotency key."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.CreateApiKey)
    expires_at = requests.instant(body.expires_at)
    if expires_at is not None and expires_at <= runtime.clock.now():
        raise request_invalid("invalid", "it must be in the future", name="expires_at", where="body")
    seed = request.headers.get("idempotency-key")

    async def act(idempotency: Idempotency | None) -> Response:
        made = await runtime.keys.create(
            body.name,
            body.scopes,
            expires_at=expires_at,
            workflows=body.workflows,
            labels=body.labels,
            addresses=body.addresses,
            max_queued=body.max_queued,
            idempotency=idempotency,
            seed=seed,
        )
        return _created(*made, 201)

    async def again(key_id: str) -> Response:
        return _created(*await runtime.keys.again(key_id, seed or ""), 200)

    return await once(request, "api-keys", body.model_dump(mode="json"), act, again, hidden=True)


@routes.get("/api-keys", summary="List API keys, newest first", **call("admin", "ApiKeyPage"))
async def list_api_keys(request: Request, query: Paging) -> Response:
    """Revoked ones too, never the keys themselves."""
    records = sorted(await runtime_of(request).keys.list(), key=attrgetter("created_at", "id"), reverse=True)
    return list_response(records, attrgetter("id"), query, api_key_view)


@routes.post(
    "/api-keys/{key_id}/rotate",
    summary="Replace an API key by another with the same id, scopes and limits",
    openapi_extra={**body_of(requests.RotateApiKey, required=False), "parameters": [IDEMPOTENCY_KEY]},
    **call("admin", "ApiKeyCreated", 400, 404, 409, 410, 413, 415, more={200: shows("ApiKeyCreated", "The new key")}),
)
async def rotate_api_key(request: Request, key_id: Id, query: NoQuery) -> Response:
    """The new key is in this answer only. The one until now counts for `overlap` seconds more; of a key that is rotated
    again before that, the newest two count."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.RotateApiKey, optional=True)
    header = request.headers.get("idempotency-key")
    seed = None if header is None else f"rotate {header}"

    async def act(idempotency: Idempotency | None) -> Response:
        record, key = await runtime.keys.rotate(key_id, body.overlap, idempotency=idempotency, seed=seed)
        await asyncio.to_thread(runtime.data.follow_rotation, record.previous_hash, key, runtime.keys.hash)
        return _created(record, key, 200)

    async def again(key_id: str) -> Response:
        return _created(*await runtime.keys.again(key_id, seed or ""), 200)

    return await once(request, "rotate-key", [key_id, body.overlap], act, again, hidden=True)


@routes.delete("/api-keys/{key_id}", summary="Revoke an API key", **call("admin", None, 404, status=204))
async def revoke_api_key(request: Request, key_id: Id, query: NoQuery) -> Response:
    """At once, also for streams that are open with it. It stays in the list."""
    await runtime_of(request).keys.revoke(key_id)
    return Response(status_code=204)
