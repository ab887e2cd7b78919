"""Answers of every kind: JSON, text, bytes, nothing; too long, wrong, compressed, cut off."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aicflow import PermanentError, TransientError
from http_kit import Asked, Handler, Talk, serving

Send = Callable[..., Awaitable[dict[str, Any]]]


def answering(*args: Any, **kwargs: Any) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.answer(*args, **kwargs)

    return handler


def saying(raw: bytes, *, cut: bool = True) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.raw(raw)
        if cut:
            talk.writer.close()

    return handler


@pytest.mark.parametrize(
    ("body", "media", "expected", "kind"),
    [
        (b'{"a": [1, null]}', "application/json", {"a": [1, None]}, "json"),
        (b'{"a": 1}', "application/problem+json; charset=utf-8", {"a": 1}, "json"),
        ('\ufeff{"a": "é"}'.encode(), "application/json", {"a": "é"}, "json"),
        ('{"a": "é"}'.encode("utf-16"), "application/json; charset=utf-16", {"a": "é"}, "json"),
        ('{"a": "é"}'.encode("latin-1"), "application/json; charset=latin-1", {"a": "é"}, "json"),
        (b"12345678901234567890123", "application/json", 12345678901234567890123, "json"),
        ("héllo".encode(), "text/plain", "héllo", "text"),
        ("héllo".encode("latin-1"), "text/html; charset=ISO-8859-1", "héllo", "text"),
        ("héllo".encode("utf-16"), "text/plain", "héllo", "text"),
        (b"a\xffb", "text/plain; charset=utf-8", "Yf9i", "base64"),
        (b"a\xffb", "text/plain", "Yf9i", "base64"),
        (b"1" * 4300, "application/json", int("1" * 4300), "json"),
        (b'["1e400", 1e300, 1e+308]', "application/json", ["1e400", 1e300, 1e308], "json"),
        (b"<a/>", "application/rss+xml", "<a/>", "text"),
        (b"aGVsbG8=", "text/plain; charset=base64", "aGVsbG8=", "text"),
        (b"xn--", "text/plain; charset=idna", "xn--", "text"),
        (b"hello", "text/plain; charset=no-such", "hello", "text"),
        (b"\x89PNG\0", "image/png", base64.b64encode(b"\x89PNG\0").decode(), "base64"),
        (b"%PDF", "application/pdf", base64.b64encode(b"%PDF").decode(), "base64"),
        (b"plain", "", "plain", "text"),
        (b"\xff\xfe\x00\xd8\x00", "", base64.b64encode(b"\xff\xfe\x00\xd8\x00").decode(), "base64"),
        (b"", "application/json", None, "empty"),
        (b"", "text/plain", None, "empty"),
    ],
)
async def test_the_content_type_decides(send: Send, body: bytes, media: str, expected: Any, kind: str) -> None:
    async with serving(answering(200, body, {"Content-Type": media} if media else {})) as server:
        output = await send(url=server.url())
    assert (output["body"], output["body_type"]) == (expected, kind)
    assert output["content_type"] == (media.partition(";")[0] or None)
    assert output["size"] == len(body)


async def test_the_author_decides(send: Send) -> None:
    async with serving(answering(200, b'{"a": 1}', {"Content-Type": "text/plain"})) as server:
        assert (await send(url=server.url(), response={"as": "json"}))["body"] == {"a": 1}
        assert (await send(url=server.url(), response={"as": "text"}))["body"] == '{"a": 1}'
        assert (await send(url=server.url(), response={"as": "bytes"}))["body"] == "eyJhIjogMX0="


async def test_text_that_is_none_is_refused_where_text_is_asked_for(send: Send) -> None:
    async with serving(answering(200, b"Ren\xe9", {"Content-Type": "text/plain"})) as server:
        with pytest.raises(PermanentError, match="is not text") as caught:
            await send(url=server.url(), response={"as": "text"})
        assert (await send(url=server.url(), response={"as": "text", "charset": "latin-1"}))["body"] == "René"
    assert caught.value.code == "http-parse"


@pytest.mark.parametrize(
    "body",
    [
        b"1e400",
        b"-1e999",
        b"[" + b"9" * 400 + b".0]",
        b"1" * 4301,
        b"<html>",
        b'{"a": NaN}',
        b'{"a": 1',
        b'"\xff"',
        b"[" * 100_000,
    ],
)
async def test_json_that_is_not(send: Send, body: bytes) -> None:
    async with serving(answering(200, body, {"Content-Type": "application/json"})) as server:
        with pytest.raises(PermanentError, match="is not JSON") as caught:
            await send(url=server.url())
    assert caught.value.code == "http-parse"


async def test_headers_cookies_and_the_rest_of_the_output(send: Send) -> None:
    headers = [("X-Two", "a"), ("X-Two", "b"), ("Set-Cookie", "s=1; HttpOnly, x"), ("Set-Cookie", "t=2")]
    async with serving(answering(201, "ok", headers)) as server:
        output = await send(url=server.url("/a?b=c#part"))
    assert output["status"] == 201
    assert output["headers"] == {"x-two": "a, b", "content-length": "2"}
    assert output["cookies"] == {"s": "1", "t": "2"}
    assert output["url"] == server.url("/a?b=c")
    assert output["elapsed_ms"] > 0
    assert (output["redirects"], output["pages"], output["truncated"], output["has_more"]) == (0, 1, False, False)


async def test_head_has_no_body(send: Send) -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nContent-Encoding: gzip\r\n\r\n")) as server:
        output = await send(url=server.url(), method="HEAD")
    assert output["body_type"] == "empty"
    assert output["headers"]["content-length"] == "99"


@pytest.mark.parametrize(
    "encoded",
    [
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0)),
        ("gzip", gzip.compress(b"hello" * 600, mtime=0) + gzip.compress(b"hello" * 400)),
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0) + b"\0" * 20),
        ("X-GZip", gzip.compress(b"hello" * 1000, mtime=0)),
        ("deflate", zlib.compress(b"hello" * 1000)),
        ("deflate", zlib.compressobj(wbits=-15).compress(b"") + zlib.compress(b"hello" * 1000)[2:-4]),
        ("deflate, gzip", gzip.compress(zlib.compress(b"hello" * 1000), mtime=0)),
        ("identity", b"hello" * 1000),
    ],
)
@pytest.mark.parametrize("drip", [False, True])
async def test_compressed_answers(send: Send, encoded: tuple[str, bytes], drip: bool) -> None:
    name, data = encoded

    async def handler(asked: Asked, talk: Talk) -> None:
        head = f"Content-Type: text/plain\r\nContent-Encoding: {name}\r\nContent-Length: {len(data)}"
        await talk.raw(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        if drip:
            for byte in data[:4]:
                await talk.raw(bytes([byte]))
                await asyncio.sleep(0.001)
        await talk.raw(data[4:] if drip else data)

    async with serving(handler) as server:
        output = await send(url=server.url())
        assert output["body"] == "hello" * 1000
        assert server.asked[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("gzip", b"not gzip at all", "http-encoding"),
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0)[:20] + b"garbage" * 20, "http-encoding"),
        ("br", b"\x0b\x02\x80hello\x03", "http-encoding"),
        ("gzip, gzip, gzip, gzip", b"", "http-encoding"),
        ("gzip", gzip.compress(b"hello" * 1000, mtime=0)[:-9], "http-cut"),
        ("deflate", zlib.compress(b"hello" * 1000)[:-5], "http-cut"),
    ],
)
async def test_compressed_answers_that_are_damaged(send: Send, name: str, data: bytes, code: str) -> None:
    async with serving(answering(200, data, {"Content-Encoding": name})) as server:
        with pytest.raises((PermanentError, TransientError)) as caught:
            await send(url=server.url())
    assert caught.value.code == code


def flooding(sent: asyncio.Queue[int]) -> Handler:
    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        count = 0
        try:
            while count < 200_000_000:
                await talk.raw(b"x" * 65_536)
                count += 65_536
        finally:
            sent.put_nowait(count)

    return handler


async def test_a_flood_is_cut_at_the_cap(send: Send) -> None:
    sent: asyncio.Queue[int] = asyncio.Queue()
    async with serving(flooding(sent)) as server:
        with pytest.raises(PermanentError, match="larger than 100000 bytes") as caught:
            await send(url=server.url(), response={"max_bytes": 100_000})
        assert caught.value.pointer == "/response/max_bytes"
        output = await send(url=server.url(), response={"max_bytes": 1000, "on_too_large": "truncate"})
        counts = [await sent.get(), await sent.get()]
    assert output["body"] == "x" * 1000
    assert output["truncated"]
    assert max(counts) < 50_000_000  # what the sockets' buffers took, not all of it


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_decompression_bomb_is_cut_at_the_cap(send: Send, layers: int) -> None:
    bomb = gzip.compress(b"\0" * 100_000_000, 1)
    for _ in range(layers - 1):
        bomb = gzip.compress(bomb, mtime=0)
    encoding = ", ".join(["gzip"] * layers)
    async with serving(answering(200, bomb, {"Content-Encoding": encoding})) as server:
        with pytest.raises(PermanentError, match="larger than 1000000 bytes"):
            await send(url=server.url(), response={"max_bytes": 1_000_000})


async def test_compressed_bytes_that_never_become_anything_are_cut_too(send: Send) -> None:
    empty_block = b"\x00\x00\x00\xff\xff"  # a stored block of no bytes

    async def handler(asked: Asked, talk: Talk) -> None:
        await talk.raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"")[:2])
        while True:
            await talk.raw(empty_block * 10_000)

    async with serving(handler) as server:
        with pytest.raises(PermanentError, match="larger than"):
            await send(url=server.url(), response={"max_bytes": 1_000_000})


async def test_truncated_json_is_text_unless_json_was_asked_for(send: Send) -> None:
    options = {"max_bytes": 10, "on_too_large": "truncate"}
    async with serving(answering(200, list(range(100)))) as server:
        assert (await send(url=server.url(), response=options))["body"] == "[0, 1, 2, "
        with pytest.raises(PermanentError, match=r"cut at response\.max_bytes"):
            await send(url=server.url(), response={**options, "as": "json"})


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-",
        b"",
    ],
)
async def test_answers_that_are_not_http_or_are_cut_may_be_tried_again(send: Send, raw: bytes) -> None:
    async with serving(saying(raw)) as server:
        with pytest.raises(TransientError) as caught:
            await send(url=server.url("/x?key=hidden"))
        assert caught.value.code == "http-cut"
        assert "hidden" not in caught.value.message
        with pytest.raises(PermanentError, match="POST") as permanent:
            await send(url=server.url(), method="POST")
        assert "may have been carried out" in (permanent.value.hint or "")


async def test_endless_interim_answers_end_at_the_total_timeout(send: Send) -> None:
    async def handler(asked: Asked, talk: Talk) -> None:
        while True:
            await talk.raw(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.001)

    async with serving(handler) as server:
        with pytest.raises(TransientError) as caught:
            await send(url=server.url(), timeouts={"total": 0.2})
    assert caught.value.code == "http-timeout"


async def test_a_body_after_the_length_is_not_taken_for_the_next_answer(send: Send) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with serving(saying(raw, cut=False)) as server:
        for _ in range(3):
            assert (await send(url=server.url()))["body"] == "ok"
