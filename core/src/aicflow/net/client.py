"""An httpx2 client behind the guard, for libraries that take one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from aicflow.net.guard import Guard
from aicflow.net.pool import Pool, ProxyChoice, Response, origin_of
from aicflow.net.settings import HttpSettings


def http_client(
    settings: HttpSettings | None = None,
    *,
    pointer: str = "/url",
    make: Callable[..., httpx2.AsyncClient] = httpx2.AsyncClient,
    **options: Any,
) -> httpx2.AsyncClient:
    """An asynchronous client that reaches what the operator allows, each address checked when it is dialled.

    `settings`: instead of those in the environment. `pointer`: the param that a refusal points to. `make` and
    `options`: the client's class and more of its arguments. A refusal is a PermanentError with code `http-refused`.
    Raises AICFlowError for settings that cannot be read.
    """
    transport = GuardedTransport(settings or HttpSettings.from_environment(), pointer=pointer)
    return make(transport=transport, trust_env=False, **options)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests over guarded pools, through the operator's proxy where one is set."""

    def __init__(self, settings: HttpSettings, *, pointer: str = "/url") -> None:
        self._settings = settings
        self._guard = Guard(settings.allow, settings.resolver, pointer=pointer)
        self._pools: dict[str | None, Pool] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises PermanentError (refused) and httpx2.TransportError."""
        proxy = self._settings.proxy_for(request.url)
        if proxy is not None:
            await self._guard.check_behind_proxy(*origin_of(request.url)[1:])
        if proxy not in self._pools:
            self._pools[proxy] = Pool(self._guard, proxy=None if proxy is None else ProxyChoice(proxy, operators=True))
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        response = await self._pools[proxy].request(
            request.method,
            request.url,
            request.headers.raw,
            request.stream,
            timeouts=request.extensions.get("timeout", {}),
        )
        return httpx2.Response(response.status, headers=list(response.headers), stream=_Stream(response))

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, response: Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._response.read():
            yield piece

    async def aclose(self) -> None:
        self._response.close()
