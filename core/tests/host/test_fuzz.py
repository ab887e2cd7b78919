"""Bytes that nobody sends on purpose, to a real server: headers, bodies and WebSocket frames. Every answer is one of
ours and none a 500, no connection hangs, and others are served all the while."""

from __future__ import annotations

import base64
import json
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from aicflow.host.connections import ConnectionLimits

from .conftest import ECHO, Host, run_host

CASES = int(os.environ.get("AICFLOW_FUZZ_EXAMPLES", "150"))
LIMITS = ConnectionLimits(receive=1.0, idle=1.0, stalled=2.0)
BYTES = [bytes([n]) for n in range(256)]
NAMES = [
    b"Authorization", b"X-API-Key", b"Content-Type", b"Content-Length", b"Transfer-Encoding", b"Content-Encoding",
    b"If-Match", b"If-None-Match", b"Range", b"If-Range", b"Idempotency-Key", b"Prefer", b"X-Request-Id", b"Expect",
    b"Origin", b"X-Forwarded-For", b"X-Forwarded-Proto", b"Last-Event-ID", b"traceparent", b"Accept", b"Cookie",
    b"Connection", b"Upgrade", b"Sec-WebSocket-Key", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Version", b"Host",
]  # fmt: skip
VALUES = [
    b"", b"*", b'"', b'W/"', b"bytes=0-", b"bytes=-9999999999999999999", b"wait=99999999", b"chunked", b"gzip, br",
    b"-1",
    b"18446744073709551616", b"0x10", b"application/json; charset=utf-7", b"application/json; charset=\xff",
    b"text/yaml",
    b"multipart/form-data; boundary=", b"Bearer ", b"Bearer aicf_", b"Bearer eyJhbGciOiJub25lIn0.e30.", b"Basic Og==",
    b"websocket", b"upgrade", b"100-continue", b"null", b"http://[::1", b"1.2.3.4, ::ffff:1.2.3.4, x", b"00-0-0-0",
    b"13",
    b"aicflow.v1, aicflow.key.x", b"\x00", b"a\rb", b"\xe2\x80\xae", b"x" * 9000, b"/" * 300, b"%00%ff", b"../../..",
]  # fmt: skip
PATHS = [
    b"/api/v1/executions", b"/api/v1/workflows", b"/api/v1/workflows/echo", b"/api/v1/workflows/echo/state/a",
    b"/api/v1/events", b"/api/v1/api-keys", b"/api/v1/executions/stream", b"/api/v1/executions/x/stream", b"/readyz",
    b"/hooks/none", b"/docs", b"/metrics", b"/api/v1/triggers/a:b/fire", b"/api/v1/node-types/test.echo", b"/%2e%2e/",
    b"/api/v1/executions?wait=1e9", b"/api/v1/executions?limit=-1&cursor=%00", b"//", b"*", b"http://x/livez",
]  # fmt: skip
METHODS = [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"g\xc3t"]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with little patience."""
    with run_host(tmp_path_factory.mktemp("data"), store="memory://", limits=LIMITS) as running:
        running.save(ECHO, id="echo")
        yield running


def value(chance: random.Random) -> bytes:
    if chance.random() < 0.7:
        return chance.choice(VALUES)
    return b"".join(chance.choices(BYTES, k=chance.randrange(40)))


def json_text(chance: random.Random, depth: int = 0) -> bytes:
    """JSON, mostly."""
    kind = chance.random()
    if depth < 5 and kind < 0.4:
        names = [b'"workflow_id"', b'"input"', b'"nodes"', b'"aicflow"', b'"\\u0000"', b'"a"', b'""', b"a"]
        parts = (chance.choice(names) + b":" + json_text(chance, depth + 1) for _ in range(chance.randrange(4)))
        return b"{" + b",".join(parts) + b"}"
    if depth < 5 and kind < 0.5:
        return b"[" + b",".join(json_text(chance, depth + 1) for _ in range(chance.randrange(4))) + b"]"
    odd = [
        b"1e999",
        b"-0",
        b'"\\ud800"',
        b"NaN",
        b"tru",
        b'"\xff"',
        b"9" * 5000,
        b'"${{ input }}"',
        b"[" * 300,
        b"{",
        b"",
    ]
    return chance.choice(
        [*odd, b"1", b'"echo"', b"null", b"\xef\xbb\xbf{}", b"\x00", b"- a: &b [*b]", b'"%b"' % (b"x" * 99_999)]
    )


def request(chance: random.Random, key: str) -> bytes:
    method, path = chance.choice(METHODS[:5] * 4 + METHODS), chance.choice(PATHS[:14] * 3 + PATHS)
    body = json_text(chance) if chance.random() < 0.5 else b'{"workflow_id": "echo", "nodes": 1}'
    headers = [(b"Connection", b"close")] if chance.random() < 0.95 else []
    headers += [(b"Host", b"x")] if chance.random() < 0.9 else []
    if chance.random() < 0.8:
        headers.append((b"Authorization", b"Bearer " + key.encode()))
    if chance.random() < 0.7:
        headers.append((b"Content-Type", chance.choice([b"application/json", b"application/yaml", b"text/plain"])))
    if chance.random() < 0.8:
        wrong = chance.choice([0] * 20 + [1, -1])
        headers.append((b"Content-Length", str(max(0, len(body) + wrong)).encode()))
    elif chance.random() < 0.5:
        headers.append((b"Transfer-Encoding", b"chunked"))
        body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, chance.choice([b"", b"X: y\r\n", b"\xff"]))
    for _ in range(chance.choice([0, 0, 0, 1, 3])):
        headers.append((chance.choice(NAMES), value(chance)))
    if chance.random() < 0.03:
        headers.append((value(chance), value(chance)))
    lines = b"".join(name + b": " + what + b"\r\n" for name, what in headers)
    whole = method + b" " + path + b" HTTP/1." + chance.choice([*[b"1"] * 20, b"0", b"9"]) + b"\r\n" + lines
    whole += b"\r\n" + body
    if chance.random() < 0.05:
        at = chance.randrange(len(whole))
        whole = whole[:at] + chance.choice(BYTES) + whole[at + 1 :]
    return whole[: chance.randrange(len(whole))] if chance.random() < 0.05 else whole


def answers(host: Host, sent: bytes) -> bytes:
    """All that comes back until the server closes, which it does."""
    name, port = host.url.removeprefix("http://").split(":")
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        with suppress(ConnectionError):
            connection.sendall(sent)
        out, goes_on = b"", False
        try:
            while part := connection.recv(65_536):
                out += part
                if b"text/event-stream" in out or b"HTTP/1.1 101" in out:
                    goes_on = True  # for as long as somebody listens
                    connection.settimeout(0.3)
        except ConnectionError:
            pass
        except TimeoutError:
            assert goes_on, (sent[:300], "has no answer and no end")
        return out


def all_answers(host: Host, sent: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Many at once: each that is half sent takes its time."""
    with ThreadPoolExecutor(32) as pool:
        return list(zip(sent, pool.map(partial(answers, host), sent), strict=True))


