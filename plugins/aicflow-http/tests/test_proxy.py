"""Requests through an HTTP proxy: forwarded and tunnelled, the operator's and a workflow's, and what is checked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from aicflow import AICFlowError, NodeError, PermanentError, TransientError
from aicflow.net import HostRules, HttpSettings
from aicflow.testing import run_node
from aicflow_http import HttpRequest
from http_kit import Asked, Talk, serving


@dataclass
class Proxy:
    """What the proxy was asked for."""

    port: int = 0
    lines: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def url(self, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}"


@asynccontextmanager
async def proxying(*, password: str | None = None) -> AsyncIterator[Proxy]:
    """A proxy that sends everything to loopback, whatever the name: it resolves names as it likes."""
    proxy = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n")[0].split(" ")
            proxy.lines.append(f"{method} {target}")
            proxy.heads.append(head)
            expected = base64.b64encode(f"u:{password}".encode()).decode()
            if password is not None and f"Basic {expected}" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                parts = urlsplit(target if "://" in target else f"//{target}")
                inner, out = await asyncio.open_connection("127.0.0.1", parts.port or 80)
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                else:
                    out.write(head.replace(target, parts.path or "/", 1).encode())
                await asyncio.gather(pump(reader, out), pump(inner, writer))
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def hello(asked: Asked, talk: Talk) -> None:
    await talk.answer(200, f"{asked.headers['host']} {asked.target} {asked.headers.get('proxy-authorization')}")


async def unknown(host: str, port: int) -> Sequence[str]:
    raise OSError("only the proxy knows names here")


async def inner(host: str, port: int) -> Sequence[str]:
    return ["10.0.0.1"]


@asynccontextmanager
async def started(settings: HttpSettings) -> AsyncIterator[HttpRequest]:
    node = HttpRequest(settings)
    await node.start()
    yield node
    await node.stop()


async def ask(node: HttpRequest, url: str, **params: Any) -> dict[str, Any]:
    output = await run_node(HttpRequest, {"url": url, **params}, instance=node)
    assert isinstance(output, dict)
    return output


async def test_the_operators_proxy_forwards_and_its_password_goes_to_it_alone() -> None:
    async with serving(hello) as server, proxying(password="hunter2hunter2") as proxy:
        async with started(HttpSettings(proxy=proxy.url("u:hunter2hunter2@"), resolver=unknown)) as node:
            output = await ask(node, f"http://api.example:{server.port}/a?b=1")
        assert proxy.lines == [f"GET http://api.example:{server.port}/a?b=1"]
        assert output["body"].startswith(f"api.example:{server.port} /a")


async def test_https_goes_through_a_tunnel_and_is_checked_end_to_end() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example").configure_cert(context)
    ca = authority.cert_pem.bytes().decode()
    async with serving(hello, tls=context) as server, proxying() as proxy:
        async with started(HttpSettings(proxy=proxy.url(), resolver=unknown)) as node:
            output = await ask(node, f"https://api.example:{server.port}/a", tls={"ca": ca}, headers={"X-Key": "k"})
            with pytest.raises(PermanentError, match="not trusted"):
                await ask(node, f"https://other.example:{server.port}/a", tls={"ca": ca})
        assert proxy.lines[0] == f"CONNECT api.example:{server.port}"
        assert "X-Key" not in proxy.heads[0]
        assert output["body"] == f"api.example:{server.port} /a None"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_no_way_inside(scheme: str) -> None:
    async with proxying() as proxy:
        async with started(HttpSettings(proxy=proxy.url(), resolver=inner)) as node:
            for host in ("169.254.169.254", "127.0.0.1", "[::1]", "2130706433", "db.internal"):
                with pytest.raises(PermanentError, match="refused"):
                    await ask(node, f"{scheme}://{host}:9/")
        assert proxy.lines == []
        allowing = HttpSettings(proxy=proxy.url(), allow=HostRules.parse("db.internal"), resolver=inner)
        async with started(allowing) as node:
            with pytest.raises(NodeError):
                await ask(node, f"{scheme}://db.internal:9/")  # let through; nobody listens there
        assert len(proxy.lines) == 1


async def test_a_redirect_through_the_proxy_is_checked_again() -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(302, "", {"Location": "http://169.254.169.254/"})

    async with serving(handler) as server, proxying() as proxy:
        async with started(HttpSettings(proxy=proxy.url(), resolver=unknown)) as node:
            with pytest.raises(PermanentError, match="refused"):
                await ask(node, f"http://api.example:{server.port}/")
        assert len(proxy.lines) == 1


async def test_a_workflows_own_proxy_is_dialled_like_any_host() -> None:
    async with serving(hello) as server, proxying() as proxy:
        async with started(HttpSettings(resolver=unknown)) as node:
            with pytest.raises(PermanentError, match="loopback"):
                await ask(node, f"http://api.example:{server.port}/", proxy=proxy.url())
        allowing = HttpSettings(allow=HostRules.parse(f"127.0.0.1:{proxy.port}"), resolver=unknown)
        async with started(allowing) as node:
            assert (await ask(node, f"http://api.example:{server.port}/", proxy=proxy.url()))["status"] == 200
        async with started(HttpSettings(proxy="http://proxy.example", resolver=unknown)) as node:
            with pytest.raises(PermanentError, match="operator has set the proxy") as caught:
                await ask(node, "http://api.example/", proxy=proxy.url())
            assert caught.value.pointer == "/proxy"


async def test_a_proxy_that_wants_or_refuses_credentials() -> None:
    async with (
        serving(hello) as server,
        proxying(password="right") as proxy,
        started(HttpSettings(proxy=proxy.url("u:hunter2@"), resolver=unknown)) as node,
    ):
        with pytest.raises(PermanentError, match="407") as caught:
            await ask(node, f"https://api.example:{server.port}/")
        assert caught.value.code == "http-proxy"
        assert "hunter2" not in caught.value.message
        with pytest.raises(PermanentError, match="407"):
            await ask(node, f"http://api.example:{server.port}/")


async def test_a_tunnel_that_fails_carried_nothing_out() -> None:
    async with proxying() as proxy, started(HttpSettings(proxy=proxy.url(), resolver=unknown)) as node:
        with pytest.raises(TransientError):
            await ask(node, "https://api.example:1/", method="POST")  # the proxy finds nobody there and hangs up


async def test_a_proxy_that_is_gone_may_come_back() -> None:
    async with proxying() as proxy:
        pass
    async with started(HttpSettings(proxy=proxy.url(), resolver=unknown)) as node:
        with pytest.raises(TransientError):
            await ask(node, "http://api.example/")


async def test_hosts_that_are_reached_without_it() -> None:
    async with serving(hello) as server, proxying() as proxy:
        settings = HttpSettings(
            proxy=proxy.url(), no_proxy=HostRules.parse("127.0.0.1"), allow=HostRules.parse("127.0.0.1")
        )
        async with started(settings) as node:
            await ask(node, server.url())
        assert proxy.lines == []


async def test_the_environments_proxies_count_only_when_the_operator_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(hello) as server, proxying() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("no_proxy", "skip.example")
        monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "127.0.0.1, skip.example")
        await run_node(HttpRequest, {"url": server.url()})
        assert proxy.lines == []
        monkeypatch.setenv("AICFLOW_HTTP_PROXY", "environment")
        await run_node(HttpRequest, {"url": server.url("/via")})
        assert proxy.lines == [f"GET {server.url('/via')}"]
        assert HttpSettings.from_environment().proxy_for(_url("http://skip.example/")) is None
        assert HttpSettings.from_environment().proxy_for(_url("https://other.example/")) is None


def _url(text: str) -> Any:
    from httpx2 import URL

    return URL(text)


@pytest.mark.parametrize(
    "text", ["socks5://p:1", "proxy", "http://", "http://u:hunter2@p/path", "http://[", "file:///x"]
)
async def test_proxies_that_are_not(text: str) -> None:
    with pytest.raises(AICFlowError, match="AICFLOW_HTTP_PROXY is not the URL") as caught:
        HttpSettings.from_environment({"AICFLOW_HTTP_PROXY": text})
    assert "hunter2" not in caught.value.message
    async with started(HttpSettings()) as node:
        with pytest.raises(PermanentError, match="'proxy' is not the URL") as permanent:
            await ask(node, "http://api.example/", proxy=text)
        assert "hunter2" not in permanent.value.message
