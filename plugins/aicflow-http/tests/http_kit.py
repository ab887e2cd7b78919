"""A server on loopback that does what each test tells it to, byte by byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request as it arrived. Header names are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    names: list[str]
    body: bytes
    peer_certificate: Any = None

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class Talk:
    """One connection, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self,
        status: int = 200,
        body: bytes | str | Any = b"",
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        length: int | None = None,
    ) -> None:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        names = {name.lower() for name, _ in pairs}
        if not isinstance(body, bytes | str):
            body = json.dumps(body)
            if "content-type" not in names:
                pairs.append(("Content-Type", "application/json"))
        data = body.encode() if isinstance(body, str) else body
        pairs.append(("Content-Length", str(len(data) if length is None else length)))
        head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        await self.raw(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + data)

    async def gone(self) -> None:
        """Return when the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.writer.transport.abort()


type Handler = Callable[[Asked, Talk], Awaitable[None]]


@dataclass
class Server:
    """A listening server. `asked` grows with each request; `connections` were accepted, `open` are open still."""

    host: str
    port: int
    scheme: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


@asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Serve until the block ends; connections are kept until the handler or the client closes them."""
    server = Server(host, 0, "https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        server.open += 1
        try:
            while True:
                asked = await read_request(reader)
                if asked is None:
                    break
                security = writer.get_extra_info("ssl_object")
                asked.peer_certificate = security.getpeercert() if security else None
                server.asked.append(asked)
                await handler(asked, Talk(reader, writer))
                if writer.transport.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            server.open -= 1
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    patience = 0.1 if tls else None  # for clients that keep a connection when the test is over
    listening = await asyncio.start_server(
        connection, "127.0.0.1", 0, ssl=tls, limit=2**20, ssl_shutdown_timeout=patience
    )
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = [line.split(":", 1) for line in lines]
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, [name.lower() for name, _ in pairs], body)
