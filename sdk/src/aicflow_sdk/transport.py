"""The only place that does I/O: one transport blocks, one uses asyncio. They decide nothing.

Both have the same methods to await. Those of the blocking one never suspend, so `blocking.run` can run a coroutine that
uses it to its end without an event loop: what the client does is written once, as coroutines.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as async_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import ClientConnection, connect

from aicflow_sdk.config import Address
from aicflow_sdk.errors import ConnectionFailed, RequestTimeout
from aicflow_sdk.messages import Pieces, Reply, Request, error_of
from aicflow_sdk.session import Closed

_CONTENT: Final = frozenset({200, 206})
_PIECE: Final = 256 * 1024
_LARGEST_MESSAGE: Final = 256 * 1024 * 1024
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Wire:
    """From requests to the arguments of httpx2 and websockets, and what their exceptions mean. `timeout` is the seconds
    that a reply may take, `connect_timeout` those for connecting."""

    address: Address
    timeout: float
    connect_timeout: float
    tls: ssl.SSLContext | None

    def client_options(self) -> dict[str, Any]:
        """The options of the httpx2 client. Redirects are not followed: the key would go along."""
        # loading certificates takes tens of milliseconds, which a plain server on this machine need not cost
        plain = self.address.url.startswith("http://") and not getproxies()
        return {"verify": self.tls if self.tls is not None else not plain, "follow_redirects": False}

    def request(self, request: Request) -> dict[str, Any]:
        """The arguments of httpx2's `request`."""
        return {
            "method": request.method,
            "url": self.address.url + request.path,
            "headers": {
                "accept": "application/json",
                "user-agent": _agent(),
                **self._auth(),
                **_length(request.body),
                **request.headers,
            },
            "content": request.body if not isinstance(request.body, Pieces) else request.body.open(),
            "timeout": httpx2.Timeout(self.timeout + request.extra_time, connect=self.connect_timeout),
        }

    def connection(self, path: str) -> dict[str, Any]:
        """The arguments of websockets' `connect`."""
        scheme, _, rest = (self.address.url + path).partition("://")
        secure = scheme == "https"
        return {
            "uri": f"{'wss' if secure else 'ws'}://{rest}",
            "additional_headers": self._auth(),
            "user_agent_header": _agent(),
            "subprotocols": ["aicflow.v1"],
            "compression": None,
            "open_timeout": self.connect_timeout,
            "close_timeout": 1,
            "max_size": _LARGEST_MESSAGE,
            **({"ssl": self.tls} if secure and self.tls is not None else {}),
        }

    @contextmanager
    def sending(self) -> Generator[None]:
        """Turns exceptions of httpx2 into ConnectionFailed."""
        try:
            yield
        except httpx2.RequestError as error:
            sent = not isinstance(error, _NEVER_SENT)
            if isinstance(error, httpx2.TimeoutException):
                what = "did not reply in time" if sent else "could not be reached in time"
                text = f"The server at {self.address.url} {what} ({type(error).__name__})."
                raise RequestTimeout(text, hint=self._hint(), sent=sent) from error
            what = "broke the connection" if sent else "cannot be reached"
            text = f"The server at {self.address.url} {what}: {_reason(error)}."
            raise ConnectionFailed(text, hint=self._hint(), sent=sent) from error

    @contextmanager
    def opening(self) -> Generator[None]:
        """Turns exceptions of websockets into ConnectionFailed, or into the error of a refusal."""
        try:
            yield
        except InvalidStatus as error:
            headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
            raise error_of(Reply(error.response.status_code, headers, bytes(error.response.body or b""))) from error
        except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            text = f"The stream of {self.address.url} cannot be opened: {_reason(error)}."
            raise ConnectionFailed(text, hint=self._hint(), sent=False) from error

    def _auth(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.address.api_key}"}

    def _hint(self) -> str:
        local = urlsplit(self.address.url).hostname in ("127.0.0.1", "localhost", "::1")
        return "Is it running? Start it with `aicflow serve`." if local else "Check the address and the network."


