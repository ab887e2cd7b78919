"""The node type http.request."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from aicflow import Context, Issue, Node, NodeError, PermanentError

from aicflow_http.conversation import Conversation, Shared
from aicflow_http.exchange import Reply
from aicflow_http.failures import status_error
from aicflow_http.masking import shown_url
from aicflow_http.outgoing import build
from aicflow_http.pages import collect
from aicflow_http.params import HttpRequestParams, HttpResponse
from aicflow_http.parsing import content_type, parse, text_of
from aicflow_http.retry_after import retry_after
from aicflow_http.settings import HttpSettings
from aicflow_http.written import output_schema, problems

__all__ = ["HttpRequest"]


class HttpRequest(Node[HttpRequestParams, HttpResponse]):
    """Send an HTTP request and read the answer.

    Any method; query, headers, cookies and a JSON, form, multipart or raw body; authentication by password, token, key,
    signature, OAuth2 or client certificate; redirects, pagination, proxies. Addresses inside the operator's own network
    are refused unless the operator allows them. A status from 400 fails the step: 408, 425, 429 and 5xx may be retried,
    after the time that the server asks for, when repeating the request is safe.
    """

    type_id = "http.request"
    title = "HTTP request"
    category = "network"

    def __init__(self, settings: HttpSettings | None = None) -> None:
        """`settings`: instead of those in the environment, for hosts that embed the node."""
        self._settings = settings
        self._shared: Shared | None = None

    async def start(self) -> None:
        """Read the operator's settings. Raises AICFlowError for ones that cannot be read."""
        shared = Shared(self._settings or HttpSettings.from_environment())
        await shared.clients.warm_up()
        self._shared = shared

    async def stop(self) -> None:
        """Close all connections."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.clients.close()

    async def run(self, ctx: Context, params: HttpRequestParams) -> HttpResponse:
        """Send, follow, read. Raises TransientError and PermanentError; see `failures` for their codes."""
        if self._shared is None:
            await self.start()
        assert self._shared is not None
        began = time.monotonic()
        conversation = Conversation(self._shared, params, ctx)
        if params.tls is not None and not params.tls.verify:
            ctx.log("The server's certificate is not checked (tls.verify is false).", level="warning")
        request = build(params, ctx.idempotency_key)
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
                ctx.log("A cap ended the pagination before the last page.", level="warning", pages=found.pages)
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

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """What can be seen before any execution: a URL that cannot be, credentials written into the document."""
        return problems(params)

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The output, with what is known about its body."""
        schema = cls.output_schema()
        return output_schema(schema, params) if schema is not None else None


def _status_error(reply: Reply, params: HttpRequestParams) -> NodeError:
    where = f"{reply.request.method} {shown_url(reply.request.url, query=False)}"
    media = content_type(reply)[0] or ""
    readable = media.startswith("text/") or "json" in media or "xml" in media
    excerpt = text_of(reply, params.response)[:2000] if readable and "html" not in media else ""
    return status_error(reply.status, excerpt, params, where, retry_after(reply.headers, time.time()))


def _too_large(reply: Reply, most: int) -> PermanentError:
    return PermanentError(
        f"The answer of {shown_url(reply.request.url, query=False)} is larger than {most} bytes.",
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
