"""Thousands of answers that no honest server gives: each is read, or is an error with a code; nothing else escapes."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pytest
from aicflow import NodeError
from aicflow.testing import RecordingContext
from aicflow_http import HttpRequest, HttpRequestParams
from http_kit import Asked, Talk, serving

FIRST = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 302 F\r\nLocation: /x",
    b"HTTP/1.1 302 F\r\nLocation: \xff\xfe//[",
    b"HTTP/1.1 302 F\r\nLocation: gopher://x",
    b"HTTP/1.1 503 X\r\nRetry-After: 99999999999999999999999",
    b"HTTP/1.0 200",
    b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK",
]
HEADERS = [
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate, ,identity",
    b'Content-Type: application/json; charset="x',
    b"Content-Type: application/json",
    b"Content-Type: text/plain; charset*=utf-8''%ff; charset=utf-16",
    b"Content-Type: text/plain; charset=\x80",
    b"Content-Type: ;;;=",
    b"Set-Cookie: a=b; expires=Wed, 99 Foo 99999 99:99:99; Max-Age=xx; Domain=.; Path",
    b"Set-Cookie: =;",
    b'Set-Cookie: \xff"',
    b'Link: <;>,;<>;rel="next"',
    b"Link: <http://[>; rel=next",
    b"Link: </x>; rel=next",
    b"Date: \x80",
    b"Connection: close",
    b"Trailer: x",
    b"X: \xe9",
]
BODIES = [
    b"",
    b"[1]",
    b'{"a":"\\ud800"}',
    b"\xff\xfe\x00",
    gzip.compress(b"[1,2]"),
    gzip.compress(b"x")[:-3],
    b"0\r\n\r\n",
]
PARAMS: list[dict[str, Any]] = [
    {},
    {"pagination": {"type": "link", "max_pages": 3}},
    {"raise_for_status": False, "response": {"as": "text"}},
    {"method": "POST", "body": {"type": "raw", "text": "x"}},
    {"response": {"as": "bytes", "max_bytes": 3, "on_too_large": "truncate"}},
]


def an_answer(chance: random.Random) -> bytes:
    body = chance.choice(BODIES)
    framing = chance.choice(
        [b"Content-Length: %d" % len(body), b"Content-Length: 99", b"Transfer-Encoding: chunked", b"X: y"]
    )
    if framing.startswith(b"Transfer") and chance.random() < 0.8:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    headers = [chance.choice(HEADERS) for _ in range(chance.randrange(5))]
    data = bytearray(b"\r\n".join([chance.choice(FIRST), framing, *headers, b"", body]))
    for _ in range(chance.randrange(3) if chance.random() < 0.3 else 0):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_but_answers_and_node_errors(node: HttpRequest, seed: int) -> None:
    chance = random.Random(seed)
    answers: list[bytes] = []

    async def handler(asked: Asked, talk: Talk) -> None:
        answers.append(an_answer(chance))
        await talk.raw(answers[-1])
        talk.writer.close()

    read = 0
    codes: set[str] = set()
    async with serving(handler) as server:
        for _ in range(400):
            params = HttpRequestParams.model_validate({"url": server.url(), **chance.choice(PARAMS)})
            try:
                output = await node.run(RecordingContext(), params)
            except NodeError as error:
                codes.add(error.code)
            except Exception as error:
                raise AssertionError(f"{error!r} for {answers[-3:]!r}") from error
            else:
                output.model_dump_json()
                read += 1
    assert read > 50
    assert {"http-cut", "http-parse", "http-encoding", "http-redirect"} <= codes
