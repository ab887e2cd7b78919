"""Both clients against a server that cuts, stalls, refuses and talks nonsense over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aicflow_sdk import ConnectionFailed, NotFound, RateLimited, RequestTimeout, Retry, Unavailable, UnexpectedReply
from sdk_kit import FaultServer, answer, cut, half, opened, problem, silence

EXECUTION = {
    "id": "ex_1", "workflow_id": "w", "version": 1, "status": "queued", "created_at": "2026-01-01T00:00:00Z",
    "trigger": {"kind": "api"}, "last_seq": 0, "priority": 0, "cancel_requested": False, "removed": [],
}  # fmt: skip
QUICK = Retry(initial=0.01, longest=0.05)


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, faults: FaultServer) -> Iterator[Any]:
    with opened(request.param, faults.url, "aicf_test", timeout=20, retry=QUICK) as made:
        yield made


def test_a_cut_connection_is_tried_again(client: Any, faults: FaultServer) -> None:
    faults.script += [cut, half, answer(200, EXECUTION)]
    assert client.executions.get("ex_1").status == "queued"
    assert [heard.path for heard in faults.heard] == ["/api/v1/executions/ex_1"] * 3
    assert faults.heard[0].headers["authorization"] == "Bearer aicf_test"
    assert faults.heard[0].headers["user-agent"].startswith("aicflow-sdk/")


def test_a_start_is_sent_again_with_the_same_key(client: Any, faults: FaultServer) -> None:
    faults.script += [cut, problem(503, "unavailable", retry_after="0"), answer(202, EXECUTION)]
    client.executions.start("w", {"n": 1})
    keys = {heard.headers["idempotency-key"] for heard in faults.heard}
    assert len(faults.heard) == 3
    assert len(keys) == 1
    assert {heard.body for heard in faults.heard} == {b'{"workflow_id":"w","input":{"n":1}}'}


def test_what_may_have_been_done_is_not_done_twice(client: Any, faults: FaultServer) -> None:
    faults.script += [cut, answer(202, EXECUTION)]
    with pytest.raises(ConnectionFailed, match="broke the connection"):
        client.executions.resume("ex_1", "yes")
    assert len(faults.heard) == 1


def test_too_many_requests_are_waited_out(client: Any, faults: FaultServer) -> None:
    faults.script += [problem(429, "rate-limited", retry_after="0"), answer(202, EXECUTION)]
    assert client.executions.resume("ex_1", "yes").id == "ex_1"
    faults.script += [problem(429, "rate-limited", "slow down", retry_after="9999")]
    with pytest.raises(RateLimited, match="slow down") as caught:
        client.executions.get("ex_1")
    assert caught.value.retry_after == 9999
    assert caught.value.request_id == "rq_1"


def test_giving_up_raises_the_last_error(client: Any, faults: FaultServer) -> None:
    faults.script += [problem(503, "unavailable", "The store is busy.")] * 5
    with pytest.raises(Unavailable, match="The store is busy"):
        client.executions.get("ex_1")
    assert len(faults.heard) == 5


def test_a_silent_server_is_a_timeout(faults: FaultServer) -> None:
    done = threading.Event()
    for kind in ("sync", "async"):
        faults.script += [silence(done)]
        with (
            opened(kind, faults.url, "k", timeout=0.2, retry=Retry(attempts=1)) as client,
            pytest.raises(RequestTimeout, match="did not reply in time"),
        ):
            client.executions.get("ex_1")
    done.set()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (answer(200, b"<html>Welcome</html>"), "text/html instead of JSON.*Welcome"),
        (answer(200, b'{"id": ', content_type="application/json"), "invalid JSON"),
        (answer(200, []), "not an object"),
        (answer(200, {"id": 5}), "id is not a string"),
        (answer(204), "instead of JSON|invalid JSON"),
        (answer(301, b"moved", location="https://elsewhere.example/"), "redirects to https://elsewhere.example/"),
    ],
)
def test_nonsense_is_said_to_be_nonsense(client: Any, faults: FaultServer, behaviour: Any, message: str) -> None:
    faults.script += [behaviour]
    with pytest.raises(UnexpectedReply, match=message):
        client.executions.get("ex_1")
    assert len(faults.heard) == 1


def test_the_error_of_a_proxy_is_an_error_of_its_status(client: Any, faults: FaultServer) -> None:
    faults.script += [answer(404, b"<h1>nginx</h1>")]
    with pytest.raises(NotFound, match="nginx"):
        client.executions.get("ex_1")


def test_nobody_there() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for kind in ("sync", "async"):
        with opened(kind, f"http://127.0.0.1:{port}", "k", retry=QUICK) as client:
            with pytest.raises(ConnectionFailed, match=r"cannot be reached.*\n.*aicflow serve"):
                client.executions.get("ex_1")
            with pytest.raises(ConnectionFailed, match="cannot be opened"):
                list(client.executions.stream("ex_1"))


def test_a_stream_refused_says_why(client: Any, faults: FaultServer) -> None:
    faults.script += [problem(503, "unavailable", retry_after="0"), problem(404, "not-found", "There is no execution.")]
    with pytest.raises(NotFound, match="There is no execution"):
        list(client.executions.stream("ex_1"))
    assert faults.heard[0].headers["sec-websocket-protocol"] == "aicflow.v1"
    assert faults.heard[0].headers["authorization"] == "Bearer aicf_test"


def test_waiting_does_without_a_stream(client: Any, faults: FaultServer) -> None:
    ended = {**EXECUTION, "status": "succeeded", "output": 1}
    faults.script += [
        answer(200, EXECUTION),
        answer(400, b"no sockets here"),
        answer(200, EXECUTION),
        answer(200, ended),
    ]
    assert client.executions.wait("ex_1").result() == 1


def test_the_key_is_never_shown(client: Any, faults: FaultServer) -> None:
    faults.script += [problem(401, "unauthorized", "The API key is wrong.")]
    with pytest.raises(Exception, match="wrong") as caught:
        client.executions.get("ex_1")
    assert "aicf_test" not in f"{caught.value!r} {caught.value} {client!r}"


def test_the_body_of_a_workflow_is_utf8_json(client: Any, faults: FaultServer) -> None:
    faults.script += [answer(200, {"valid": True, "issues": []})]
    assert client.workflows.validate({"name": "Grüße"}).valid
    assert faults.heard[0].headers["content-type"] == "application/json"
    assert json.loads(faults.heard[0].body) == {"name": "Grüße"}
