"""The guarded client, as a plugin uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx2
import pytest
from aicflow import PermanentError
from aicflow.net import HostRules, HttpSettings, http_client


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers everything with the same bytes; its port and the request lines it saw."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def inward(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def test_a_listed_name_is_reached_and_an_unlisted_one_is_not() -> None:
    async with answering(HELLO) as (port, seen):
        settings = HttpSettings(allow=HostRules.parse("model.test"), resolver=inward)
        async with http_client(settings, pointer="/server") as client:
            assert (await client.get(f"http://model.test:{port}/")).text == "hello"
            with pytest.raises(PermanentError) as caught:
                await client.get(f"http://other.test:{port}/")
    assert (caught.value.code, caught.value.pointer) == ("http-refused", "/server")
    assert len(seen) == 1


async def test_a_redirect_inward_is_refused_where_it_is_dialled() -> None:
    reply = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n"
    async with answering(reply) as (port, _):
        settings = HttpSettings(allow=HostRules.parse("127.0.0.1"))
        async with http_client(settings, follow_redirects=True) as client:
            with pytest.raises(PermanentError, match="cloud metadata"):
                await client.get(f"http://127.0.0.1:{port}/")


async def test_it_goes_through_the_operators_proxy_but_not_for_inner_names() -> None:
    async with answering(HELLO) as (port, seen):
        settings = HttpSettings(proxy=f"http://127.0.0.1:{port}")
        async with http_client(settings) as client:
            assert (await client.get("http://198.41.0.4/hi")).text == "hello"
            with pytest.raises(PermanentError, match="loopback"):
                await client.get("http://127.0.0.1/")
    assert seen == [b"GET http://198.41.0.4/hi HTTP/1.1"]


async def test_failures_are_those_of_httpx2() -> None:
    settings = HttpSettings(allow=HostRules.parse("127.0.0.1"))
    async with answering(b"nonsense\r\n\r\n") as (port, _), http_client(settings) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{port}/")
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://127.0.0.1:9/")
