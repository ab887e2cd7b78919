"""One request and its response over a pooled connection, read up to a cap."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpcore2
import httpx2

from aicflow_http.decoding import Decoder
from aicflow_http.failures import Progress, may_repeat, transport_error
from aicflow_http.masking import shown_url
from aicflow_http.outgoing import Outgoing
from aicflow_http.params import HttpRequestParams

__all__ = ["Reply", "exchange"]

_REDIRECT_BYTES = 65_536
_SPARE = 65_536
_BREATH = 8  # pieces that are unpacked before other tasks have their turn: half a megabyte
_TRANSPORT = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    OSError,  # TimeoutError and what the system says
)
_MOST_STALE = 25  # idle connections that the server may have closed meanwhile


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, its body read and decoded. `truncated`: it was longer than the cap."""

    request: Outgoing
    status: int
    headers: httpx2.Headers
    content: bytes
    truncated: bool = False

    @property
    def is_redirect(self) -> bool:
        """Whether it sends the client elsewhere."""
        return self.status in (301, 302, 303, 307, 308) and "location" in self.headers


async def exchange(
    pool: httpcore2.AsyncConnectionPool, request: Outgoing, params: HttpRequestParams, *, most: int, deadline: float
) -> Reply:
    """Send and read. A body beyond `most` bytes is cut and its connection closed. `deadline` is the event loop's time.
    Raises NodeError."""
    where = f"{request.method} {shown_url(request.url, query=False)}"
    for attempt in range(_MOST_STALE):
        progress = Progress()
        try:
            async with asyncio.timeout_at(deadline):
                return await _once(pool, request, params, progress, most)
        except (httpcore2.ReadError, httpcore2.WriteError, httpcore2.RemoteProtocolError) as error:
            # A kept connection may have been closed by the server just as it was taken up again.
            stale = not progress.connected and not progress.answered and may_repeat(params)
            if not stale or attempt + 1 == _MOST_STALE:
                raise transport_error(error, progress, params, where) from None
        except _TRANSPORT as error:
            raise transport_error(error, progress, params, where) from None
    raise AssertionError("the loop returns or raises")


async def _once(
    pool: httpcore2.AsyncConnectionPool, request: Outgoing, params: HttpRequestParams, progress: Progress, most: int
) -> Reply:
    response = await pool.handle_async_request(_as_httpcore(request, params, progress))
    progress.answered = True
    try:
        headers = httpx2.Headers(response.headers)
        reply = Reply(request, response.status, headers, b"")
        if reply.is_redirect:
            most = min(most, _REDIRECT_BYTES)
        decoder = Decoder("" if request.method == "HEAD" else headers.get("content-encoding", ""))
        kept, truncated = await _read(response, decoder, most)
        if not truncated and not decoder.complete():
            raise httpcore2.RemoteProtocolError("the compressed body ends too early")
        return replace(reply, content=kept, truncated=truncated)
    finally:
        if _out_of_step(response):
            await response.extensions["network_stream"].aclose()
        await response.aclose()


def _out_of_step(response: httpcore2.Response) -> bool:
    """Whether the server sent bytes beyond its response. httpcore would take them for the response to the next request
    on this connection, which may be another execution's; so the connection must not be used again. It does not say so
    publicly: where its insides are not as expected, the answer is yes, and connections are not kept."""
    found: Any = response.stream
    for name in ("_stream", "_connection", "_h11_state", "trailing_data"):
        found = getattr(found, name, None)
    return found is None or bool(found[0])


async def _read(response: httpcore2.Response, decoder: Decoder, most: int) -> tuple[bytes, bool]:
    """The first `most` decoded bytes and whether there were more. Raw bytes are counted too: some encodings can go on
    forever without decoding to anything."""
    kept = bytearray()
    raw = 0
    async with aclosing(response.aiter_stream()) as stream:
        async for data in stream:
            raw += len(data)
            for count, piece in enumerate(decoder.feed(data)):
                kept += piece
                if len(kept) > most:
                    return bytes(kept[:most]), True
                if count % _BREATH == _BREATH - 1:
                    await asyncio.sleep(0)
            if raw > most + _SPARE:
                return bytes(kept), True
    return bytes(kept), False


def _as_httpcore(request: Outgoing, params: HttpRequestParams, progress: Progress) -> httpcore2.Request:
    # httpx adds Host and Content-Length, and nothing else.
    whole = httpx2.Request(request.method, request.url, headers=request.headers, content=request.content)
    read = params.timeouts.read
    return httpcore2.Request(
        method=whole.method,
        url=httpcore2.URL(
            scheme=whole.url.raw_scheme, host=whole.url.raw_host, port=whole.url.port, target=whole.url.raw_path
        ),
        headers=whole.headers.raw,
        content=whole.read(),
        extensions={
            "timeout": {"connect": params.timeouts.connect, "read": read, "write": read, "pool": None},
            "trace": progress.trace,
        },
    )
