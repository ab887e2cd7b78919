"""/tickets: what opens one stream, for pages of a browser, which cannot send a header with it."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from aicflow.host.gate import caller_of
from aicflow.host.pages import json_response
from aicflow.host.routes.common import NoQuery, call, router, runtime_of
from aicflow.kernel.clock import iso

routes = router("api-keys")


@routes.post(
    "/tickets",
    summary="Create a ticket that opens one stream",
    **call("read", "Ticket", status=201, limited="open"),
)
async def create_ticket(request: Request, query: NoQuery) -> Response:
    """It counts once, for 60 seconds, with what its caller may read: `?ticket=` of a stream, or the subprotocol
    `aicflow.ticket.TICKET` of a WebSocket. Revoking the key ends a stream that was opened with it."""
    ticket, expires_at = await runtime_of(request).callers.new_ticket(caller_of(request.scope))
    return json_response({"ticket": ticket, "expires_at": iso(expires_at)}, 201)
