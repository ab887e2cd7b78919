"""The node type http.request as the catalogue, validation and the engine see it; `sending` does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aicflow import Context, Issue, Node

from aicflow_http.params import HttpRequestParams, HttpResponse
from aicflow_http.static_checks import output_schema, problems

if TYPE_CHECKING:
    from aicflow.net import HttpSettings

    from aicflow_http.sending import Shared


class HttpRequest(Node[HttpRequestParams, HttpResponse]):
    """Send an HTTP request and read the response.

    Any method; query, headers, cookies and a JSON, form, multipart or raw body; authentication by password, token, key,
    signature, OAuth2 or client certificate; redirects, pagination, proxies. Addresses inside the operator's own network
    are refused unless the operator allows them. A status from 400 fails the step: 408, 425, 429 and 5xx may be retried,
    after the time that the server asks for, when repeating the request is safe.
    """

    type_id = "http.request"
    title = "HTTP request"
    category = "network"
    variables: ClassVar[Mapping[str, str]] = {
        "AICFLOW_HTTP_ALLOW_HOSTS": "Inner hosts and networks that may be reached: `erp.internal:8443, 10.20.0.0/16`",
        "AICFLOW_HTTP_PROXY": "Proxy of all requests: a URL, or `environment` for HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
        "AICFLOW_HTTP_NO_PROXY": "Hosts that are reached without it",
    }
    errors: ClassVar[Mapping[str, str]] = {
        "http-connect": "No connection: refused, unreachable, name unknown",
        "http-timeout": "One of the timeouts",
        "http-cut": "The response is cut off or not HTTP",
        "http-status": "A status from 400; `details.status`",
        "http-proxy": "The proxy refused",
        "http-refused": "An inner address",
        "http-tls": "A certificate or TLS itself is wrong",
        "http-auth": "Credentials cannot be used, or no token was returned",
        "http-url": "The URL cannot be used",
        "http-header": "A header cannot be sent",
        "http-body": "The body cannot be written",
        "http-protocol": "The request cannot be written as HTTP",
        "http-redirect": "Redirects in a loop, or to a URL that cannot be followed",
        "http-pagination": "The next page cannot be asked for",
        "http-too-large": "The response is too large",
        "http-encoding": "The response's compressed body is damaged",
        "http-parse": "The response says it is JSON and is not",
    }

    def __init__(self, settings: HttpSettings | None = None) -> None:
        """`settings`: instead of those in the environment, for hosts that embed the node."""
        self._settings = settings
        self._shared: Shared | None = None

    async def start(self) -> None:
        """Import the HTTP library, off the event loop, and read the operator's settings. Raises AICFlowError for ones
        that cannot be read."""
        import asyncio
        from importlib import import_module

        await asyncio.to_thread(import_module, "aicflow_http.sending")
        from aicflow.net import HttpSettings, public_context

        from aicflow_http.sending import Shared

        shared = Shared(self._settings or HttpSettings.from_environment())
        await asyncio.to_thread(public_context)  # reads the public certificate authorities
        self._shared = shared

    async def stop(self) -> None:
        """Close all connections."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.pools.close()

    async def run(self, ctx: Context, params: HttpRequestParams) -> HttpResponse:
        """Send, follow, read. Raises TransientError and PermanentError; see `failures` for their codes."""
        if self._shared is None:
            await self.start()
        assert self._shared is not None
        from aicflow_http.sending import send

        return await send(self._shared, ctx, params)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """What can be seen before any execution: a URL that cannot be, credentials written into the document."""
        return problems(params)

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The output, with what is known about its body."""
        schema = cls.output_schema()
        return output_schema(schema, params) if schema is not None else None
