"""What one client may do to the others: huge headers, endless trailers, half-sent requests, too many connections."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from aicflow.host.connections import ConnectionLimits

from .conftest import Host, run_host

LIMITS = ConnectionLimits(receive=0.5, idle=1.0, stalled=1.0, connections=40, per_address=30)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with little patience."""
    with run_host(tmp_path_factory.mktemp("data"), store="memory://", limits=LIMITS) as running:
        yield running


def connect(host: Host) -> socket.socket:
    port = int(host.url.rsplit(":", 1)[1])
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer_to(host: Host, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send the parts as they are; status, headers and body of the first answer."""
    with connect(host) as connection:
        with suppress(ConnectionError):  # refused before everything was sent
            for part in parts:
                connection.sendall(part)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    data = b""
    with suppress(ConnectionError):
        while chunk := connection.recv(65536):
            data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            if len(body) >= int(headers.get("content-length", 1 << 30)):
                return int(lines[0].split()[1]), headers, body
    return 0, {}, data


def refused(answer: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    assert answer[0] == status, answer
    assert answer[1]["content-type"] == "application/problem+json"
    body = json.loads(answer[2])
    assert body["type"] == f"urn:aicflow:problem:{code}"
    assert body["request_id"] == answer[1]["x-request-id"]


def is_well(host: Host) -> None:
    with host.bare() as client:
        assert client.get(f"{host.url}/livez").status_code == 200


START = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /hooks/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [START, *[b"X-%d: y\r\n" % n for n in range(200)], b"\r\n"],
        [START, b"X-Long: " + b"y" * 100_000 + b"\r\n\r\n"],
        [START + b"X-Long: " + b"y" * 40_000 + b"\r\n\r\n"],
        [START, *[b"X-%d: " % n + b"y" * 16_000 + b"\r\n" for n in range(1000)]],
        [b"GET /" + b"y" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [CHUNKED, b"1\r\ny\r\n0\r\n", *[b"X-%d: " % n + b"y" * 16_000 + b"\r\n" for n in range(1000)]],
        [CHUNKED, *[b"1;" + b"x" * 10_000 + b"\r\ny\r\n" for _ in range(100)]],
    ],
    ids=["many", "one-long", "one-packet", "endless", "url", "trailers", "chunk-extensions"],
)
def test_headers_and_trailers_have_a_bound(host: Host, parts: list[bytes]) -> None:
    answer = answer_to(host, *parts)
    # 401: answered before the trailers came; 0: a client that goes on sending may lose the answer to the reset
    if answer[0] not in (0, 401):
        refused(answer, 431, "headers-too-large")
    with connect(host) as connection, suppress(ConnectionError):
        for part in parts:
            connection.sendall(part)
        connection.settimeout(5)
        while connection.recv(65536):
            pass
    is_well(host)


def test_what_honest_clients_send_passes(host: Host) -> None:
    headers = {f"x-{n}": "y" * 300 for n in range(90)}
    with host.bare(**headers) as client:
        assert client.get(f"{host.url}/livez").status_code == 200
    one_byte_chunks = b"".join(b"1\r\n%c\r\n" % c for c in b" " * 60_000)
    status, _, _ = answer_to(host, CHUNKED.replace(b"/hooks/x", b"/livez"), one_byte_chunks + b"0\r\n\r\n")
    assert status == 405


def test_trailers_are_not_headers(host: Host) -> None:
    """uvicorn adds them to the headers: a key in a trailer must not count."""
    request = (
        b"POST /api/v1/executions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\nAuthorization: Bearer " + host.key.encode() + b"\r\n\r\n"
    )
    refused(answer_to(host, request), 401, "unauthorized")


@pytest.mark.parametrize("beginning", [b"G", START, START + b"Content-Length: 10\r\n\r\nhalf", CHUNKED, b"\r\n"])
def test_a_request_that_does_not_arrive(host: Host, beginning: bytes) -> None:
    with connect(host) as connection:
        connection.sendall(beginning)
        status, headers, body = read_answer(connection)
        if status not in (401, 200):  # answered before the body is there
            refused((status, headers, body), 408, "request-timeout")
        assert connection.recv(100) == b""


def test_a_connection_that_never_asks(host: Host) -> None:
    with connect(host) as connection:
        assert connection.recv(100) == b""


def test_drops_do_not_keep_a_request_alive(host: Host) -> None:
    """A byte now and then is not a request: many such clients are closed while others are served."""
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connect(host))) for _ in range(20)]
        closed = 0
        for connection in slow:
            connection.sendall(START)
            connection.settimeout(0.01)
        for _ in range(200):
            for connection in list(slow):
                try:
                    connection.sendall(b"x")
                    if connection.recv(1000):
                        continue
                except TimeoutError:
                    continue
                except ConnectionError:
                    pass
                slow.remove(connection)
                closed += 1
            is_well(host)
            if not slow:
                break
        assert closed == 20


def test_a_reader_that_takes_nothing(host: Host) -> None:
    """The answers of pipelined requests pile up at a client that does not read: it is cut."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(host) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        for _ in range(2000):
            try:
                connection.send(request)
            except BlockingIOError:
                break
            except ConnectionError:
                return
        host.until(lambda: len(host.server.server_state.connections) <= 1, "the reader was cut")


def test_connections_have_a_bound(tmp_path: Path) -> None:
    limits = ConnectionLimits(connections=12, per_address=8, idle=0.5)
    with run_host(tmp_path / "data", store="memory://", limits=limits) as host, ExitStack() as stack:
        held = [stack.enter_context(closing(connect(host))) for _ in range(8)]
        host.until(lambda: len(host.server.server_state.connections) == 8)
        with connect(host) as one_more:
            refused(read_answer(one_more), 429, "rate-limited")
        for connection in held:
            assert connection.recv(10) == b""  # they never asked
        is_well(host)


def test_a_proxy_may_hold_more(tmp_path: Path) -> None:
    limits = ConnectionLimits(connections=12, per_address=8, proxies=frozenset({"127.0.0.1"}))
    with run_host(tmp_path / "data", store="memory://", limits=limits) as host, ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(closing(connect(host)))
        host.until(lambda: len(host.server.server_state.connections) == 12)
        with connect(host) as one_more:
            refused(read_answer(one_more), 503, "unavailable")


def test_a_long_wait_is_no_slow_request(host: Host) -> None:
    """The limits are for requests that arrive, not for answers that take their time."""
    host.save({"aicflow": 1, "name": "nap", "nodes": [{"id": "w", "type": "wait", "params": {"seconds": 2}}]}, id="nap")
    before = time.monotonic()
    assert host.start("nap", wait=10)["status"] == "succeeded"
    assert time.monotonic() - before > 1.5
