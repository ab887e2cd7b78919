"""TLS with a private authority, client certificates, and servers that are not who they say."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from aicflow import NodeError, PermanentError, TransientError
from aicflow.testing import RecordingContext
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from http_kit import Asked, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def client(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("client@example.org")


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def server_side(authority: trustme.CA, name: str = "localhost", *, ask: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


async def who(asked: Asked, talk: Talk) -> None:
    subject = dict(pair for part in (asked.peer_certificate or {}).get("subjectAltName", ()) for pair in [part])
    await talk.answer(200, {"client": subject.get("email")})


async def test_a_private_authority(send: Send, authority: trustme.CA) -> None:
    async with serving(who, tls=server_side(authority), host="localhost") as server:
        with pytest.raises(PermanentError, match="certificate is not trusted") as caught:
            await send(url=server.url())
        assert caught.value.code == "http-tls"
        assert (await send(url=server.url(), tls={"ca": pem(authority)}))["body"] == {"client": None}
        with pytest.raises(PermanentError, match="not trusted"):
            await send(url=server.url(), tls={"ca": pem(trustme.CA())})
        with pytest.raises(PermanentError, match="not trusted"):  # pools are not mixed up
            await send(url=server.url())


async def test_a_certificate_for_another_name(send: Send, authority: trustme.CA) -> None:
    async with serving(who, tls=server_side(authority, "other.example"), host="localhost") as server:
        with pytest.raises(PermanentError, match=r"not trusted: Hostname mismatch"):
            await send(url=server.url(), tls={"ca": pem(authority)})
        context = RecordingContext()
        assert (await send(context, url=server.url(), tls={"verify": False}))["status"] == 200
        assert context.logs[0].level == "warning"


async def test_a_client_certificate(send: Send, authority: trustme.CA, client: trustme.LeafCert) -> None:
    chain = "".join(blob.bytes().decode() for blob in client.cert_chain_pems)
    key = client.private_key_pem.bytes().decode()
    async with serving(who, tls=server_side(authority, ask=True), host="localhost") as server:
        tls = {"ca": pem(authority), "client_cert": chain, "client_key": key}
        assert (await send(url=server.url(), tls=tls))["body"] == {"client": "client@example.org"}
        tls = {"ca": pem(authority), "client_cert": chain + key}
        assert (await send(url=server.url(), tls=tls))["body"] == {"client": "client@example.org"}
        with pytest.raises(NodeError) as caught:  # the server hangs up, with or without saying why
            await send(url=server.url(), tls={"ca": pem(authority)})
        assert caught.value.code in ("http-tls", "http-cut")


async def test_a_key_with_a_password(send: Send, authority: trustme.CA, client: trustme.LeafCert) -> None:
    chain = "".join(blob.bytes().decode() for blob in client.cert_chain_pems)
    private = load_pem_private_key(client.private_key_pem.bytes(), None)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"opensesame")).decode()
    async with serving(who, tls=server_side(authority, ask=True), host="localhost") as server:
        tls = {"ca": pem(authority), "client_cert": chain, "client_key": locked}
        assert (await send(url=server.url(), tls={**tls, "client_key_password": "opensesame"}))["status"] == 200
        for more in ({}, {"client_key_password": "wrong"}):  # without one, nobody is asked on the terminal
            with pytest.raises(PermanentError, match="password must fit") as caught:
                await send(url=server.url(), tls={**tls, **more})
            assert caught.value.pointer == "/tls/client_cert"
            assert "PRIVATE" not in caught.value.message


async def test_openssl_is_never_left_to_ask_for_a_password(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it asks on the terminal, and the whole process waits."""
    passwords: list[Any] = []

    def spy(self: ssl.SSLContext, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        passwords.append(password)
        raise ssl.SSLError("enough seen")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    with pytest.raises(PermanentError, match="password must fit"):
        await send(url="https://127.0.0.1:1/", tls={"client_cert": "x", "verify": False})
    with pytest.raises(PermanentError, match="password must fit"):
        await send(url="https://127.0.0.1:1/", tls={"client_cert": "x", "client_key_password": ""})
    assert len(passwords) == 2
    assert all(passwords)


async def test_a_client_certificate_is_not_shown_to_a_stranger(
    send: Send, authority: trustme.CA, client: trustme.LeafCert
) -> None:
    context = server_side(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(context)
    async with serving(who, tls=context, host="localhost") as other:

        async def handler(asked: Asked, talk: Talk) -> None:
            await talk.answer(302, "", {"Location": other.url("/")})

        async with serving(handler, tls=server_side(authority, ask=True), host="localhost") as home:
            chain = "".join(blob.bytes().decode() for blob in client.cert_chain_pems)
            tls = {"ca": pem(authority), "client_cert": chain, "client_key": client.private_key_pem.bytes().decode()}
            assert (await send(url=home.url(), tls=tls))["body"] == {"client": None}
            assert (await send(url=other.url(), tls=tls))["body"] == {"client": "client@example.org"}


@pytest.mark.parametrize(
    ("tls", "pointer"),
    [
        ({"ca": "nonsense"}, "/tls/ca"),
        ({"ca": ""}, "/tls/ca"),
        ({"ca": "ü"}, "/tls/ca"),
        ({"client_cert": "nonsense", "client_key": "x"}, "/tls/client_cert"),
        ({"client_key": "hidden-key"}, "/tls/client_key"),
    ],
)
async def test_certificates_that_cannot_be_read(send: Send, tls: dict[str, str], pointer: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await send(url="https://127.0.0.1:1/", tls=tls)
    assert (caught.value.code, caught.value.pointer) == ("http-tls", pointer)
    assert "hidden" not in caught.value.message


async def test_a_server_that_speaks_no_tls(send: Send) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 This is no TLS\r\nContent-Length: 0\r\n\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    with pytest.raises(PermanentError, match="TLS failed: wrong version number") as caught:
        await send(url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert caught.value.code == "http-tls"
    server.close()


async def test_a_server_that_never_shakes_hands_may_be_tried_again(send: Send) -> None:
    async with serving(who) as server:
        with pytest.raises(TransientError, match=r"no connection within 0\.1 s") as caught:
            await send(url=server.url().replace("http:", "https:"), timeouts={"connect": 0.1}, method="POST")
    assert caught.value.code == "http-timeout"


async def test_pools_are_bounded(send: Send) -> None:
    async with serving(who) as server:
        for _ in range(70):
            await send(url=server.url(), tls={"ca": pem(trustme.CA(key_type=trustme.KeyType.ECDSA))})
            await asyncio.sleep(0)
        assert server.connections == 70
        async with asyncio.timeout(5):
            while server.open > 64:  # noqa: ASYNC110 - what the node closed arrives here a little later
                await asyncio.sleep(0.01)
