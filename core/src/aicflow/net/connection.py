"""One HTTP/1.1 connection: h11 writes and reads the messages, what comes is kept until it is read.

Failures are httpx2's: ReadError, ReadTimeout, WriteTimeout, LocalProtocolError, RemoteProtocolError.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import cast

import h11
import httpx2

type Origin = tuple[str, str, int]  # scheme, host, port

_HEAD_START = 0.25  # seconds before the next address is tried beside the last, as RFC 8305 says
_LONGEST_HEAD = 100 * 1024
_BUFFERED = 256 * 1024  # bytes that wait to be read before the other side is slowed down
_PIECE = 256 * 1024


class Connection(asyncio.Protocol):
    """One connection: what comes is kept until it is read. Only one request at a time."""

    def __init__(self) -> None:
        self.origin: Origin = ("", "", 0)
        self.idle_since = 0.0  # the loop's time, 0 while it is in use
        self.lost = False
        self._failure: Exception | None = None
        self._transport: asyncio.Transport
        self._messages = _messages()
        self._came = bytearray()
        self._full = False
        self._waiter: asyncio.Future[None] | None = None
        self._early: h11.Response | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what comes. What was not asked for would be taken for the next response."""
        if self.idle_since:
            self.abort()
            return
        self._came += data
        if len(self._came) > _BUFFERED and not self._transport.is_closing():
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """The other side sends no more."""
        self.lost = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed it, or it broke."""
        self.lost, self._failure = True, exc
        self._wake()

    def pause_writing(self) -> None:
        """The other side reads more slowly than we write."""
        self._full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        self._wake()

    def abort(self) -> None:
        """Close it at once."""
        self.lost = True
        self._transport.abort()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from now on. Raises OSError, ssl.SSLError among them."""
        if self._came or self._messages.trailing_data[0]:  # it would be taken for what TLS protects
            raise ConnectionResetError("something came before TLS began")
        context.set_alpn_protocols(["http/1.1"])
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self._transport, self, context, server_hostname=host.strip("[]"))
        if transport is None:
            raise ConnectionResetError("the connection was closed while TLS began")
        self._transport = transport
        self._messages = _messages()

    async def send(self, head: h11.Request, body: bytes | AsyncIterable[bytes], seconds: float | None) -> None:
        """Write a whole request. A server may answer and close before it has read all: the rest is not written then."""
        messages = self._messages
        out = messages.send(head) or b""
        if isinstance(body, bytes):
            for at in range(0, len(body), _PIECE):
                await self._write(out + (messages.send(h11.Data(data=body[at : at + _PIECE])) or b""), seconds)
                out = b""
        else:
            async for piece in body:
                await self._write(out + (messages.send(h11.Data(data=piece)) or b""), seconds)
                out = b""
                if await self._refused(seconds):
                    return
        await self._write(out + (messages.send(h11.EndOfMessage()) or b""), seconds)

    async def _refused(self, seconds: float | None) -> bool:
        """Whether the server has answered and does not want the rest of a body. One that answers well before it has
        read all may want it still."""
        while self._full and not self.lost:
            if self._came and self._early is None:
                with h11_errors():
                    self._messages.receive_data(await self._read(seconds))
                    while (event := self._messages.next_event()) is not h11.NEED_DATA:
                        if isinstance(event, h11.Response):
                            self._early = event
                            break
            elif self._early is not None and self._early.status_code >= 300:
                return True
            else:
                await self._change(seconds, httpx2.WriteTimeout)
        return self.lost

    async def head(self, seconds: float | None) -> h11.Response:
        """The head of the response; interim ones are passed over."""
        event: object = self._early
        self._early = None
        while not isinstance(event, h11.Response):
            event = await self.event(seconds)
        return event

    async def event(self, seconds: float | None) -> h11.Event | type[h11.PAUSED]:
        """The next part of the response. Raises httpx2's errors."""
        messages = self._messages
        with h11_errors():
            while (event := messages.next_event()) is h11.NEED_DATA:
                messages.receive_data(await self._read(seconds))
        return cast("h11.Event | type[h11.PAUSED]", event)

    def reusable(self) -> bool:
        """Begin anew if the last exchange is complete and nothing came after it."""
        messages = self._messages
        done = messages.our_state is h11.DONE and messages.their_state is h11.DONE
        if self.lost or self._came or not done or messages.trailing_data[0]:
            return False
        messages.start_next_cycle()
        self.idle_since = asyncio.get_running_loop().time()
        return True

    async def _write(self, data: bytes, seconds: float | None) -> None:
        if data and not self.lost:
            self._transport.write(data)
        while self._full and not self.lost and not self._came:
            await self._change(seconds, httpx2.WriteTimeout)

    async def _read(self, seconds: float | None) -> bytes:
        while not self._came:
            if self._failure is not None:
                raise httpx2.ReadError(str(self._failure)) from self._failure
            if self.lost:
                return b""
            await self._change(seconds, httpx2.ReadTimeout)
        data = bytes(self._came)
        self._came.clear()
        if len(data) > _BUFFERED and not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def _change(self, seconds: float | None, expired: type[httpx2.TimeoutException]) -> None:
        """Wait until something comes, can be written, or breaks."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _expire, waiter, expired)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _messages() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)


def _expire(waiter: asyncio.Future[None], expired: Callable[[str], Exception]) -> None:
    if not waiter.done():
        waiter.set_exception(expired("nothing happened in time"))


@contextmanager
def h11_errors() -> Iterator[None]:
    """Raise h11's errors as httpx2's."""
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpx2.LocalProtocolError(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error


async def dial(addresses: Sequence[str], port: int) -> Connection:
    """The first connection that opens, tried in a staggered race; the others are cancelled. Raises OSError."""
    waiting = list(reversed(_alternating(addresses)))
    trying: set[asyncio.Task[Connection]] = set()
    failure: BaseException | None = None
    if len(waiting) == 1:
        return await _connect(waiting[0], port)
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connect(waiting.pop(), port)))
            pause = _HEAD_START if waiting else None
            done, trying = await asyncio.wait(trying, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            opened = [task.result() for task in done if task.exception() is None]
            failure = next((task.exception() for task in done if task.exception() is not None), failure)
            for spare in opened[1:]:
                spare.abort()
            if opened:
                return opened[0]
        raise failure or OSError("there is no address")
    finally:
        for task in trying:
            task.cancel()
        for outcome in await asyncio.gather(*trying, return_exceptions=True):
            if isinstance(outcome, Connection):
                outcome.abort()


async def _connect(address: str, port: int) -> Connection:
    return (await asyncio.get_running_loop().create_connection(Connection, address, port))[1]


def _alternating(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 in turn, so that one broken family costs one head start."""
    families = [[a for a in addresses if (":" in a) == same] for same in (":" in addresses[0], ":" not in addresses[0])]
    return [address for pair in zip_longest(*families) for address in pair if address is not None]
