"""Requests that are turned inward: every disguise of an inner address, names that change their mind, allow-lists."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from aicflow import AICFlowError, NodeError, PermanentError, TransientError
from aicflow.net import Guard, HostRules, HttpSettings, refusal
from aicflow.testing import run_node
from aicflow_http import HttpRequest
from http_kit import Asked, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]

INNER = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "2606:4700:4700::1111%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INNER)
async def test_inner_addresses_are_refused_however_they_are_reached(address: str) -> None:
    assert refusal(ip_address(address)) is not None

    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", address]

    guard = Guard(HostRules(), resolver)
    with pytest.raises(PermanentError, match="refused") as caught:
        await guard.addresses("looks-harmless.example", 443)  # one bad address among good ones
    assert caught.value.code == "http-refused"
    assert "AICFLOW_HTTP_ALLOW_HOSTS=looks-harmless.example:443" in (caught.value.hint or "")
    with pytest.raises(PermanentError, match="refused"):
        await guard.addresses(f"[{address}]" if ":" in address else address, 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    assert refusal(ip_address(address)) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0X7F.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "0",
        "00",
        "1.1.1.256",
        "1.2.3.4.5",
        "example.0x7f",
        "127。0。0。1",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[fe80::1%25lo]",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
        "127.0.0.1\\@example.com",
        "127.0.0.1#@example.com",
        "127.0.0.1?@example.com",
        "",
        ".",
        "..",
        "[",
        "[::1",
        "a b",
        "a\nb",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_reaches_loopback(host: str, scheme: str) -> None:
    """Nothing listens to us: whatever the host is read as, no connection to this machine may be opened."""
    opened: list[Any] = []

    async def handler(asked: Asked, talk: Talk) -> None:
        opened.append(asked)
        await talk.answer()

    async with serving(handler) as server:

        async def resolver(name: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]  # every name that is looked up would lead here

        node = HttpRequest(HttpSettings(resolver=resolver))
        url = f"{scheme}://{host}:{server.port}/"
        with pytest.raises(PermanentError) as caught:
            await run_node(HttpRequest, {"url": url, "timeouts": {"total": 3}}, instance=node)
        assert caught.value.code in ("http-refused", "http-url")
        await node.stop()
        assert server.connections == 0


@pytest.mark.parametrize(
    "host",
    ["127.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "127.0.0.01", "1.1.1.256", "a.0x7f", "8.8.8.08"],
)
async def test_a_number_in_disguise_is_refused_though_it_resolves_to_a_public_address(host: str) -> None:
    """A proxy, or the next resolver, may read it otherwise than this machine does."""

    async def resolver(name: str, port: int) -> Sequence[str]:
        return ["8.8.8.8"]

    with pytest.raises(PermanentError, match="not a plain IP address"):
        await Guard(HostRules.parse("10.0.0.0/8"), resolver).addresses(host, 80)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
        "//example.com/",
        "/path",
        "example.com",
        "http:///path",
        "http://",
        "http:127.0.0.1",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://\x00/",
        "http://" + "a" * 70_000 + "/",
    ],
)
async def test_only_whole_http_urls(send: Send, url: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await send(url=url)
    assert caught.value.code == "http-url"
    assert caught.value.pointer == "/url"


async def test_a_name_that_changes_its_mind_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is public, the second is this machine. Only the first is ever dialled."""
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["203.0.114.1"] if len(asked) == 1 else ["127.0.0.1"]

    dialled: list[str] = []

    async def create_connection(protocol: object, host: str, port: int) -> None:
        dialled.append(host)
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create_connection)
    node = HttpRequest(HttpSettings(resolver=resolver))
    with pytest.raises(TransientError):
        await run_node(HttpRequest, {"url": "http://rebind.example/"}, instance=node)
    assert (asked, dialled) == (["rebind.example"], ["203.0.114.1"])
    with pytest.raises(PermanentError, match=r"rebind\.example:80 is at 127\.0\.0\.1, which is a loopback address"):
        await run_node(HttpRequest, {"url": "http://rebind.example/"}, instance=node)
    assert dialled == ["203.0.114.1"]
    await node.stop()


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "x"), UnicodeError("label too long")])
async def test_a_name_that_cannot_be_resolved_may_be_tried_again(error: Exception) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise error

    with pytest.raises(TransientError, match=r"the name nowhere\.example cannot be resolved") as caught:
        await run_node(
            HttpRequest, {"url": "http://nowhere.example/"}, instance=HttpRequest(HttpSettings(resolver=resolver))
        )
    assert caught.value.code == "http-connect"


