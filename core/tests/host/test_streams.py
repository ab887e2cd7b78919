"""Following executions over WebSocket and server-sent events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .conftest import ECHO, GATE, Host


@pytest.fixture(autouse=True, scope="module")
def _workflows(host: Host) -> None:
    host.save(ECHO, id="echo")
    host.save(GATE, id="gate")
    params = {"lines": "${{ input.lines }}", "size": "${{ input?.size ?? 1000 }}"}
    node = {"id": "chat", "type": "test.chatter", "params": params}
    host.save({"aicflow": 1, "name": "chat", "nodes": [node]}, id="chat")


@contextmanager
def socket(host: Host, path: str, *, key: str | None = None, **more: Any) -> Iterator[ClientConnection]:
    headers = {"authorization": f"Bearer {key or host.key}"}
    url = host.url.replace("http", "ws") + "/api/v1" + path
    options = {"additional_headers": headers, "subprotocols": ["aicflow.v1"], "close_timeout": 2, **more}
    with connect(url, **options) as connection:
        yield connection


def events_of(connection: ClientConnection) -> list[dict[str, Any]]:
    """Every event until the server closes with 1000."""
    found: list[dict[str, Any]] = []
    try:
        while True:
            frame = connection.recv(timeout=20)
            assert isinstance(frame, str)
            found += [json.loads(line) for line in frame.split("\n")]
    except ConnectionClosedOK:
        assert connection.close_code == 1000
    return found


def close_code(connection: ClientConnection) -> int | None:
    """Read on until the server closes; its code."""
    try:
        while True:
            connection.recv(timeout=20)
    except ConnectionClosed:
        return connection.close_code


def numbered(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events if "seq" in event]


def test_an_ended_execution_is_told_from_any_point(host: Host) -> None:
    execution = host.start("echo", 1)
    for after in (0, 3, execution["last_seq"]):
        with socket(host, f"/executions/{execution['id']}/stream?after={after}") as connection:
            assert connection.subprotocol == "aicflow.v1"
            assert numbered(events_of(connection)) == list(range(after + 1, execution["last_seq"] + 1))


def test_live_events_follow_stored_ones_without_gap_or_repeat(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    with socket(host, f"/executions/{execution['id']}/stream") as first:
        seen: list[dict[str, Any]] = []
        while not any(event["type"] == "step.delta" for event in seen):
            seen += [json.loads(line) for line in str(first.recv(timeout=10)).split("\n")]
        with socket(host, f"/executions/{execution['id']}/stream") as second:
            gate.set()
            seen += events_of(first)
            late = events_of(second)
    last = host.client.get(f"/executions/{execution['id']}").json()["last_seq"]
    assert numbered(seen) == numbered(late) == list(range(1, last + 1))
    assert all("seq" not in event for event in seen if event["type"] == "step.delta")
    assert seen[-1]["type"] == "execution.succeeded"


def test_many_large_events_come_in_frames_that_clients_accept(host: Host) -> None:
    execution = host.start("chat", {"lines": 600, "size": 10_000})
    with socket(host, f"/executions/{execution['id']}/stream", max_size=1_048_576) as connection:
        events = events_of(connection)
    assert numbered(events) == list(range(1, execution["last_seq"] + 1))
    assert sum(event["type"] == "step.log" for event in events) == 600


def test_a_reader_that_does_not_read_holds_nobody_up(host: Host) -> None:
    execution = host.start("chat", {"lines": 1}, wait=None)
    host.until(lambda: host.client.get(f"/executions/{execution['id']}").json()["finished_at"])
    slow = host.start("chat", {"lines": 20_000}, wait=None)
    with socket(host, f"/executions/{slow['id']}/stream", max_queue=1) as connection:
        ended = host.until(lambda: (e := host.client.get(f"/executions/{slow['id']}").json())["finished_at"] and e)
        assert ended["status"] == "succeeded"
        events = events_of(connection)
    assert numbered(events) == list(range(1, ended["last_seq"] + 1))


def test_a_reader_that_goes_away_is_noticed_while_nothing_happens(host: Host, gate: threading.Event) -> None:
    node = {"id": "ask", "type": "wait", "params": {"answer_schema": True}}
    host.save({"aicflow": 1, "name": "quiet", "nodes": [node]}, id="quiet")
    execution = host.start("quiet", wait=None)
    channels = host.runtime.executions.hub._channels
    with socket(host, f"/executions/{execution['id']}/stream") as connection:
        connection.recv(timeout=10)
        assert execution["id"] in channels
    host.until(lambda: execution["id"] not in channels, "letting go")
    with httpx2.stream(
        "GET",
        f"{host.url}/api/v1/executions/{execution['id']}/stream",
        headers={"authorization": f"Bearer {host.key}"},
        timeout=10,
    ) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        host.until(lambda: execution["id"] in channels)
    host.until(lambda: execution["id"] not in channels, "letting go")


@pytest.mark.parametrize(
    ("headers", "protocols", "path", "status"),
    [
        ({}, None, "/executions/{id}/stream", 401),
        ({"authorization": "Bearer aicf_wrong"}, None, "/executions/{id}/stream", 401),
        ({}, ["aicflow.v1", "aicflow.key.aicf_wrong"], "/executions/{id}/stream", 401),
        (None, None, "/executions/none/stream", 404),
        (None, None, "/executions/{id}/stream?after=x", 422),
        (None, None, "/executions/{id}/stream?afer=1", 422),
        (None, None, "/executions/stream?status=odd", 422),
        (None, None, "/workflows/{id}", 404),
        (None, None, "/nothing", 404),
    ],
)
def test_a_stream_that_cannot_be_is_refused_before_it_opens(
    host: Host, headers: dict[str, str] | None, protocols: Any, path: str, status: int
) -> None:
    execution = host.start("echo")
    url = host.url.replace("http", "ws") + "/api/v1" + path.format(id=execution["id"])
    with pytest.raises(InvalidStatus) as refused:
        connect(
            url,
            additional_headers={"authorization": f"Bearer {host.key}"} if headers is None else headers,
            subprotocols=protocols,
        )
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["status"] == status


def test_a_browser_gives_its_key_as_a_subprotocol(host: Host) -> None:
    execution = host.start("echo")
    protocols = ["aicflow.v1", f"aicflow.key.{host.key}"]
    with socket(
        host, f"/executions/{execution['id']}/stream", additional_headers={}, subprotocols=protocols
    ) as connection:
        assert connection.subprotocol == "aicflow.v1"
        assert events_of(connection)


def test_pages_of_other_origins_are_refused(host: Host) -> None:
    execution = host.start("echo")
    path = f"/executions/{execution['id']}/stream"
    with pytest.raises(InvalidStatus) as refused, socket(host, path, origin="https://evil.example"):
        pass
    assert refused.value.response.status_code == 403
    with socket(host, path, origin=host.url) as connection:
        assert events_of(connection)


def test_a_stream_takes_no_messages(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    with socket(host, f"/executions/{execution['id']}/stream") as connection:
        connection.send('{"code": "import os"}')
        assert close_code(connection) == 1003


def test_a_revoked_key_ends_its_open_streams(host: Host, gate: threading.Event) -> None:
    made = host.client.post("/api-keys", json={"name": "reader", "scopes": ["read"]}).json()
    execution = host.start("gate", wait=None)
    with socket(host, f"/executions/{execution['id']}/stream", key=made["key"]) as connection:
        connection.recv(timeout=10)
        assert host.client.delete(f"/api-keys/{made['id']}").status_code == 204
        assert close_code(connection) == 1008


@pytest.mark.parametrize("revoke_elsewhere", [False, True])
def test_a_revoked_key_ends_idle_streams_too(host: Host, revoke_elsewhere: bool) -> None:
    made = host.client.post("/api-keys", json={"name": "reader", "scopes": ["read"]}).json()
    path, headers = "/executions/stream?workflow_id=quiet", {"authorization": f"Bearer {made['key']}"}
    with (
        socket(host, path, key=made["key"]) as connection,
        httpx2.stream("GET", f"{host.url}/api/v1{path}", headers=headers, timeout=10) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == ": stream"
        if revoke_elsewhere:  # another host on the same store
            host.do(host.runtime.store.keys.revoke(made["id"], now=1.0))
        else:
            assert host.client.delete(f"/api-keys/{made['id']}").status_code == 204
        assert close_code(connection) == 1008
        assert not "".join(lines), "nothing more came, and the stream ended"


def server_sent(host: Host, path: str, **headers: str) -> list[dict[str, str]]:
    """Server-sent events as a browser reads them."""
    found: list[dict[str, str]] = []
    headers = {"authorization": f"Bearer {host.key}", **headers}
    with httpx2.stream("GET", f"{host.url}/api/v1{path}", headers=headers, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        for block in answer.read().decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if fields:
                found.append(fields)
    return found


def test_the_same_events_as_server_sent_events(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    path = f"/executions/{execution['id']}/stream"
    threading.Timer(0.1, gate.set).start()
    events = server_sent(host, path)
    assert [int(event["id"]) for event in events if "id" in event] == list(
        range(1, host.client.get(f"/executions/{execution['id']}").json()["last_seq"] + 1)
    )
    assert {event["event"] for event in events if "id" not in event} <= {"step.delta"}
    assert all(json.loads(event["data"])["type"] == event["event"] for event in events)
    rest = server_sent(host, path, **{"last-event-id": "3"})
    assert int(rest[0]["id"]) == 4
    last = events[-1]["id"]
    assert host.client.get(path, headers={"last-event-id": last}).status_code == 204


def test_the_firehose_tells_of_every_execution(host: Host) -> None:
    workflow = host.save(ECHO)["id"]
    with socket(host, f"/executions/stream?workflow_id={workflow}") as connection:
        host.start("echo")
        mine = [host.start(workflow, number)["id"] for number in range(3)]
        seen: list[dict[str, Any]] = []
        while sum(event["type"] == "execution.succeeded" for event in seen) < 3:
            seen += [json.loads(line) for line in str(connection.recv(timeout=10)).split("\n")]
    assert {event["execution_id"] for event in seen} == set(mine)


def test_streams_end_when_the_host_stops(new_host: Any, gate: threading.Event) -> None:
    with new_host() as host:
        host.save(GATE, id="gate")
        execution = host.start("gate", wait=None)
        with socket(host, f"/executions/{execution['id']}/stream") as connection:
            connection.recv(timeout=10)
            host.server.should_exit = True
            assert close_code(connection) == 1012


def ticket(host: Host, key: str | None = None) -> str:
    answer = host.client.post("/tickets", headers={"authorization": f"Bearer {key or host.key}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def test_a_ticket_opens_one_stream(host: Host) -> None:
    execution = host.start("echo", 1)
    path = f"/executions/{execution['id']}/stream"
    url = host.url.replace("http", "ws", 1) + "/api/v1" + path
    for made, opened in (
        (ticket(host), lambda one: connect(f"{url}?ticket={one}&after=2", close_timeout=2)),
        (ticket(host), lambda one: connect(f"{url}?after=2", subprotocols=["aicflow.v1", f"aicflow.ticket.{one}"])),
    ):
        with opened(made) as connection:
            assert numbered(events_of(connection)) == list(range(3, execution["last_seq"] + 1))
        with pytest.raises(InvalidStatus) as again, opened(made):
            pass
        assert again.value.response.status_code == 401, "it counts once"
    with host.bare() as page:
        made = ticket(host)
        sent = page.get(f"{path}?ticket={made}")
        assert sent.status_code == 200
        assert "execution.succeeded" in sent.text
        assert page.get(f"{path}?ticket={made}").status_code == 401
        made = ticket(host)
        for wrong in (f"/executions/{execution['id']}?ticket={made}", f"/workflows?ticket={made}"):
            assert page.get(wrong).status_code == 401, "for streams only"
        assert page.get("/workflows", headers={"authorization": f"Bearer {made}"}).status_code == 401
        assert page.get(f"{path}?ticket=aict_none").status_code == page.get(f"{path}?ticket=").status_code == 401
        assert page.get(f"{path}?ticket={ticket(host)}&after=x").status_code == 422
        assert host.client.get(f"{path}?ticket={made}").status_code == 200
        assert page.get(f"{path}?ticket={made}").status_code == 200, "whoever has a key needs no ticket"


def test_many_who_have_one_ticket_open_one_stream(host: Host) -> None:
    execution, made = host.start("echo", 1), ticket(host)
    with host.bare() as page, ThreadPoolExecutor(8) as pool:
        path = f"/executions/{execution['id']}/stream?ticket={made}"
        answers = list(pool.map(lambda _: page.get(path).status_code, range(8)))
    assert sorted(answers) == [200] + [401] * 7


def test_a_ticket_is_stored_hashed_and_expires(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    execution, made = host.start("echo", 1), ticket(host)
    assert made not in str(vars(host.runtime.store.keys)["_tickets"])
    now = host.runtime.clock.now()
    monkeypatch.setattr(host.runtime.callers._clock, "now", lambda: now + 61)
    with host.bare() as page:
        assert page.get(f"/executions/{execution['id']}/stream?ticket={made}").status_code == 401


def test_a_stream_of_a_ticket_ends_with_the_key_that_it_came_from(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    made = host.client.post("/api-keys", json={"name": "page", "scopes": ["read"], "workflows": ["gate"]}).json()
    url = host.url.replace("http", "ws", 1) + "/api/v1/executions"
    other = host.start("echo", 1)
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{url}/{other['id']}/stream?ticket={ticket(host, made['key'])}"),
    ):
        pass
    assert refused.value.response.status_code == 404, "a ticket reaches what its key does"
    for path in ("stream?", f"{execution['id']}/stream?"):
        opened = host.client.post("/api-keys", json={"name": "page", "scopes": ["read"]}).json()
        with connect(f"{url}/{path}ticket={ticket(host, opened['key'])}", close_timeout=2) as stream:
            assert host.client.delete(f"/api-keys/{opened['id']}").status_code == 204
            assert close_code(stream) == 1008
    unused = ticket(host, made["key"])
    assert host.client.delete(f"/api-keys/{made['id']}").status_code == 204
    with pytest.raises(InvalidStatus) as late, connect(f"{url}/{execution['id']}/stream?ticket={unused}"):
        pass
    assert late.value.response.status_code == 401


def test_a_stream_of_a_rotated_key_ends_when_the_overlap_does(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    made = host.client.post("/api-keys", json={"name": "rotated", "scopes": ["read"]}).json()
    with socket(host, f"/executions/{execution['id']}/stream", key=made["key"]) as old:
        rotated = host.client.post(f"/api-keys/{made['id']}/rotate", json={"overlap": 0}).json()
        with socket(host, f"/executions/{execution['id']}/stream", key=rotated["key"]) as new:
            assert close_code(old) == 1008
            gate.set()
            assert close_code(new) == 1000