class BlockingTransport:
    """Blocks the thread. `http` is a client of the caller's own, which stays open."""

    now = staticmethod(time.monotonic)

    def __init__(self, wire: Wire, http: httpx2.Client | None) -> None:
        self.wire = wire
        self._own = http is None
        self.http = http or httpx2.Client(**wire.client_options())

    def close(self) -> None:
        if self._own:
            self.http.close()

    async def send(self, request: Request) -> Reply:
        with self.wire.sending():
            return _reply(self.http.request(**self.wire.request(request)))

    async def receive(self, request: Request, write: Callable[[bytes], object]) -> Reply:
        with self.wire.sending(), self.http.stream(**self.wire.request(request)) as response:
            if response.status_code not in _CONTENT:
                response.read()
                return _reply(response)
            for data in response.iter_raw(_PIECE):
                write(data)
            return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, b"")

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - this transport blocks

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncGenerator[_BlockingStream]:
        with ExitStack() as stack:
            with self.wire.opening():
                opened = stack.enter_context(connect(**self.wire.connection(path)))
            stack.callback(opened.close)  # without an error code, also when the reader leaves early
            yield _BlockingStream(opened)


@dataclass(frozen=True, slots=True)
class _BlockingStream:
    connection: ClientConnection

    async def receive(self, timeout: float | None) -> str | None:
        try:
            return _text(self.connection.recv(timeout))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _closed(error) from error


class AsyncTransport:
    """Uses asyncio. `http` is a client of the caller's own, which stays open."""

    now = staticmethod(time.monotonic)

    def __init__(self, wire: Wire, http: httpx2.AsyncClient | None) -> None:
        self.wire = wire
        self._own = http is None
        self.http = http or httpx2.AsyncClient(**wire.client_options())

    async def aclose(self) -> None:
        if self._own:
            await self.http.aclose()

    async def send(self, request: Request) -> Reply:
        with self.wire.sending():
            return _reply(await self.http.request(**self._arguments(request)))

    async def receive(self, request: Request, write: Callable[[bytes], object]) -> Reply:
        with self.wire.sending():
            async with self.http.stream(**self._arguments(request)) as response:
                if response.status_code not in _CONTENT:
                    await response.aread()
                    return _reply(response)
                async for data in response.aiter_raw(_PIECE):
                    await asyncio.to_thread(write, data)
                return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, b"")

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments = self.wire.request(request)
        if isinstance(request.body, Pieces) and isinstance(arguments["content"], Iterable):
            arguments["content"] = _in_threads(arguments["content"])
        return arguments

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncGenerator[_AsyncStream]:
        async with AsyncExitStack() as stack:
            with self.wire.opening():
                opened = await stack.enter_async_context(async_connect(**self.wire.connection(path)))
            stack.push_async_callback(opened.close)
            yield _AsyncStream(opened)


@dataclass(frozen=True, slots=True)
class _AsyncStream:
    connection: AsyncConnection

    async def receive(self, timeout: float | None) -> str | None:
        try:
            async with asyncio.timeout(timeout):
                return _text(await self.connection.recv())
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _closed(error) from error


async def _in_threads(pieces: Iterable[bytes]) -> AsyncGenerator[bytes]:
    """Read what blocks beside the event loop."""
    each = iter(pieces)
    while (data := await asyncio.to_thread(next, each, None)) is not None:
        yield data


def _length(body: bytes | Pieces | None) -> dict[str, str]:
    return {"content-length": str(body.size)} if isinstance(body, Pieces) and body.size is not None else {}


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)


def _closed(error: ConnectionClosed) -> Closed:
    frame = error.rcvd
    return Closed(frame.code, frame.reason) if frame is not None else Closed(1006, "the connection was lost")


def _text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


@cache
def _agent() -> str:
    try:
        return f"aicflow-sdk/{version('aicflow-sdk')}"
    except PackageNotFoundError:
        return "aicflow-sdk/0"
