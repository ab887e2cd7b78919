"""A small HTTP/1.1 server on asyncio streams, enough for a model on loopback: JSON in, JSON or a chunked stream out."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

__all__ = ["HttpServer", "Request", "Response"]

_LONGEST_BODY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One response. With `stream`, the pieces are sent as they come; without `complete`, the transfer breaks off."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    complete: bool = True

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON response."""
        return cls(status, json.dumps(value).encode(), headers=headers or {})


class HttpServer(ABC):
    """Serves while it is entered: `async with server: server.address`. Leaving it ends every connection."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.disconnects = 0
        self.disconnected = asyncio.Event()

    @abstractmethod
    async def respond(self, request: Request) -> Response:
        """Answer one request."""

    @property
    def address(self) -> str:
        """http://host:port, once entered."""
        assert self._server is not None, "enter the server first"
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        early: bytes | None = b""
        try:
            while early is not None:
                early = await self._exchange(early, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            pass  # the server is being left; asyncio.streams would log a task that ends cancelled
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Serve one request, of which `early` was read already. Gives what was read of the next one; None ends the
        connection."""
        try:
            request = await _read(early, reader)
        except ValueError as error:
            await _write(writer, Response.json(400, {"error": {"message": str(error)}}), keep=False)
            return None
        if request is None:
            return None
        keep = request.headers.get("connection", "").lower() != "close"
        watch = asyncio.create_task(reader.read(1))  # gives b"" when the client goes away
        serve = asyncio.create_task(self._serve(request, writer, keep))
        try:
            await asyncio.wait({watch, serve}, return_when=asyncio.FIRST_COMPLETED)
            if not serve.done() and watch.result() == b"":
                self.disconnects += 1
                self.disconnected.set()
                return None
            again = await serve
            return (watch.result() if watch.done() else b"") if again else None
        finally:
            for task in (watch, serve):
                task.cancel()
            await asyncio.gather(watch, serve, return_exceptions=True)

    async def _serve(self, request: Request, writer: asyncio.StreamWriter, keep: bool) -> bool:
        response = await self.respond(request)
        await _write(writer, response, keep=keep)
        return keep and response.complete


async def _read(early: bytes, reader: asyncio.StreamReader) -> Request | None:
    try:
        head = early + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        raise ValueError("not an HTTP request")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in headers:
        raise ValueError("send the body with a Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _LONGEST_BODY:
        raise ValueError(f"Content-Length must be a number up to {_LONGEST_BODY}")
    body = await reader.readexactly(int(length))
    return Request(parts[0], parts[1].partition("?")[0], headers, body)


async def _write(writer: asyncio.StreamWriter, response: Response, *, keep: bool) -> None:
    known = response.status in HTTPStatus.__members__.values()
    reason = HTTPStatus(response.status).phrase if known else "Unknown"
    headers = {"content-type": response.content_type, "connection": "keep-alive" if keep else "close"}
    if response.stream is None:
        headers["content-length"] = str(len(response.body))
    else:
        headers["transfer-encoding"] = "chunked"
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **response.headers}.items())
    writer.write(f"HTTP/1.1 {response.status} {reason}\r\n{lines}\r\n".encode("latin-1") + response.body)
    await writer.drain()
    if response.stream is None:
        return
    async for piece in response.stream:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
    if response.complete:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
