"""One attempt of http.request: from params to an HttpResponse. Imports the HTTP library, which takes a quarter of a
second, so it is imported when the node starts."""

from __future__ import annotations

import time
from typing import Any

import httpx2
from aicflow import Context, NodeError, PermanentError
from aicflow.net import retry_after

from aicflow_http.conversation import Conversation, Shared
from aicflow_http.exchange import Reply
from aicflow_http.failures import status_error
from aicflow_http.masking import shown_url
from aicflow_http.outgoing import build
from aicflow_http.paging import collect
from aicflow_http.params import HttpRequestParams, HttpResponse
from aicflow_http.parsing import content_type, parse, text_of

__all__ = ["Shared", "send"]


async def send(shared: Shared, ctx: Context, params: HttpRequestParams) -> HttpResponse:
    """Send, follow, read. Raises TransientError and PermanentError; see `failures` for their codes."""
    began = time.monotonic()
    conversation = Conversation(shared, params, ctx)
    if params.tls is not None and not params.tls.verify:
        ctx.log("The server's certificate is not checked (tls.verify is false).", level="warning")
    request = build(params, ctx.idempotency_key, ctx.traceparent)
    options = params.response

    def check(reply: Reply) -> None:
        if not params.accepts(reply.status):
            raise conversation.masked(_status_error(reply, params))

    if params.pagination is None:
        reply = await conversation.ask(request, most=options.max_bytes)
        check(reply)
        if reply.truncated and options.on_too_large == "fail":
            raise _too_large(reply, options.max_bytes)
        body, body_type = parse(reply, options)
        more: dict[str, Any] = {"size": len(reply.content), "truncated": reply.truncated}
    else:
        found = await collect(conversation, request, params.pagination, options, check)
        reply = found.reply
        if found.pages:
            body, body_type = found.items, "json"
        else:
            body, body_type = parse(reply, options)
        more = {"size": found.size or len(reply.content), "pages": max(found.pages, 1), "has_more": found.has_more}
        if found.has_more:
            ctx.log("The pagination ended before the last page.", level="warning", pages=found.pages)
    return HttpResponse(
        status=reply.status,
        headers=_headers(reply.headers),
        cookies=_cookies(reply),
        body=body,
        body_type=body_type,
        content_type=content_type(reply)[0],
        url=conversation.mask.text(shown_url(reply.request.url, query=True)),
        redirects=conversation.redirects,
        elapsed_ms=round((time.monotonic() - began) * 1000, 3),
        **more,
    )


def _status_error(reply: Reply, params: HttpRequestParams) -> NodeError:
    where = f"{reply.request.method} {shown_url(reply.request.url, query=False)}"
    media = content_type(reply)[0] or ""
    readable = media.startswith("text/") or "json" in media or "xml" in media
    excerpt = ""
    if readable and "html" not in media:
        try:
            excerpt = text_of(reply, params.response)[:2000]
        except UnicodeError:  # only shown
            excerpt = reply.content[:2000].decode("utf-8", "replace")
    return status_error(reply.status, excerpt, params, where, retry_after(reply.headers, time.time()))


def _too_large(reply: Reply, most: int) -> PermanentError:
    return PermanentError(
        f"The response of {shown_url(reply.request.url, query=False)} is larger than {most} bytes.",
        code="http-too-large",
        pointer="/response/max_bytes",
        hint="Raise response.max_bytes, or set response.on_too_large to 'truncate' to keep the beginning.",
    )


def _headers(headers: httpx2.Headers) -> dict[str, str]:
    """By lower-case name, repeated ones joined by commas; cookies stand apart."""
    return {name: value for name, value in headers.items() if name != "set-cookie"}


def _cookies(reply: Reply) -> dict[str, str]:
    pairs = [line.partition(";")[0].partition("=") for line in reply.headers.get_list("set-cookie")]
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
