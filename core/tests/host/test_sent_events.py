"""Events over the API: sending, the steps and workflows that they wake and start, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ECHO, Host, problem

WAITS = {
    "aicflow": 1,
    "name": "waits",
    "nodes": [{"id": "paid", "type": "wait", "params": {"event": {"name": "order.paid", "key": "${{ input.order }}"}}}],
    "output": "${{ nodes.paid.output.answer?.data }}",
}


def on_event(**params: Any) -> dict[str, Any]:
    return {
        **ECHO,
        "name": "on event",
        "triggers": [
            {"id": "on", "type": "trigger.event", "params": params, "input": {"text": "${{ json(trigger.data) }}"}}
        ],
    }


def started(host: Host, workflow_id: str) -> list[Any]:
    page = host.client.get("/executions", params={"workflow_id": workflow_id}).json()["data"]
    return [host.client.get(f"/executions/{one['id']}").json() for one in reversed(page)]


def send(host: Host, **event: Any) -> Any:
    return host.client.post("/events", json={"name": "order.paid", **event})


def test_an_event_wakes_a_step_and_is_kept(host: Host) -> None:
    workflow = host.save(WAITS)
    execution = host.start(workflow["id"], {"order": "A-1"}, wait=None)
    path = f"/executions/{execution['id']}"
    host.until(lambda: host.client.get(path).json()["status"] == "waiting")
    assert "event order.paid with key A-1" in host.client.get(f"{path}/why").text
    answer = send(host, key="A-1", data={"total": 3}, id="evt-1")
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/events/evt-1"
    assert answer.json()["received"] == 1
    host.until(lambda: host.client.get(path).json()["finished_at"])
    assert host.client.get(path).json()["output"] == {"total": 3}
    again = send(host, key="A-1", data={"total": 4}, id="evt-1")
    assert (again.status_code, again.json()) == (200, answer.json())
    assert host.client.get("/events/evt-1").json() == answer.json()
    for query, ids in (({"key": "A-1"}, ["evt-1"]), ({"name": "order.paid", "key": "A-2"}, [])):
        assert [one["id"] for one in host.client.get("/events", params=query).json()["data"]] == ids
    problem(host.client.get("/events/none"), 404, "not-found")


def test_an_event_starts_each_workflow_once(host: Host) -> None:
    every = host.save(on_event(name="stock.low"))
    some = host.save(on_event(name="stock.low", key="7", filter="trigger.data.left < 3"))
    host.save(on_event(name="stock.high"))
    for key, left in (("7", 1), ("7", 5), ("8", 2)):
        for _ in range(2):
            assert send(host, name="stock.low", key=key, data={"left": left}, id=f"{key}-{left}").status_code in (
                200,
                201,
            )
    send(host, name="stock.low", data="no object", key="7")
    host.until(lambda: len(started(host, every["id"])) == 4)
    assert [one["trigger"]["key"] for one in started(host, some["id"])] == ["7-1"]
    keys = [one["trigger"]["key"] for one in started(host, every["id"])]
    assert sorted(keys[:3]) == ["7-1", "7-5", "8-2"]
    payload = started(host, some["id"])[0]["trigger"]["payload"]
    assert (payload["name"], payload["key"], payload["data"]) == ("stock.low", "7", {"left": 1})


def test_a_paused_trigger_is_not_fired(host: Host) -> None:
    workflow = host.save(on_event(name="pause.me"))
    binding = f"{workflow['id']}:on"
    host.client.post(f"/triggers/{binding}/pause")
    send(host, name="pause.me", data=1)
    host.until(lambda: not host.do(host.runtime.store.sent.pending(limit=9)))
    host.client.post(f"/triggers/{binding}/resume")
    send(host, name="pause.me", data=2)
    host.until(lambda: started(host, workflow["id"]))
    assert [one["trigger"]["payload"]["data"] for one in started(host, workflow["id"])] == [2]


def test_what_does_not_fit_the_workflow_is_kept_as_a_delivery(host: Host) -> None:
    workflow = host.save(
        {**on_event(name="misfit"), "input_schema": {"type": "object", "properties": {"text": {"const": "1"}}}}
    )
    send(host, name="misfit", data=2)
    path = f"/triggers/{workflow['id']}:on/deliveries"
    host.until(lambda: host.client.get(path).json()["data"])
    delivery = host.client.get(path).json()["data"][0]
    assert (delivery["execution_id"], "text" in delivery["error"]) == (None, True)


def test_a_filter_that_fails_is_seen(host: Host) -> None:
    workflow = host.save(on_event(name="odd", filter="trigger.data.left < 3"))
    other = host.save(on_event(name="odd", filter="trigger.data"))
    send(host, name="odd", data="no object", id="odd-1")
    for id, said in ((workflow["id"], "could not be evaluated"), (other["id"], "neither true nor false")):
        path = f"/triggers/{id}:on/deliveries"
        host.until(lambda path=path: host.client.get(path).json()["data"])
        [delivery] = host.client.get(path).json()["data"]
        assert said in delivery["error"]
        assert (delivery["key"], delivery["execution_id"]) == ("odd-1", None)
        assert started(host, id) == []
    with host.bare(authorization=f"Bearer {host.key}") as client:
        figures = client.get(host.url + "/metrics").text
    assert 'aicflow_trigger_failures_total{trigger_type="trigger.event"}' in figures


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "no spaces"}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 129}, "/name"),
        ({}, "/name"),
        ({"name": "a", "key": ""}, "/key"),
        ({"name": "a", "key": True}, "/key"),
        ({"name": "a", "key": 1.5}, "/key"),
        ({"name": "a", "key": "k" * 513}, "/key"),
        ({"name": "a", "ttl": -1}, "/ttl"),
        ({"name": "a", "ttl": 1e9}, "/ttl"),
        ({"name": "a", "id": "a b"}, "/id"),
        ({"name": "a", "datum": 1}, "/datum"),
    ],
)
def test_an_event_that_is_none(host: Host, body: dict[str, Any], pointer: str) -> None:
    refused = problem(host.client.post("/events", json=body), 422, "request-invalid")
    assert [one["pointer"] for one in refused["errors"]] == [pointer]


def test_an_event_that_is_too_large(host: Host) -> None:
    refused = problem(send(host, data="x" * 262_143), 413, "body-too-large")
    assert "AICFLOW_MAX_EVENT_BYTES" in refused["detail"]
    assert send(host, data="x" * 262_142).status_code == 201


def test_who_may_send_and_who_may_read(host: Host) -> None:
    def client(*scopes: str) -> Any:
        made = host.client.post("/api-keys", json={"name": "k", "scopes": list(scopes)}).json()
        return host.bare(authorization=f"Bearer {made['key']}")

    with client("execute") as sender, client("read") as reader:
        sent = sender.post("/events", json={"name": "a", "data": {"s": 1}})
        assert (sent.status_code, sent.json()["data"]) == (201, None)
        assert reader.get(f"/events/{sent.json()['id']}").json()["data"] == {"s": 1}
        problem(sender.get("/events"), 403, "forbidden")
        problem(reader.post("/events", json={"name": "a"}), 403, "forbidden")


def test_a_repeated_request_sends_once(host: Host) -> None:
    headers = {"idempotency-key": "send-1"}
    first = host.client.post("/events", json={"name": "once", "key": 5}, headers=headers)
    again = host.client.post("/events", json={"name": "once", "key": 5}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["key"] == "5"
    other = host.client.post("/events", json={"name": "once", "key": 6}, headers=headers)
    problem(other, 422, "idempotency-mismatch")
    assert len(host.client.get("/events", params={"name": "once"}).json()["data"]) == 1


@pytest.mark.parametrize(
    ("params", "code", "pointer"),
    [
        ({"name": "a", "filter": "trigger.data >"}, "expr.syntax", "/triggers/0/params/filter"),
        ({"name": "a", "filter": "input.x == 1"}, "ref.unknown-name", "/triggers/0/params/filter"),
        ({"name": "a b"}, "param.invalid", "/triggers/0/params/name"),
        ({}, "param.missing", "/triggers/0/params"),
    ],
)
def test_a_trigger_that_cannot_be(host: Host, params: dict[str, Any], code: str, pointer: str) -> None:
    refused = problem(host.client.post("/workflows", json=on_event(**params)), 422, "workflow-invalid")
    assert (code, pointer) in [(one["code"], one["pointer"]) for one in refused["errors"]]