@pytest.mark.parametrize(
    ("rules", "host", "port", "address", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", 80, "127.0.0.1", True),
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1", True),
        ("127.0.0.1:8080", "127.0.0.1", 80, "127.0.0.1", False),
        ("10.0.0.0/8", "db.example", 80, "10.1.2.3", True),
        ("10.0.0.0/8", "db.example", 80, "11.1.2.3", True),
        ("10.0.0.0/8", "db.example", 80, "192.168.0.1", False),
        ("10.0.0.0/8", "db.example", 80, "::ffff:10.0.0.1", True),
        ("fd00::/8", "db.example", 80, "fd00::1", True),
        ("[::1]:8080", "localhost", 8080, "::1", True),
        ("[::1]:8080", "localhost", 80, "::1", False),
        ("::1", "localhost", 80, "::1", True),
        ("db.internal", "db.internal", 80, "10.0.0.1", True),
        ("db.internal", "DB.internal.", 80, "10.0.0.1", True),
        ("db.internal", "x.db.internal", 80, "10.0.0.1", False),
        ("db.internal", "db.internal.evil.example", 80, "10.0.0.1", False),
        ("*.internal", "db.internal", 80, "10.0.0.1", True),
        ("*.internal", "internal", 80, "10.0.0.1", False),
        ("*.internal", "evilinternal", 80, "10.0.0.1", False),
        ("*.internal:443", "db.internal", 80, "10.0.0.1", False),
        ("bücher.example", "xn--bcher-kva.example", 80, "10.0.0.1", True),
        ("a.example , DB.internal", "db.internal", 80, "10.0.0.1", True),
        ("64:ff9b::/96", "x.example", 80, "64:ff9b::8.8.8.8", True),
        ("64:ff9b::/96", "x.example", 80, "64:ff9b::10.0.0.1", False),
        ("64:ff9b::/96, 10.0.0.0/8", "x.example", 80, "64:ff9b::10.0.0.1", True),
        ("*", "x.example", 80, "169.254.169.254", True),
        ("", "x.example", 80, "127.0.0.1", False),
    ],
)
async def test_what_an_operator_allows(rules: str, host: str, port: int, address: str, allowed: bool) -> None:
    async def resolver(name: str, port: int) -> Sequence[str]:
        return [address]

    guard = Guard(HostRules.parse(rules), resolver)
    if allowed:
        assert await guard.addresses(host, port)
    else:
        with pytest.raises(PermanentError):
            await guard.addresses(host, port)


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/33",
        "a b",
        "host:99999",
        "host:x",
        "[::1]x",
        "*.",
        "*",
        "a..b",
        "*a.example",
        "http://x",
        "@",
        "0x7f.1/",
    ],
)
def test_lists_that_cannot_be_read_say_which_entry(entry: str) -> None:
    if entry == "*":
        assert HostRules.parse("*").everything
        return
    with pytest.raises(AICFlowError, match="AICFLOW_HTTP_ALLOW_HOSTS: The host list entry") as caught:
        HttpSettings.from_environment({"AICFLOW_HTTP_ALLOW_HOSTS": f"ok.example, {entry}"})
    assert entry in caught.value.message


async def test_settings_are_read_when_the_node_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, "inside")

    async with serving(handler) as server:
        with pytest.raises(PermanentError, match="loopback"):
            await run_node(HttpRequest, {"url": server.url()})
        monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", f"127.0.0.1:{server.port}")
        assert (await run_node(HttpRequest, {"url": server.url()}))["body"] == "inside"
    monkeypatch.setenv("AICFLOW_HTTP_ALLOW_HOSTS", "10.0.0.0/99")
    with pytest.raises(AICFlowError, match="ALLOW_HOSTS"):
        await HttpRequest().start()


async def test_the_host_header_stays_the_name_and_the_first_address_that_answers_is_used() -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, asked.headers["host"])

    async def resolver(name: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]  # nobody listens at the first

    async with serving(handler) as server:
        node = HttpRequest(HttpSettings(allow=HostRules.parse("*.test"), resolver=resolver))
        output = await run_node(HttpRequest, {"url": f"http://api.test.:{server.port}/"}, instance=node)
        assert output["body"] == f"api.test:{server.port}"
        await node.stop()


async def test_an_address_that_never_answers_costs_a_head_start_only() -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, "ok")

    silent = socket.socket()
    silent.bind(("127.0.0.3", 0))
    port = silent.getsockname()[1]
    silent.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.3", port))  # its queue is full: further connections hang
    server = await asyncio.start_server(lambda r, w: _ok(r, w), "127.0.0.1", port)

    async def resolver(name: str, port: int) -> Sequence[str]:
        return ["127.0.0.3", "127.0.0.1"]

    node = HttpRequest(HttpSettings(allow=HostRules.parse("*.test"), resolver=resolver))
    try:
        output = await run_node(
            HttpRequest, {"url": f"http://api.test:{port}/", "timeouts": {"connect": 30}}, instance=node
        )
        assert output["body"] == "ok"
    finally:
        await node.stop()
        server.close()
        for one in (silent, *fillers):
            one.close()


async def _ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    await writer.drain()
    writer.close()


async def test_a_refused_connection_may_be_tried_again(send: Send) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for method in ("GET", "POST"):  # nothing was sent, so POST too
        with pytest.raises(TransientError, match="refused") as caught:
            await send(url=f"http://127.0.0.1:{port}/", method=method)
        assert caught.value.code == "http-connect"


async def test_errors_are_node_errors_with_words(send: Send) -> None:
    with pytest.raises(NodeError) as caught:
        await send(url="http://169.254.169.254/latest/meta-data/?token=hidden")
    assert "metadata" in caught.value.message
    assert "hidden" not in caught.value.message
