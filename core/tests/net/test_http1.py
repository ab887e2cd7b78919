"""Connections of our own: what may be used again, and what a slow, hasty or chatty other side gets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trustme
from aicflow.net import Guard, HostRules, HttpSettings, Pool, Progress, ProxyChoice, http_client

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
TIMEOUTS = {"connect": 5.0, "read": 0.5, "write": 5.0}


@asynccontextmanager
async def talking_to(serve: Serve) -> AsyncIterator[tuple[Pool, httpx2.URL]]:
    """A pool, and the URL of a server that handles each connection so."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    pool = Pool(Guard(HostRules.parse("127.0.0.1")))
    async with server:
        yield pool, httpx2.URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        pool.close()


async def ask(pool: Pool, url: httpx2.URL, body: bytes = b"") -> tuple[bytes, bool]:
    """The response's body, and whether a connection was opened for it."""
    progress = Progress()
    headers = [(b"Host", url.netloc), (b"Content-Length", b"%d" % len(body))]
    response = await pool.request("POST", url, headers, body, timeouts=TIMEOUTS, progress=progress)
    content = b""
    try:
        while piece := await response.read():
            content += piece
    finally:
        response.close()
    return content, progress.connected


async def test_a_connection_is_used_again_and_many_ask_at_once() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + b"hello")

    async with talking_to(serve) as (pool, url):
        assert await ask(pool, url) == (b"hello", True)
        assert await ask(pool, url) == (b"hello", False)
        found = await asyncio.gather(*(ask(pool, url) for _ in range(150)))
        assert [content for content, _ in found] == [b"hello"] * 150
        assert sum(connected for _, connected in found) == 99  # no more than a hundred at once


async def test_a_connection_on_which_something_comes_unasked_is_not_used_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"hello")
        await writer.drain()
        said.set()
        await asyncio.sleep(0.01)
        writer.write(HEAD + b"wrong")
        await reader.read()

    said = asyncio.Event()
    async with talking_to(serve) as (pool, url):
        assert await ask(pool, url) == (b"hello", True)
        await said.wait()
        await asyncio.sleep(0.1)
        assert await ask(pool, url) == (b"hello", True)


def test_a_connection_that_the_server_closed_while_the_loop_was_busy_is_not_used_again() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(HEAD + b"hello")

    async def ask_twice() -> list[tuple[bytes, bool]]:
        pool = Pool(Guard(HostRules.parse("127.0.0.1")))
        url = httpx2.URL(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        try:
            first = await ask(pool, url)
            time.sleep(0.4)  # noqa: ASYNC251 - the loop does not see that the server closes
            return [first, await ask(pool, url)]
        finally:
            pool.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        assert asyncio.run(ask_twice()) == [(b"hello", True), (b"hello", True)]
    finally:
        server.join(10)
        listener.close()


async def test_a_slow_reader_of_a_large_body_is_not_taken_for_silence() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(8):  # longer than the read timeout in all
            await asyncio.sleep(0.1)
            await reader.readexactly(4_000_000)
        writer.write(HEAD + b"hello")
        await reader.read()

    async with talking_to(serve) as (pool, url):
        assert await ask(pool, url, b"x" * 32_000_000) == (b"hello", True)


async def test_an_answer_before_the_end_of_the_body_is_heard() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge")
        await writer.drain()
        while await reader.read(65_536):
            pass

    async with talking_to(serve) as (pool, url):
        assert (await ask(pool, url, b"x" * 8_000_000))[0] == b"large"


async def test_cancelling_drops_the_connection_and_frees_its_place() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        gone.set()

    async with talking_to(serve) as (pool, url):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ask(pool, url)
            await gone.wait()
            gone.clear()


async def test_a_client_sends_a_body_that_comes_in_pieces_and_hears_one_in_pieces() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head.lower()
        body = await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body)
        await reader.read()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one,"
        yield b"two"

    async with (
        talking_to(serve) as (_, url),
        http_client(HttpSettings(allow=HostRules.parse("127.0.0.1"))) as client,
    ):
        assert (await client.post(url, content=pieces())).text == "one,two"


@pytest.mark.parametrize("extra", [b"", HEAD + b"wrong"])
@pytest.mark.parametrize("proxied", [True, False])
async def test_what_comes_before_tls_begins_is_not_taken_for_what_tls_protects(
    proxied: bool, extra: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    ours, theirs = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER))
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if proxied:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT localhost:")
        writer.write((b"HTTP/1.1 200 OK\r\n\r\n" if proxied else b"") + extra)
        await writer.drain()
        sent.set()
        await writer.start_tls(theirs)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"right")
        await reader.read()

    sent = asyncio.Event()
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def connect_slowly(*args: Any, **kwargs: Any) -> Any:
        """Until the other side has sent what it sends before TLS."""
        made = await connect(*args, **kwargs)
        await sent.wait()
        await asyncio.sleep(0.05)
        return made

    if not proxied:
        monkeypatch.setattr(loop, "create_connection", connect_slowly)
    async with talking_to(serve) as (_, url):
        proxy = ProxyChoice(str(url), operators=True) if proxied else None
        pool = Pool(Guard(HostRules.parse("localhost")), ours, proxy)
        try:
            async with asyncio.timeout(5):
                asked = ask(pool, httpx2.URL(f"https://localhost:{url.port}/"))
                if extra:
                    with pytest.raises(httpx2.ConnectError, match="before TLS"):
                        await asked
                else:
                    assert await asked == (b"right", True)
        finally:
            pool.close()  # or the server waits for the connection for ever
