"""/tickets and /session: what a browser has in place of a key: for one stream, for one sign-in, for a day's work."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host.callers import Use
from aicflow.host.gate import SECURE, caller_of
from aicflow.host.keys import Caller
from aicflow.host.pages import json_response
from aicflow.host.routes.common import NoQuery, call, router, runtime_of
from aicflow.kernel.clock import iso

routes = router("api-keys")


class TicketQuery(BaseModel):
    """What a ticket is for."""

    model_config = ConfigDict(extra="forbid")

    use: Use = Field(default="stream", description="What it opens: one stream, or one session of a browser")


@routes.post(
    "/tickets",
    summary="Create a ticket that opens one stream, or one session",
    **call("read", "Ticket", status=201, limited="open"),
)
async def create_ticket(request: Request, query: Annotated[TicketQuery, Query()]) -> Response:
    """It counts once, for 60 seconds, with what its caller may read: `?ticket=` of a stream, or the subprotocol
    `aicflow.ticket.TICKET` of a WebSocket. Revoking the key ends a stream that was opened with it. `use=session` makes
    one that signs a browser in, with all that its caller may do, within 10 minutes: see `POST /session`."""
    ticket, expires_at = await runtime_of(request).callers.new_ticket(caller_of(request.scope), query.use)
    return json_response({"ticket": ticket, "expires_at": iso(expires_at)}, 201)


@routes.post(
    "/session",
    summary="Sign a browser in",
    **call("read", "Session", status=201, limited="open"),
)
async def create_session(request: Request, query: NoQuery) -> Response:
    """With an API key, a token, or a ticket for this (`Authorization: Bearer aict_…`). The answer sets a cookie that
    scripts cannot read and that counts in place of the key, for 12 hours, and no longer than the key does. Changes and
    WebSockets need an `Origin` of this host with it."""
    runtime, caller = runtime_of(request), caller_of(request.scope)
    token, ends_at = await runtime.callers.sessions.begin(caller)
    shown = _shown(caller) | {"expires_at": iso(ends_at), "session": True}
    return json_response(shown, 201, _cookie(request, token, ends_at - runtime.clock.now()))


@routes.get("/session", summary="Show who calls", **call("read", "Session", limited="open"))
async def get_session(request: Request, query: NoQuery) -> Response:
    """The key or token that the request counts as, what it may do, and when that ends."""
    return json_response(_shown(caller_of(request.scope)))


@routes.delete("/session", summary="Sign a browser out", **call("read", None, status=204, limited="open"))
async def delete_session(request: Request, query: NoQuery) -> Response:
    """The session of this request ends, here and on every other host, and so do its streams; its cookie is removed.
    Nothing happens to a key."""
    await runtime_of(request).callers.sessions.end(caller_of(request.scope))
    return Response(status_code=204, headers=_cookie(request, "", 0))


def _cookie(request: Request, token: str, lasts: float) -> dict[str, str]:
    sessions = runtime_of(request).callers.sessions
    return {"set-cookie": sessions.header(token, lasts, secure=bool(request.scope.get(SECURE)))}


def _shown(caller: Caller) -> dict[str, Any]:
    ends = [end for end in (caller.expires_at, caller.session_ends_at) if end is not None]
    within = caller.within
    return {
        "id": caller.key_id,
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "limited": within is not None,
        "session": caller.session is not None,
        "expires_at": iso(min(ends)) if ends else None,
    }
