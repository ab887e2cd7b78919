"""An httpx2 client behind the guard, for libraries that take one."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

from aicflow.net.dial import ProxyChoice, guarded_pool
from aicflow.net.guard import Guard
from aicflow.net.settings import HttpSettings

__all__ = ["GuardedTransport", "http_client"]


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
        self._pools: dict[str | None, httpcore2.AsyncConnectionPool] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises PermanentError (refused) and httpx2.TransportError."""
        url, proxy = request.url, self._settings.proxy_for(request.url)
        if proxy is not None:
            port = url.port or (443 if url.scheme == "https" else 80)
            await self._guard.check_behind_proxy(url.raw_host.decode("ascii"), port)
        if proxy not in self._pools:
            choice = None if proxy is None else ProxyChoice(proxy, operators=True)
            self._pools[proxy] = guarded_pool(self._guard, proxy=choice)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        with _errors_of_httpx():
            response = await self._pools[proxy].handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(response.status, headers=response.headers, stream=_Stream(response))

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, AsyncIterable)
        with _errors_of_httpx():
            async for data in self._response.stream:
                yield data

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """httpx2 has an error of the same name for each of httpcore2's."""
    try:
        yield
    except Exception as error:
        mapped = getattr(httpx2, type(error).__name__, None) if type(error).__module__.startswith("httpcore2") else None
        if mapped is None:
            raise
        raise mapped(str(error)) from error
