"""Opening connections: to the addresses that the guard returned, several of them in a staggered race."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import httpcore2
import httpx2

from aicflow.net.guard import Guard

__all__ = ["GuardedBackend", "ProxyChoice", "guarded_pool", "public_context"]

_MOST_CONNECTIONS = 100
_MOST_IDLE = 20
_IDLE_SECONDS = 30.0
_HEAD_START = 0.25  # seconds before the next address is tried beside the last, as RFC 8305 says


@cache
def public_context() -> ssl.SSLContext:
    """The context that trusts the public authorities; read once in a process, which takes tens of milliseconds."""
    return httpcore2.default_ssl_context()


@dataclass(frozen=True, slots=True)
class ProxyChoice:
    """A proxy and whose it is: the operator's own may be an inner address, one that a workflow names may not."""

    url: str
    operators: bool


def guarded_pool(
    guard: Guard, context: ssl.SSLContext | None = None, proxy: ProxyChoice | None = None
) -> httpcore2.AsyncConnectionPool:
    """A pool of connections that the guard checks when they are dialled. `context`: instead of the public authorities.

    Behind a proxy only the proxy is dialled: ask `Guard.check_behind_proxy` before each request.
    """
    context = context or public_context()
    if proxy is None:
        return httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedBackend(guard),
        )
    url = httpx2.URL(proxy.url)
    host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
    return httpcore2.AsyncHTTPProxy(
        proxy_url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=port, target=b"/"),
        proxy_auth=(url.username.encode(), url.password.encode()) if url.username or url.password else None,
        ssl_context=context,
        proxy_ssl_context=public_context() if url.scheme == "https" else None,
        max_connections=_MOST_CONNECTIONS,
        max_keepalive_connections=_MOST_IDLE,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=GuardedBackend(guard, (host, port) if proxy.operators else None),
    )


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Dials only what the guard lets through. TLS server name and Host header stay the name that was asked for.

    `trusted`: the operator's own proxy, as (host, port); it is dialled without a check.
    """

    def __init__(self, guard: Guard, trusted: tuple[str, int] | None = None) -> None:
        self._guard = guard
        self._trusted = trusted
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect. Raises PermanentError (refused), ConnectError, ConnectTimeout."""
        try:
            async with asyncio.timeout(timeout):
                if (host, port) == self._trusted:
                    return await self._plain.connect_tcp(host, port)
                return await self._race(await self._guard.addresses(host, port), port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"no connection to {host}:{port} in {timeout} s") from error

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Never: a socket file is this machine's own."""
        raise httpcore2.ConnectError("sockets in the file system are not dialled")

    async def sleep(self, seconds: float) -> None:
        """Pause; httpcore asks for it between its own retries."""
        await asyncio.sleep(seconds)

    async def _race(self, addresses: Sequence[str], port: int) -> httpcore2.AsyncNetworkStream:
        """The first connection that opens; the others are given up."""
        if len(addresses) == 1:
            return await self._plain.connect_tcp(addresses[0], port)
        waiting = list(reversed(_alternating(addresses)))
        trying: set[asyncio.Task[httpcore2.AsyncNetworkStream]] = set()
        failure: BaseException | None = None
        try:
            while waiting or trying:
                if waiting:
                    trying.add(asyncio.create_task(self._plain.connect_tcp(waiting.pop(), port)))
                pause = _HEAD_START if waiting else None
                done, trying = await asyncio.wait(trying, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    failure = task.exception() or failure
                opened = [task.result() for task in done if task.exception() is None]
                if opened:
                    for spare in opened[1:]:
                        await spare.aclose()
                    return opened[0]
            raise failure or httpcore2.ConnectError("there is no address")
        finally:
            await _give_up(trying)


def _alternating(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 in turn, so that one broken family costs one head start."""
    first = [a for a in addresses if (":" in a) == (":" in addresses[0])]
    second = [a for a in addresses if (":" in a) != (":" in addresses[0])]
    mixed = [a for pair in zip(first, second, strict=False) for a in pair]
    shorter = min(len(first), len(second))
    return mixed + first[shorter:] + second[shorter:]


async def _give_up(trying: set[asyncio.Task[httpcore2.AsyncNetworkStream]]) -> None:
    for task in trying:
        task.cancel()
    for outcome in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(outcome, httpcore2.AsyncNetworkStream):
            await outcome.aclose()
