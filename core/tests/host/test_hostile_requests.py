"""Requests that nobody would send on purpose: every answer is one of ours, never a 500."""

from __future__ import annotations

import copy
import json
import random
import socket
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import ECHO, Host

ODD: list[Any] = [
    None, True, 0, -1, 2**63, 10**40, 1.5, "", "x" * 3000, "\u0000", "\U0001f600", "../..", "${{ 1 }}", "%s%n", [],
    [[]], {}, {"": ""}, {"a": {"b": [1, None]}}, "echo", "running", "2026-01-01T00:00:00Z", "\u202e", "' OR 1=1 --",
]  # fmt: skip
WORDS = [
    "workflow_id",
    "input",
    "version",
    "priority",
    "engine",
    "name",
    "scopes",
    "expires_at",
    "enabled",
    "default_params",
    "payload",
    "value",
    "action",
    "node_id",
    "status",
    "limit",
    "cursor",
    "after",
    "wait",
    "aicflow",
    "nodes",
    "edges",
    "triggers",
    "settings",
    "id",
    "type",
    "params",
    "vars",
    "output",
    "from",
    "to",
    "count",
    "created_after",
    "from_node",
]
HOLES = ("workflow_id", "execution_id", "type_id", "binding_id", "key_id", "name", "version", "delivery_id")


def value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random()
    if depth < 3 and kind < 0.35:
        return {chance.choice(WORDS): value(chance, depth + 1) for _ in range(chance.randrange(5))}
    if depth < 3 and kind < 0.5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return copy.deepcopy(chance.choice(ODD))


def document(chance: random.Random) -> dict[str, Any]:
    """A workflow with a few parts replaced."""
    made: dict[str, Any] = json.loads(json.dumps(ECHO))
    made["triggers"] = [{"id": "bell", "type": "test.bell", "params": {"tone": str(chance.random())}}]
    for _ in range(chance.randrange(1, 4)):
        place: Any = made
        while isinstance(place, dict | list) and place and chance.random() < 0.7:
            key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
            if not isinstance(place[key], dict | list) or chance.random() < 0.4:
                place[key] = value(chance)
                break
            place = place[key]
        else:
            made[chance.choice(WORDS)] = value(chance)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_random_requests_to_every_call(host: Host, seed: int) -> None:
    chance = random.Random(seed)
    host.client.post("/workflows?id=echo", json=ECHO)
    execution = host.start("echo")["id"]
    calls = [
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in host.client.get(host.url + "/openapi.json").json()["paths"].items()
        for method in methods
        if path.startswith("/api/") and not path.endswith("/stream")
    ]
    for _ in range(150):
        method, path = chance.choice(calls)
        for name in (
            "workflow_id",
            "execution_id",
            "type_id",
            "binding_id",
            "key_id",
            "name",
            "version",
            "delivery_id",
        ):
            known = {"workflow_id": "echo", "execution_id": execution, "type_id": "test.echo", "version": "1"}
            filled = known.get(name, "x") if chance.random() < 0.7 else quote(str(chance.choice(ODD)), safe="")
            path = path.replace("{" + name + "}", filled or "x")
        query = {chance.choice(WORDS): str(chance.choice(ODD)) for _ in range(chance.choice([0, 0, 0, 1, 2]))}
        body = document(chance) if "workflows" in path and chance.random() < 0.8 else value(chance)
        headers = {"content-type": "application/json"}
        if chance.random() < 0.5:
            headers["if-match"] = chance.choice(["*", '"1-1"', "x", '"'])
        answer = host.client.request(method, path, params=query, content=json.dumps(body), headers=headers)
        assert answer.status_code < 500, (method, path, query, body, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", (method, path, answer.text)
            assert method == "HEAD" or answer.json()["type"].startswith("urn:aicflow:problem:")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /api/v1/workflows HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /api/v1/workflows HTTP/1.1\r\nhost: x\r\nx-api-key: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /api/v1/%e2%28%a1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET //api/v1/workflows HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /api/v1/executions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /api/v1/executions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/v1/executions/x/stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"BREW /api/v1/workflows HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_bytes_that_are_hardly_http(host: Host, raw: bytes) -> None:
    name, port = host.url.removeprefix("http://").split(":")
    with socket.create_connection((name, int(port)), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert host.client.get("/workflows").status_code == 200
