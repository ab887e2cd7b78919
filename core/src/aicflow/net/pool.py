"""HTTP/1.1 over connections that the guard has checked, kept for the next request.

Failures are httpx2's: ConnectError, ConnectTimeout, ReadError, ReadTimeout, WriteTimeout, LocalProtocolError,
RemoteProtocolError, ProxyError. Cancelling a call drops its connection.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from functools import cache

import h11
import httpx2

from aicflow.net.connection import Connection, Origin, dial, h11_errors
from aicflow.net.guard import Guard

type Headers = list[tuple[bytes, bytes]]

_MOST_AT_ONCE = 100
_MOST_IDLE = 100
_IDLE_SECONDS = 30.0
_FRESH = 0.25  # seconds for which a kept connection is taken without another look


@cache
def public_context() -> ssl.SSLContext:
    """The context that trusts the public authorities; read once in a process, which takes tens of milliseconds."""
    return httpx2.create_ssl_context()


def origin_of(url: httpx2.URL) -> Origin:
    """Scheme, host and port that a URL is asked at."""
    return url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


@dataclass(frozen=True, slots=True)
class ProxyChoice:
    """A proxy and whose it is: the operator's own may be an inner address, one that a workflow names may not."""

    url: str
    operators: bool


@dataclass(slots=True)
class Progress:
    """How far a request came: whether its connection was new, whether any of it may have reached the server, and
    whether a response began."""

    connected: bool = False
    sent: bool = False
    answered: bool = False


class Response:
    """A response whose body is yet to be read. It must be closed, read or not."""

    def __init__(self, pool: Pool, connection: Connection, head: h11.Response, read_timeout: float | None) -> None:
        self.status = head.status_code
        self.headers = head.headers.raw_items()
        self._pool = pool
        self._connection: Connection | None = connection
        self._timeout = read_timeout

    async def read(self) -> bytes:
        """The next piece of the body, empty at its end."""
        assert self._connection is not None
        while isinstance(event := await self._connection.event(self._timeout), h11.Data):
            if event.data:
                return bytes(event.data)
        return b""

    def close(self) -> None:
        """Keep the connection when the response was read to its end and nothing came after it, else drop it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.take_back(connection)


class Pool:
    """Connections with one TLS configuration, through one proxy or none. Behind a proxy only the proxy is dialled: ask
    `Guard.check_behind_proxy` before each request."""

    def __init__(self, guard: Guard, context: ssl.SSLContext | None = None, proxy: ProxyChoice | None = None) -> None:
        self._guard = guard
        self._context = context
        self._proxy = httpx2.URL(proxy.url) if proxy else None
        self._trusted = proxy is not None and proxy.operators
        self._slots = asyncio.Semaphore(_MOST_AT_ONCE)
        self._idle: list[Connection] = []  # the longest idle first
        self._closed = False

    async def request(
        self,
        method: str,
        url: httpx2.URL,
        headers: Headers,
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        timeouts: Mapping[str, float | None],
        progress: Progress | None = None,
    ) -> Response:
        """Send a request, whose headers say how long its body is, and read the head of the response. `timeouts`:
        seconds for `connect`, and of silence for `read` and `write`. Raises PermanentError (refused) and httpx2's
        errors."""
        progress = progress or Progress()
        origin = origin_of(url)
        target = url.raw_path
        if self._proxy is not None and url.scheme == "http":
            target = b"http://" + url.netloc + target
            headers = [*headers, *self._proxy_headers()]
        await self._slots.acquire()
        connection: Connection | None = None
        try:
            connection = await self._kept(origin)
            if connection is None:
                progress.connected = True
                connection = await self._open(origin, timeouts.get("connect"))
            with h11_errors():
                head = h11.Request(method=method.encode("ascii"), target=target, headers=headers)
                progress.sent = True
                await connection.send(head, body, timeouts.get("write"))
                response = await connection.head(timeouts.get("read"))
        except BaseException:
            self._slots.release()
            if connection is not None:
                connection.abort()
            raise
        progress.answered = True
        return Response(self, connection, response, timeouts.get("read"))

    def take_back(self, connection: Connection) -> None:
        """Keep a connection for the next request if it can be used again."""
        self._slots.release()
        if not self._closed and connection.reusable():
            self._idle.append(connection)
        else:
            connection.abort()
        self._drop_old()

    def close(self) -> None:
        """Close all connections: those in use when their responses are closed."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _drop_old(self) -> None:
        idle, before = self._idle, asyncio.get_running_loop().time() - _IDLE_SECONDS
        while idle and (len(idle) > _MOST_IDLE or idle[0].idle_since < before or idle[0].lost):
            idle.pop(0).abort()

    async def _kept(self, origin: Origin) -> Connection | None:
        self._drop_old()
        loop = asyncio.get_running_loop()
        for at in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[at]
            if connection.origin != origin:
                continue
            del self._idle[at]
            if loop.time() - connection.idle_since > _FRESH:
                for _ in range(2):  # the loop looks at its sockets, and tells: the server may have closed it meanwhile
                    await asyncio.sleep(0)
                if connection.lost:
                    return await self._kept(origin)
            if not connection.lost:
                connection.idle_since = 0.0
                return connection
        return None

    async def _open(self, origin: Origin, seconds: float | None) -> Connection:
        scheme, host, port = origin
        connection: Connection | None = None
        try:
            async with asyncio.timeout(seconds):
                if self._proxy is None:
                    connection = await dial(await self._guard.addresses(host, port), port)
                else:
                    proxy_scheme, proxy_host, proxy_port = origin_of(self._proxy)
                    trusted = [proxy_host.strip("[]")] if self._trusted else None
                    addresses = trusted or await self._guard.addresses(proxy_host, proxy_port)
                    connection = await dial(addresses, proxy_port)
                    if proxy_scheme == "https":
                        await connection.start_tls(public_context(), proxy_host)
                    if scheme == "https":
                        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                        await self._tunnel(connection, where.encode("ascii"))
                if scheme == "https":
                    await connection.start_tls(self._context or public_context(), host)
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, TimeoutError):
                raise httpx2.ConnectTimeout(f"no connection to {host}:{port} in {seconds} s") from error
            if isinstance(error, OSError):
                raise httpx2.ConnectError(str(error)) from error
            raise
        connection.origin = origin
        return connection

    async def _tunnel(self, connection: Connection, target: bytes) -> None:
        headers = [(b"Host", target), (b"Accept", b"*/*"), *self._proxy_headers()]
        with h11_errors():
            await connection.send(h11.Request(method=b"CONNECT", target=target, headers=headers), b"", None)
            head = await connection.head(None)
        if not 200 <= head.status_code < 300:
            raise httpx2.ProxyError(f"{head.status_code} {head.reason.decode('ascii', 'ignore')}")

    def _proxy_headers(self) -> Headers:
        if self._proxy is None or not (self._proxy.username or self._proxy.password):
            return []
        pair = f"{self._proxy.username}:{self._proxy.password}".encode()
        return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(pair))]
