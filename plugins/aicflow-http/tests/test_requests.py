"""What is sent: methods, query, headers, cookies, bodies and the simple kinds of authentication."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aicflow import PermanentError
from aicflow.testing import RecordingContext
from http_kit import Asked, Talk, serving
from standardwebhooks.webhooks import Webhook

Send = Callable[..., Awaitable[dict[str, Any]]]


async def fine(asked: Asked, talk: Talk) -> None:
    await talk.answer(204)


async def sent(send: Send, context: RecordingContext | None = None, **params: Any) -> Asked:
    async with serving(fine) as server:
        path = params.pop("path", "/")
        await send(context, url=server.url(path), **params)
        return server.asked[0]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "propfind"])
async def test_any_method(send: Send, method: str) -> None:
    asked = await sent(send, method=method)
    assert asked.method == method.upper()
    assert asked.body == b""


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET /", "", "G\r\nT", "ÄH"])
async def test_methods_that_are_not(send: Send, method: str) -> None:
    with pytest.raises(PermanentError, match="params/method"):
        await send(url="http://127.0.0.1/", method=method)


async def test_query_values_are_encoded_and_added(send: Send) -> None:
    query = {"q": "a b&c=d", "n": [1, 2.5, True], "none": None, "é": "ü", "empty": ""}
    asked = await sent(send, path="/p%20x?a=1%2F2&b", query=query)
    assert asked.target == "/p%20x?a=1%2F2&b&q=a%20b%26c%3Dd&n=1&n=2.5&n=true&%C3%A9=%C3%BC&empty="


async def test_headers_as_written_and_ours_replaced(send: Send) -> None:
    asked = await sent(send, headers={"X-Two": ["1", "2"], "User-Agent": "me", "accept": "text/csv", "X-Utf": "é"})
    assert asked.names.count("x-two") == 2
    assert (asked.headers["user-agent"], asked.headers["accept"]) == ("me", "text/csv")
    assert asked.headers["x-utf"].encode("latin-1").decode() == "é"
    assert asked.names.count("accept") == asked.names.count("user-agent") == 1


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "a\rb", "\x7f"])
async def test_line_breaks_never_get_into_a_header(send: Send, value: str) -> None:
    for params in (
        {"headers": {"X-Note": value}},
        {"cookies": {"c": value}},
        {"auth": {"type": "bearer", "token": f"t{value}"}},
        {"auth": {"type": "api_key", "value": f"t{value}"}},
        {"body": {"type": "multipart", "parts": [{"name": "a", "text": "b", "filename": "f", "content_type": value}]}},
    ):
        with pytest.raises(PermanentError) as caught:
            await sent(send, **params)
        assert caught.value.code == "http-header"
        assert "Evil" not in caught.value.message


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "transfer-encoding", "Connection", "Proxy-Authorization", "Upgrade", "a b", "", "a:"],
)
async def test_headers_that_the_connection_owns(send: Send, name: str) -> None:
    with pytest.raises(PermanentError, match="params/headers"):
        await send(url="http://127.0.0.1/", headers={name: "x"})


async def test_cookies(send: Send) -> None:
    asked = await sent(send, cookies={"a": "1", "b": "x=y"}, headers={"Cookie": "z=0"})
    assert asked.headers["cookie"] == "z=0; a=1; b=x=y"


async def test_a_json_body(send: Send) -> None:
    value = {"é": [1, 2.5, None, True, "\ud800"], "big": 2**70}
    asked = await sent(send, method="POST", body={"type": "json", "value": value})
    assert json.loads(asked.body) == value
    assert asked.headers["content-type"] == "application/json"
    asked = await sent(
        send,
        method="PATCH",
        body={"type": "json", "value": None},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert (asked.body, asked.headers["content-type"]) == (b"null", "application/merge-patch+json")


async def test_a_form_body(send: Send) -> None:
    fields = {"a": "x y&z", "b": [1, True], "c": None, "é": "ü"}
    asked = await sent(send, method="POST", body={"type": "form", "fields": fields})
    assert asked.body == b"a=x+y%26z&b=1&b=true&%C3%A9=%C3%BC"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_multipart_body(send: Send) -> None:
    parts = [
        {"name": "note", "text": "hé\r\nllo"},
        {"name": 'fi"le\r\n', "filename": 'a"b\r\n.png', "base64": base64.b64encode(b"\x89PNG\r\n\0").decode()},
        {"name": "csv", "filename": "x.csv", "text": "a;b", "content_type": "text/csv; charset=utf-8"},
    ]
    asked = await sent(send, method="POST", body={"type": "multipart", "parts": parts})
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + asked.body, policy=email.policy.HTTP)
    note, file, csv = message.iter_parts()
    assert note.get_payload(decode=True) == "hé\r\nllo".encode()
    assert note.get_filename() is None
    assert file.get_payload(decode=True) == b"\x89PNG\r\n\0"
    assert file.get_content_type() == "image/png"
    assert "\r" not in str(file["content-disposition"])
    assert (csv.get_content_type(), csv.get_filename()) == ("text/csv", "x.csv")


async def test_a_raw_body(send: Send) -> None:
    asked = await sent(send, method="POST", body={"type": "raw", "text": "<é/>", "content_type": "text/xml"})
    assert (asked.body, asked.headers["content-type"]) == ("<é/>".encode(), "text/xml")
    asked = await sent(send, method="PUT", body={"type": "raw", "base64": "AP8=\n"})
    assert (asked.body, asked.headers["content-type"]) == (b"\0\xff", "application/octet-stream")
    with pytest.raises(PermanentError, match="not base64") as caught:
        await sent(send, method="PUT", body={"type": "raw", "base64": "!"})
    assert caught.value.pointer == "/body/base64"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "xml"},
        {"value": 1},
        {"type": "raw"},
        {"type": "raw", "text": "a", "base64": "YQ=="},
        {"type": "multipart", "parts": []},
        {"type": "multipart", "parts": [{"name": "a"}]},
        {"type": "form", "fields": {"a": {"b": 1}}},
    ],
)
async def test_bodies_that_cannot_be(send: Send, body: Any) -> None:
    with pytest.raises(PermanentError, match="params/body"):
        await send(url="http://127.0.0.1/", method="POST", body=body)


async def test_simple_authentication(send: Send) -> None:
    asked = await sent(send, auth={"type": "basic", "username": "mé", "password": "p:w"})
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode() == "mé:p:w"
    asked = await sent(send, auth={"type": "bearer", "token": "tok"}, headers={"authorization": "other"})
    assert asked.headers["authorization"] == "Bearer tok"
    assert asked.names.count("authorization") == 1
    asked = await sent(send, auth={"type": "bearer", "token": "tok", "scheme": "Token"})
    assert asked.headers["authorization"] == "Token tok"
    asked = await sent(send, auth={"type": "api_key", "value": "k1"})
    assert asked.headers["x-api-key"] == "k1"
    asked = await sent(
        send, path="/?key=old&a=1", auth={"type": "api_key", "name": "key", "value": "k 2", "location": "query"}
    )
    assert asked.target == "/?a=1&key=k%202"
    asked = await sent(send, auth={"type": "none"})
    assert "authorization" not in asked.headers


async def test_an_api_key_in_the_query_is_not_shown(send: Send) -> None:
    async with serving(fine) as server:
        auth = {"type": "api_key", "name": "key", "value": "top secret", "location": "query"}
        output = await send(url=server.url("/?a=1"), auth=auth)
    assert output["url"] == server.url("/?a=1")


async def test_a_signature_over_time_and_body(send: Send) -> None:
    auth = {"type": "hmac", "secret": "s3cret", "prefix": "sha256="}
    asked = await sent(send, method="POST", auth=auth, body={"type": "json", "value": {"a": 1}})
    signed = asked.headers["x-timestamp"].encode() + b"." + asked.body
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert asked.headers["x-signature"] == f"sha256={expected}"


async def test_a_signature_over_everything(send: Send) -> None:
    auth = {
        "type": "hmac",
        "secret": b"key".hex(),
        "secret_encoding": "hex",
        "algorithm": "sha512",
        "encoding": "base64",
        "parts": ["method", "host", "path", "query", "path_and_query", "body_sha256", "key_id"],
        "separator": "\n",
        "signed_prefix": "v0:",
        "header": "Sign",
        "key_id": "k1",
        "key_id_header": "Key",
    }
    asked = await sent(send, path="/a%20b?c=1", auth=auth)
    empty = hashlib.sha256(b"").hexdigest()
    signed = f"v0:GET\n{asked.headers['host']}\n/a%20b\nc=1\n/a%20b?c=1\n{empty}\nk1".encode()
    assert asked.headers["sign"] == base64.b64encode(hmac.new(b"key", signed, "sha512").digest()).decode()
    assert asked.headers["key"] == "k1"
    assert "x-timestamp" not in asked.headers


async def test_the_official_standard_webhooks_library_accepts_our_signature(send: Send) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    auth = {
        "type": "hmac",
        "secret": secret,
        "secret_encoding": "base64",
        "encoding": "base64",
        "parts": ["id", "timestamp", "body"],
        "header": "webhook-signature",
        "prefix": "v1,",
        "timestamp_header": "webhook-timestamp",
        "id_header": "webhook-id",
    }
    context = RecordingContext(idempotency_key="ex_1:notify")
    asked = await sent(send, context, method="POST", auth=auth, body={"type": "json", "value": {"type": "a.b"}})
    assert Webhook(secret).verify(asked.body, asked.headers) == {"type": "a.b"}
    assert asked.headers["webhook-id"] == "ex_1:notify"


@pytest.mark.parametrize(
    ("auth", "pointer"),
    [
        ({"type": "hmac", "secret": "!", "secret_encoding": "base64"}, "/auth/secret"),
        ({"type": "hmac", "secret": "xyz", "secret_encoding": "hex"}, "/auth/secret"),
        ({"type": "basic", "username": "a:b", "password": "hidden"}, "/auth/username"),
        ({"type": "api_key", "name": "Host", "value": "hidden"}, "/auth"),
        ({"type": "api_key", "name": "a b", "value": "hidden"}, "/auth"),
        ({"type": "hmac", "secret": "hidden", "header": "Content-Length"}, "/auth/header"),
    ],
)
async def test_credentials_that_cannot_be_used(send: Send, auth: Any, pointer: str) -> None:
    with pytest.raises(PermanentError) as caught:
        await sent(send, auth=auth)
    assert caught.value.pointer == pointer
    assert "hidden" not in caught.value.message


async def test_the_idempotency_key_is_the_steps(send: Send) -> None:
    context = RecordingContext(idempotency_key="ex_9:pay")
    asked = await sent(send, context, method="POST", idempotency_header="Idempotency-Key")
    assert asked.headers["idempotency-key"] == "ex_9:pay"


async def test_credentials_in_the_url_are_refused_and_not_repeated(send: Send) -> None:
    with pytest.raises(PermanentError, match="user name") as caught:
        await send(url="http://me:hunter2@127.0.0.1/")
    assert "hunter2" not in caught.value.message


async def test_one_connection_serves_many_requests_and_cookies_do_not_leak_between_steps(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(200, "x", {"Set-Cookie": "session=1; Path=/"})

    async with serving(handler) as server:
        for _ in range(5):
            await send(url=server.url())
        assert server.connections == 1
        assert all("cookie" not in asked.headers for asked in server.asked)