def is_one_of_ours(sent: bytes, answer: bytes) -> None:
    if not answer:
        return  # cut off: it was no request
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    status = int(first.split()[1])
    assert status < 500 or status == 501, (sent[:300], answer[:300])
    headers = {name.lower(): what for name, _, what in (line.partition(b": ") for line in lines)}
    if status >= 400:
        assert headers[b"content-type"] == b"application/problem+json", (sent[:300], answer[:300])
        if length := int(headers.get(b"content-length", 0)):
            told = body[:length]
            if told:  # nothing for HEAD
                assert json.loads(told)["request_id"].encode() == headers[b"x-request-id"]


@pytest.mark.parametrize("seed", range(2))
def test_headers_and_bodies(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    statuses: Counter[bytes] = Counter()
    for sent, answer in all_answers(host, [request(chance, host.key) for _ in range(CASES)]):
        is_one_of_ours(sent, answer)
        statuses[answer[9:12]] += 1
    assert {b"200", b"400", b"401", b"404", b"405", b"422"} <= statuses.keys(), statuses
    assert host.client.get("/workflows").status_code == 200


def frame(chance: random.Random) -> bytes:
    """A WebSocket frame, or something like it."""
    payload = b"".join(chance.choices(BYTES, k=chance.choice([0, 1, 2, 30, 125])))
    first = chance.choice([0x81, 0x82, 0x80, 0x88, 0x89, 0x8A, 0x01, 0x02, 0x0F, 0x83, 0xC1, 0xF1, 0x09])
    masked = chance.random() < 0.9
    length = chance.choice([len(payload), len(payload), len(payload), 126, 127, 0])
    head = bytes([first, (0x80 if masked else 0) | length])
    if length == 126:
        head += chance.choice([b"\x00\x05", b"\xff\xff", b"\x00\x7e"])
    if length == 127:
        head += chance.choice([b"\x7f" + b"\xff" * 7, b"\x00" * 7 + b"\x10", b"\xff" * 8])
    return head + (b"\x00\x00\x00\x00" if masked else b"") + payload


def test_websocket_frames(host: Host) -> None:
    chance = random.Random(7)
    requests = []
    for _ in range(CASES):
        key = base64.b64encode(chance.randbytes(16))
        path = chance.choice(
            [b"/api/v1/executions/stream", b"/api/v1/executions/none/stream", b"/api/v1/executions/stream?x"]
        )
        headers = [
            b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket", b"Authorization: Bearer " + host.key.encode(),
            b"Sec-WebSocket-Version: " + chance.choice([b"13", b"13", b"13", b"8", b"x"]),
            b"Sec-WebSocket-Key: " + chance.choice([key, key, key, b"", b"\xff"]),
        ]  # fmt: skip
        opening = b"GET " + path + b" HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in headers) + b"\r\n"
        requests.append(opening + b"".join(frame(chance) for _ in range(chance.randrange(5))))
        requests[-1] += b"\x88\x80\0\0\0\0"  # and goodbye
    for sent, answer in all_answers(host, requests):
        assert not answer or answer.startswith((b"HTTP/1.1 101", b"HTTP/1.1 4")), (sent, answer[:300])
    host.until(lambda: not host.runtime.open_streams, "no stream is left behind")
    assert host.client.get("/workflows").status_code == 200


def test_no_defect_was_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(11)
    with caplog.at_level("WARNING"):
        all_answers(host, [request(chance, host.key) for _ in range(CASES)])
    defects: list[Any] = [one.getMessage() for one in caplog.records if one.exc_info]
    assert defects == []
