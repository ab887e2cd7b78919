"""A hostile client at a real server: what a proxy and a host could read differently, addresses in disguise, bodies that
grow, and names that are paths. Everything is answered with a problem, and nothing of it is a fault in the log."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.support.server import Server, running_server

UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FIGURE = {"id": "a", "type": "data.set", "params": {"value": 1}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("data")) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url + "/api/v1", headers=server.headers, timeout=20) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def _no_fault_is_logged(server: Server) -> Iterator[None]:
    yield
    log = (server.data / "server.log").read_text()
    assert "Traceback" not in log, log[-3000:]
    assert " ERROR " not in log, log[-3000:]


def ask(server: Server, head: bytes, body: bytes = b"", *, key: bool = True) -> list[tuple[int, bytes]]:
    """Every answer that the bytes bring, until the server has said all."""
    place = urlsplit(server.url)
    first, _, rest = head.partition(b"\r\n")
    given = f"Host: {place.netloc}\r\n" + (f"Authorization: Bearer {server.key}\r\n" if key else "")
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(first + b"\r\n" + given.encode() + rest + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return [(int(code), said) for code in re.findall(rb"HTTP/1\.1 (\d{3})", said)]


SECRET_WAY = b"GET /api/v1/workflows HTTP/1.1\r\nHost: a\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": (b"Content-Length: 4\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + SECRET_WAY),
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3", b"{}x"),
    "two equal lengths": (b"Content-Length: 2\r\nContent-Length: 2", b"{}"),
    "a signed length": (b"Content-Length: +2", b"{}"),
    "a list of lengths": (b"Content-Length: 2, 2", b"{}"),
    "an unknown coding": (b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
    "chunks inside": (b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
    "a space before the colon": (b"Transfer-Encoding : chunked", b"0\r\n\r\n"),
    "a folded header": (b"X-One: a\r\n Content-Length: 2", b"{}"),
    "a bare return": (b"X-One: a\rContent-Length: 2", b"{}"),
    "a huge chunk": (b"Transfer-Encoding: chunked", b"FFFFFFFFFFFFFFFFF\r\n{}"),
    "a line feed in a chunk's extension": (b"Transfer-Encoding: chunked", b"2;\nx\r\n{}\r\n0\r\n\r\n"),
    "two hosts": (b"Host: elsewhere", b""),
    "two keys": (b"Authorization: Bearer another", b""),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(server: Server, what: str) -> None:
    head, body = AMBIGUOUS[what]
    [(status, said)] = ask(server, b"POST /api/v1/executions HTTP/1.1\r\n" + head, body)
    assert (status, b"request-malformed" in said) == (400, True)


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "null", "http://elsewhere", "http://\udcff", "", "x" * 999]
)
def test_a_page_of_any_origin_but_this_opens_no_stream(server: Server, origin: str) -> None:
    given = b"Origin: " + origin.encode("utf-8", "surrogateescape")
    head = b"GET /api/v1/executions/stream HTTP/1.1\r\n" + UPGRADE + given
    [(status, said)] = ask(server, head)
    assert (status, b"urn:aicflow:problem:forbidden" in said) == (403, True)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../v1/workflows", "//api/v1/workflows", "/API/v1/workflows", "/api/v1/workflows/", "/livez/../metrics",
        "/docs/../api/v1/workflows", "/docs/%2e%2e/%2e%2e/admin.key", "/docs/../../../../etc/passwd",
        "/api/v1/%77orkflows", "/openapi.json/../metrics", "/livez%00/metrics",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_passes_without_a_key(server: Server, path: str) -> None:
    [(status, _)] = ask(server, b"GET " + path.encode() + b" HTTP/1.1", key=False)
    assert status == 401


@pytest.mark.parametrize("path", ["/hooks/../api/v1/workflows", "/hooks%2f..%2fapi/v1/workflows", "/forms/../metrics"])
def test_a_public_path_leads_nowhere_else(server: Server, path: str) -> None:
    [(status, _)] = ask(server, b"GET " + path.encode() + b" HTTP/1.1", key=False)
    assert status == 404


@pytest.mark.parametrize(
    "name", ["../../admin.key", "..%2f..%2fadmin.key", "%2e%2e%2fadmin.key", "/etc/passwd", "a%00"]
)
def test_a_file_is_named_by_its_hash_only(server: Server, name: str) -> None:
    [(status, said)] = ask(server, b"GET /api/v1/files/" + name.encode() + b" HTTP/1.1")
    assert status in (404, 422)
    assert server.key.encode() not in said


@pytest.mark.parametrize(
    "name", ["../../../evil", "..\\evil", "a/../../evil", "\r\nSet-Cookie: evil", 'a"; evil="b', "\0"]
)
def test_the_name_of_a_file_is_no_path_and_no_header(client: httpx2.Client, name: str) -> None:
    made = client.post("/files", params={"name": name}, content=name.encode())
    assert made.status_code == 201
    for query in ({}, {"name": name}):
        answer = client.get(made.headers["location"].removeprefix("/api/v1"), params=query)
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; ")
        assert disposition.count('"') == 2
        assert not set(disposition) & set("/\\\r\n\0")
        assert "set-cookie" not in answer.headers


def test_what_nobody_has_set_is_safe(server: Server) -> None:
    assert urlsplit(server.url).hostname == "127.0.0.1"
    assert {
        path.name for path in server.data.iterdir() if path.stat().st_mode & 0o077 and path.name != "server.log"
    } == set()
    foreign = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    for method, path in (("GET", "/livez"), ("OPTIONS", "/api/v1/workflows"), ("GET", "/docs"), ("GET", "/nowhere")):
        answer = httpx2.request(method, server.url + path, headers=foreign)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert not {"server", "x-powered-by"} & set(answer.headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'unsafe" not in policy
    assert httpx2.get(server.url + "/api/v1/workflows").status_code == 401


def test_a_body_that_breaks_off_is_no_fault(server: Server) -> None:
    for path in (b"/api/v1/executions", b"/api/v1/files", b"/hooks/none", b"/api/v1/workflows"):
        for length in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
            ask(server, b"POST " + path + b" HTTP/1.1\r\n" + length, b"3e8\r\n{" if b"chunk" in length else b"{")


def test_values_are_never_read_as_a_part_of_a_query(client: httpx2.Client) -> None:
    client.post("/workflows", params={"id": "figure"}, json={"aicflow": 1, "name": "figure", "nodes": [FIGURE]})
    client.post("/executions?wait=10", json={"workflow_id": "figure"})
    assert len(client.get("/workflows").json()["data"]) == 1
    for text in (
        "' OR '1'='1",
        "%",
        "_",
        "*",
        "figure' --",
        '"; DROP TABLE workflows; --',
        "figure' UNION SELECT 1 --",
    ):
        for path, name in (
            ("/workflows", "name"), ("/executions", "workflow_id"), ("/executions", "q"), ("/events", "name"),
            ("/events", "key"), ("/triggers", "workflow_id"), ("/audit", "actor"), ("/audit", "target"),
        ):  # fmt: skip
            answer = client.get(path, params={name: text})
            assert answer.status_code in (200, 422), (path, text, answer.text)
            assert answer.json().get("data", []) == [], (path, text)
        for path in ("/workflows", "/executions", "/events", "/files", "/api-keys"):
            assert client.get(path, params={"cursor": text}).status_code == 422, (path, text)
        assert client.get(f"/workflows/{text.replace('/', '')}").status_code == 404
    assert len(client.get("/workflows").json()["data"]) == 1


BOMBS: dict[str, tuple[str, bytes]] = {
    "aliases": (
        "application/yaml",
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 10)) for c in range(ord("b"), ord("h"))),
    ),
    "nesting": ("application/json", b"[" * 100_000),
    "a tag": ("application/yaml", b"!!python/object/apply:os.system ['id']"),
    "compressed": ("application/json", b"\x1f\x8b\x08"),
    "digits": ("application/json", b"9" * 1_000_000),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_body_makes_no_large_work(server: Server, client: httpx2.Client, what: str) -> None:
    """Others are answered meanwhile."""
    kind, body = BOMBS[what]
    headers = {"content-type": kind, **({"content-encoding": "gzip"} if what == "compressed" else {})}
    answers: list[Any] = []
    sending = threading.Thread(
        target=lambda: answers.append(client.post("/workflows/validate", content=body, headers=headers))
    )
    sending.start()
    alive = 0
    while sending.is_alive():
        alive += httpx2.get(server.url + "/livez").status_code == 200
        time.sleep(0.01)
    assert alive > 0
    assert 400 <= answers[0].status_code < 500, answers[0].text
    assert answers[0].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "expression",
    ["matches(input, '(a+)+$')", "find_all(input, '(a|a)*b')", "replace_pattern(input, '(.*)*x', '')"],
)
def test_patterns_take_time_by_the_length_of_the_text(client: httpx2.Client, expression: str) -> None:
    node = {**FIGURE, "params": {"value": f"${{{{ {expression} }}}}"}}
    made = client.post("/workflows", json={"aicflow": 1, "name": "pattern", "nodes": [node]}).json()
    answer = client.post("/executions?wait=20", json={"workflow_id": made["id"], "input": "a" * 50_000 + "!"})
    assert answer.json()["status"] == "succeeded", answer.text
    assert client.delete(f"/workflows/{made['id']}").status_code == 204


def test_a_model_chooses_no_workflow_for_a_limited_key(client: httpx2.Client, server: Server) -> None:
    made = client.post("/api-keys", json={"name": "limited", "scopes": ["read", "write"], "workflows": ["asks"]})
    with httpx2.Client(base_url=client.base_url, headers={"authorization": f"Bearer {made.json()['key']}"}) as limited:
        for fixed, code in (({}, 422), ({"workflow": "figure"}, 422), ({"workflow": "asks"}, 201)):
            params = {
                "model": "openai:gpt-5-mini",
                "prompt": "p",
                "tools": [{"node": "workflow.call", "params": fixed}],
            }
            agent = {"id": "ask", "type": "ai.agent", "params": params}
            answer = limited.post(
                "/workflows", params={"id": "asks"}, json={"aicflow": 1, "name": "asks", "nodes": [agent]}
            )
            assert answer.status_code == code, answer.text
            codes = [one["code"] for one in answer.json().get("errors", [])]
            assert "ref.workflow-out-of-reach" in codes or code == 201, answer.text
