"""One request and its response over a pooled connection, read up to a cap."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import httpx2
from aicflow.net import Pool, Progress, Response

from aicflow_http.decoding import Decoder
from aicflow_http.failures import may_repeat, transport_error
from aicflow_http.masking import shown_url
from aicflow_http.outgoing import Outgoing
from aicflow_http.params import HttpRequestParams

__all__ = ["Reply", "exchange"]

_REDIRECT_BYTES = 65_536
_SPARE = 65_536
_BREATH = 8  # pieces that are unpacked before other tasks have their turn: half a megabyte
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


async def exchange(pool: Pool, request: Outgoing, params: HttpRequestParams, *, most: int, deadline: float) -> Reply:
    """Send and read. A body beyond `most` bytes is cut and its connection closed. `deadline` is the event loop's time.
    Raises NodeError."""
    where = f"{request.method} {shown_url(request.url, query=False)}"
    for attempt in range(_MOST_STALE):
        progress = Progress()
        try:
            async with asyncio.timeout_at(deadline):
                return await _once(pool, request, params, progress, most)
        except (httpx2.TransportError, OSError) as error:
            # A kept connection may have been closed by the server just as it was taken up again.
            closed = isinstance(error, httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError)
            stale = closed and not progress.connected and not progress.answered and may_repeat(params)
            if not stale or attempt + 1 == _MOST_STALE:
                raise transport_error(error, progress, params, where) from None
    raise AssertionError("the loop returns or raises")


async def _once(pool: Pool, request: Outgoing, params: HttpRequestParams, progress: Progress, most: int) -> Reply:
    limits = {"connect": params.timeouts.connect, "read": params.timeouts.read, "write": params.timeouts.read}
    response = await pool.request(
        request.method, request.url, _framed(request), request.content or b"", timeouts=limits, progress=progress
    )
    try:
        headers = httpx2.Headers(list(response.headers))
        reply = Reply(request, response.status, headers, b"")
        if reply.is_redirect:
            most = min(most, _REDIRECT_BYTES)
        decoder = Decoder("" if request.method == "HEAD" else headers.get("content-encoding", ""))
        kept, truncated = await _read(response, decoder, most)
        if not truncated and not decoder.complete():
            raise httpx2.RemoteProtocolError("the compressed body ends too early")
        return replace(reply, content=kept, truncated=truncated)
    finally:
        response.close()


def _framed(request: Outgoing) -> list[tuple[bytes, bytes]]:
    """The headers with those that say where the request goes and how long its body is."""
    framed = [(b"Host", request.url.netloc), *request.headers.raw]
    if request.content or request.method in ("POST", "PUT", "PATCH"):
        framed.append((b"Content-Length", b"%d" % len(request.content or b"")))
    return framed


async def _read(response: Response, decoder: Decoder, most: int) -> tuple[bytes, bool]:
    """The first `most` decoded bytes and whether there were more. Raw bytes are counted too: some encodings can go on
    forever without decoding to anything."""
    kept = bytearray()
    raw = 0
    while data := await response.read():
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
