"""`Idempotency-Key` on every creating call: the same request finds what the first one made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aicflow.host.app import create_app
from aicflow.host.openapi import document
from aicflow.host.settings import Settings
from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.kernel.ports.maintenance import RetentionRule

from .conftest import ECHO, Host, problem, run_host

BELL = {**ECHO, "triggers": [{"id": "bell", "type": "test.bell"}]}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with a workflow that has a trigger, on SQLite."""
    with run_host(tmp_path_factory.mktemp("data")) as running:
        running.save(BELL, id="bell")
        yield running


def _delivery(host: Host) -> str:
    host.client.post("/triggers/bell:bell/fire", json={"payload": "first"})
    return str(host.client.get("/triggers/bell:bell/deliveries").json()["data"][0]["id"])


def _key(host: Host) -> str:
    return str(host.client.post("/api-keys", json={"name": "rotated", "scopes": ["read"]}).json()["id"])


CALLS: dict[str, Callable[[Host], tuple[str, Any, str, Any]]] = {
    # operation: a request, and another one, as (path, body, other path, other body)
    "create_workflow": lambda host: ("/workflows", ECHO, "/workflows?enabled=false", ECHO),
    "create_draft": lambda host: ("/workflows/bell/drafts", ECHO, "/workflows/bell/drafts", {**ECHO, "name": "other"}),
    "start_execution": lambda host: (
        "/executions?wait=5", {"workflow_id": "bell"}, "/executions", {"workflow_id": "bell", "input": 1}
    ),
    "rerun_execution": lambda host: (
        f"/executions/{(id := host.start('bell')['id'])}/rerun", {}, f"/executions/{id}/rerun", {"input": 2}
    ),
    "fire_trigger": lambda host: ("/triggers/bell:bell/fire", {"payload": 1}, "/triggers/bell:bell/fire", {}),
    "replay_delivery": lambda host: (
        f"/triggers/bell:bell/deliveries/{(id := _delivery(host))}/replay", None,
        f"/triggers/bell:bell/deliveries/{id}/replay?version=1", None,
    ),
    "send_event": lambda host: (
        "/events", {"name": "order.paid", "data": 1}, "/events", {"name": "order.paid", "data": 2}
    ),
    "create_api_key": lambda host: (
        "/api-keys", {"name": "ci", "scopes": ["read"]}, "/api-keys", {"name": "ci", "scopes": ["write"]}
    ),
    "rotate_api_key": lambda host: (
        f"/api-keys/{(id := _key(host))}/rotate", {"overlap": 60}, f"/api-keys/{id}/rotate", {"overlap": 30}
    ),
    "bulk_cancel": lambda host: (
        "/executions/bulk-cancel", {"workflow_id": "bell"}, "/executions/bulk-cancel", {"workflow_id": "other"}
    ),
    "bulk_rerun": lambda host: (
        "/executions/bulk-rerun", {"workflow_id": "bell", "status": ["succeeded"]},
        "/executions/bulk-rerun", {"workflow_id": "bell"},
    ),
}  # fmt: skip


def test_every_creating_call_takes_a_key() -> None:
    takes, creates = set(), set()
    for path, calls in document(create_app(Settings()))["paths"].items():
        for method, call in calls.items():
            if method == "post" and ({"201", "202"} & set(call["responses"]) or "/bulk-" in path):
                creates.add(call["operationId"])
            if any(one.get("name") == "Idempotency-Key" for one in call.get("parameters", ())):
                takes.add(call["operationId"])
    assert takes == set(CALLS)
    nothing = {"cancel_execution", "resume_execution"}
    # a repeat of an upload is the same file, and each ticket and session is another one
    assert creates - takes == nothing | {"upload_file", "create_ticket", "create_session"}


def counted(host: Host) -> tuple[int, ...]:
    """How many things of each kind there are."""
    executions = host.do(host.runtime.store.executions.count(ExecutionFilter()))
    return (
        sum(executions.values()),
        len(host.client.get("/workflows", params={"limit": 200}).json()["data"]),
        len(host.client.get("/workflows/bell/versions", params={"limit": 200}).json()["data"]),
        len(host.client.get("/api-keys", params={"limit": 200}).json()["data"]),
        len(host.client.get("/events", params={"limit": 200}).json()["data"]),
        len(host.client.get("/triggers/bell:bell/deliveries", params={"limit": 200}).json()["data"]),
    )


@pytest.mark.parametrize("name", CALLS)
def test_the_same_request_again_makes_nothing(host: Host, name: str) -> None:
    path, body, other_path, other_body = CALLS[name](host)
    headers = {"idempotency-key": "once"}

    def send(path: str, body: Any) -> Any:
        more = {} if body is None else {"json": body}
        return host.client.post(path, headers=headers, **more)

    first = send(path, body)
    assert first.status_code in (200, 201, 202), first.text
    assert "idempotent-replayed" not in first.headers
    before = counted(host)
    again = send(path, body)
    assert (again.status_code, again.headers.get("idempotent-replayed")) == (200, "true")
    for kept in ("id", "version", "key", "results"):
        assert again.json().get(kept) == first.json().get(kept)
    assert again.headers.get("location") == first.headers.get("location")
    problem(send(other_path, other_body), 422, "idempotency-mismatch")
    assert counted(host) == before


