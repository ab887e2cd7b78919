"""Bounds on what a client may send and how slowly: uvicorn's HTTP protocol with limits that uvicorn does not offer.

uvicorn reads headers and trailers of any size, waits without limit for the rest of a request, and adds trailers to the
request's headers (uvicorn #1684 and #2019). No work is done in the callback of each header: it would cost 15 % of the
requests a second.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from aicflow.engine.ids import new_id
from aicflow.problems import MEDIA_TYPE, Problem


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Sizes are in bytes, times in seconds."""

    overhead: int = 32 * 1024
    """Request line, headers, trailers and chunk marks; each byte of a body adds `OVERHEAD_PER_BODY_BYTE`."""
    headers: int = 100
    receive: float = 10.0
    """Time for a request to arrive; a body adds a second for each `SLOWEST_BODY` bytes received."""
    idle: float = 15.0
    stalled: float = 30.0
    """How long a client may take nothing of an answer."""
    connections: int = 1024
    per_address: int = 128
    proxies: Container[str] = frozenset()
    """Addresses of reverse proxies: `per_address` does not count for them."""


OVERHEAD_PER_BODY_BYTE: Final = 8  # a chunk of one byte has six bytes around it
SLOWEST_BODY: Final = 1000


class _Discard(list[tuple[bytes, bytes]]):
    """Takes trailers and forgets them."""

    def append(self, _item: tuple[bytes, bytes]) -> None:
        pass


_TRAILERS: Final = _Discard()


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. Refusals are problem documents, and close it."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._received = 0  # of the request that is arriving
        self._body = 0
        self._since = self.loop.time()  # the request's first byte, or the end of the one before
        self._arriving = False
        self._asked = False
        self._refusal: Problem | None = None
        self._unsent = -1  # bytes left to send at the last sweep
        self._unsent_since = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        limits = self._limits
        if len(self.connections) > limits.connections:
            self._refuse("unavailable", "The server has reached its limit of connections.")
        elif len(self.connections) > limits.per_address and self.client and self.client[0] not in limits.proxies:
            address = self.client[0]
            if sum(_address(connection) == address for connection in self.connections) > limits.per_address:
                self._refuse("rate-limited", f"{address} has reached its limit of connections ({limits.per_address}).")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._arriving:
            self._arriving = True
            self._since = self.loop.time()
        self._received += len(data)
        super().data_received(data)
        if self._received - self._body > self._allowed() and not self.transport.is_closing():
            self._refuse("headers-too-large", self._too_large())

    def on_headers_complete(self) -> None:
        if len(self.headers) > self._limits.headers:
            self._stop("headers-too-large", f"The request has more than {self._limits.headers} headers.")
        if self._received > self._limits.overhead:  # a body may have come with it, so count
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._limits.overhead:
                self._stop("headers-too-large", self._too_large())
        super().on_headers_complete()
        self._asked = self.cycle is not None
        if not (self.parser.should_upgrade() and self._should_upgrade()):
            self.headers = _TRAILERS

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._received = self._body = 0
        self._since = self.loop.time()
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        problem, self._refusal = self._refusal, None
        self._write(problem or Problem("request-malformed", msg))

    def sweep(self, now: float) -> None:
        """Close the connection when the client is too slow. Called about once a second."""
        if self._stalls(now):
            self.transport.abort()
        elif self._arriving and not self.transport.is_closing():
            if self.flow.read_paused:  # the app is the slow one
                self._since = now
            elif now - self._since > self._limits.receive + self._body / SLOWEST_BODY:
                self._refuse("request-timeout", "The request did not arrive in time.")
        elif not self._asked and now - self._since > self._limits.idle:
            self.transport.close()  # it never asked for anything; uvicorn closes those that did

    def _stalls(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
            return False
        return now - self._unsent_since > self._limits.stalled

    def _unanswered(self) -> bool:
        """Whether the request that is arriving is the one that the app works on, and has no answer yet."""
        return self.cycle.more_body and not self.cycle.response_started

    def _allowed(self) -> int:
        return self._limits.overhead + OVERHEAD_PER_BODY_BYTE * self._body

    def _too_large(self) -> str:
        return f"Request line, headers and trailers are larger than {self._limits.overhead:,} bytes."

    def _stop(self, code: str, detail: str) -> None:
        """Refuse from inside of a parser callback: the parser turns the error into a call of `send_400_response`."""
        self._refusal = Problem(code, detail)
        raise ValueError(code)

    def _refuse(self, code: str, detail: str) -> None:
        if not self._asked or (not self.cycle.more_body if self.cycle.response_complete else self._unanswered()):
            self._write(Problem(code, detail))
        else:
            self.transport.close()  # the request has its answer, or another one is being sent

    def _write(self, problem: Problem) -> None:
        request_id = new_id("rq", time.time())
        body = problem.body(request_id)
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nx-request-id: {request_id}\r\n"
        self.transport.write(STATUS_LINE[problem.status] + head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()


def _address(connection: object) -> str | None:
    client = getattr(connection, "client", None)  # HTTP and WebSocket protocols have it
    return client[0] if client else None


def sweep(connections: Iterable[object], now: float) -> None:
    """Close those connections whose clients are too slow. WebSockets have pings of their own."""
    for connection in list(connections):
        if isinstance(connection, BoundedHttpProtocol):
            connection.sweep(now)