@pytest.mark.parametrize("name", CALLS)
def test_many_at_once_make_one(host: Host, name: str) -> None:
    path, body, _, _ = CALLS[name](host)
    more = {} if body is None else {"json": body}

    def send(_: int) -> Any:
        return host.client.post(path, headers={"idempotency-key": "race"}, **more).json()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(8)))
    made = {str(one.get("results", (one.get("id"), one.get("version")))) for one in answers}
    assert len(made) == 1, made


def test_a_repeat_is_answered_though_it_could_not_be_accepted_today(host: Host) -> None:
    host.save(BELL | {"triggers": [{"id": "bell", "type": "test.bell", "params": {"tone": "b"}}]}, id="passing")
    headers = {"idempotency-key": "passing"}
    start = {"workflow_id": "passing", "input": 1}
    started = host.client.post("/executions", json=start, headers=headers).json()
    fired = host.client.post("/triggers/passing:bell/fire", json={}, headers=headers).json()
    deliveries = host.client.get("/triggers/passing:bell/deliveries").json()["data"]
    host.client.patch("/workflows/passing", json={"enabled": False})
    assert host.client.post("/executions", json=start, headers=headers).json()["id"] == started["id"]
    assert host.client.post("/triggers/passing:bell/fire", json={}, headers=headers).json()["id"] == fired["id"]
    assert host.client.get("/triggers/passing:bell/deliveries").json()["data"] == deliveries
    assert host.client.delete("/workflows/passing").status_code == 204
    assert host.client.post("/executions", json=start, headers=headers).json()["id"] == started["id"]
    problem(host.client.post("/executions", json={**start, "input": 2}), 404, "not-found")


def test_a_key_outlives_what_it_made(host: Host) -> None:
    host.save(ECHO, id="short")
    start = {"workflow_id": "short"}
    made = host.client.post("/executions?wait=10", json=start, headers={"idempotency-key": "gone"}).json()
    rerun = host.client.post(f"/executions/{made['id']}/rerun", headers={"idempotency-key": "gone"})
    host.until(lambda: host.client.get(rerun.headers["location"].removeprefix("/api/v1")).json()["finished_at"])
    host.do(host.runtime.store.maintenance.remove([RetentionRule("succeeded", max_count=0)], now=0))
    for path, body in (("/executions", start), (f"/executions/{made['id']}/rerun", {})):
        told = problem(host.client.post(path, json=body, headers={"idempotency-key": "gone"}), 410, "gone")
        assert "Nothing was done now" in told["hint"]


def test_an_idempotency_key_of_an_api_key_is_not_stored_and_makes_no_two_keys_equal(host: Host) -> None:
    body = {"name": "ci", "scopes": ["read"]}
    first = host.client.post("/api-keys", json=body, headers={"idempotency-key": "secret-seed"}).json()
    other = host.client.post("/api-keys", json=body, headers={"idempotency-key": "secret-seed-2"}).json()
    assert first["key"] != other["key"]
    with host.bare(authorization=f"Bearer {first['key']}") as ci:
        assert ci.get("/workflows").status_code == 200
    stored = b"".join(file.read_bytes() for file in host.settings.data_dir.glob("aicflow.db*"))
    assert b"secret-seed" not in stored
    assert first["key"].encode() not in stored


def test_a_bulk_rerun_tells_of_each_and_never_stops_in_the_middle(host: Host) -> None:
    for name in ("stays", "goes"):
        host.save(ECHO, id=name)
    since = host.client.post("/executions?wait=10", json={"workflow_id": "stays"}).json()["created_at"]
    kept = [host.start("stays", number)["id"] for number in range(2)]
    lost = host.start("goes")["id"]
    kept.append(host.start("stays")["id"])
    assert host.client.delete("/workflows/goes").status_code == 204
    body = {"status": ["succeeded"], "created_after": since, "limit": 4}
    answer = host.client.post("/executions/bulk-rerun", json=body, headers={"idempotency-key": "bulk"})
    told = answer.json()
    assert (answer.status_code, told["done"], told["failed"], told["has_more"]) == (200, 3, 1, True)
    failed = [one for one in told["results"] if one["status"] == "failed"]
    assert [(one["execution_id"], one["error"]["code"], one["started"]) for one in failed] == [
        (lost, "not-found", None)
    ]
    assert {one["execution_id"] for one in told["results"] if one["started"]} == set(kept)
    again = host.client.post("/executions/bulk-rerun", json=body, headers={"idempotency-key": "bulk"})
    assert again.json() == told
