"""Triggers follow what is saved, at once and over restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import ECHO, Host, Ring, problem


def rung(tone: str, **trigger: Any) -> dict[str, Any]:
    return {
        **ECHO,
        "name": f"bell {tone}",
        "triggers": [{"id": "bell", "type": "test.bell", "params": {"tone": tone}, **trigger}],
    }


@pytest.fixture(autouse=True)
def _silence() -> None:
    Ring.seen.clear()


def test_a_trigger_follows_its_workflow(host: Host) -> None:
    workflow = host.save(rung("follow"))
    binding = f"{workflow['id']}:bell"
    shown = host.client.get(f"/triggers/{binding}").json()
    assert shown == {
        "id": binding, "workflow_id": workflow["id"], "trigger_id": "bell", "type_id": "test.bell", "version": 1,
        "status": "active", "params": {"tone": "follow"}, "problem": None,
    }  # fmt: skip
    path = f"/workflows/{workflow['id']}"
    host.client.put(path, json={**rung("follow"), "description": "second"}, headers={"if-match": "*"})
    host.client.patch(path, json={"enabled": False})
    problem(host.client.get(f"/triggers/{binding}"), 404, "not-found")
    host.client.patch(path, json={"enabled": True})
    host.client.put(path, json=ECHO, headers={"if-match": "*"})
    host.client.put(path, json=rung("follow", enabled=False), headers={"if-match": "*"})
    host.client.put(path, json=rung("follow"), headers={"if-match": "*"})
    host.client.delete(path)
    assert [(what, version) for what, name, version, _ in Ring.seen if name == binding] == [
        ("activate", 1), ("activate", 2), ("deactivate", 2), ("activate", 2), ("deactivate", 2),
        ("activate", 5), ("deactivate", 5),
    ]  # fmt: skip
    assert host.client.get("/triggers", params={"workflow_id": workflow["id"]}).json()["data"] == []


def test_firing_maps_the_payload_and_keeps_the_delivery(host: Host) -> None:
    mapped = rung("fire", input={"text": "${{ trigger.word }}"})
    binding = f"{host.save(mapped)['id']}:bell"
    answer = host.client.post(f"/triggers/{binding}/fire", json={"payload": {"word": "hello"}})
    assert answer.status_code == 202
    execution = answer.json()
    path = f"/executions/{execution['id']}"
    host.until(lambda: host.client.get(path).json()["finished_at"])
    execution = host.client.get(path).json()
    assert execution["output"] == {"text": "hello"}
    assert execution["trigger"].pop("started_by").startswith("key:ak_")
    assert execution["trigger"] | {"payload": None} == {
        "kind": "trigger", "trigger_id": "bell", "type_id": "test.bell", "key": None, "scheduled_for": None,
        "parent_execution_id": None, "parent_node_id": None, "payload": None,
    }  # fmt: skip
    assert execution["trigger"]["payload"] == {"word": "hello"}

    deliveries = host.client.get(f"/triggers/{binding}/deliveries").json()["data"]
    assert [one["execution_id"] for one in deliveries] == [execution["id"]]
    delivery = host.client.get(f"/triggers/{binding}/deliveries/{deliveries[0]['id']}").json()
    assert delivery["payload"] == {"word": "hello"}
    replayed = host.client.post(f"/triggers/{binding}/deliveries/{delivery['id']}/replay")
    assert replayed.status_code == 202
    assert replayed.json()["id"] != execution["id"]
    problem(host.client.get(f"/triggers/{binding}/deliveries/none"), 404, "not-found")

    misfit = host.client.post(f"/triggers/{binding}/fire", json={"payload": {"other": 1}})
    problem(misfit, 422, "input-invalid")
    newest = host.client.get(f"/triggers/{binding}/deliveries").json()["data"][0]
    assert newest["execution_id"] is None
    assert "word" in newest["error"]


def test_a_key_fires_once(host: Host) -> None:
    binding_id = f"{host.save(rung('key'))['id']}:bell"
    binding = host.runtime.trigger_service.get(binding_id).binding
    first = host.do(host.runtime.triggers.fire(binding, {"n": 1}, key="noon", scheduled_for=1.0))
    again = host.do(host.runtime.triggers.fire(binding, {"n": 2}, key="noon"))
    assert (again.execution_id, again.duplicate, first.duplicate) == (first.execution_id, True, False)
    assert host.do(host.runtime.triggers.wait(first.execution_id, 10)).status == "succeeded"
    assert host.do(host.runtime.triggers.running(binding)) == []
    host.do(host.runtime.triggers.save_state(binding, {"last": 1}))
    assert host.do(host.runtime.triggers.load_state(binding)) == {"last": 1}


def test_pausing_is_told_and_kept_over_versions_and_restarts(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        workflow = host.save(rung("pause"))
        binding = f"{workflow['id']}:bell"
        assert host.client.post(f"/triggers/{binding}/pause").json()["status"] == "paused"
        host.client.put(
            f"/workflows/{workflow['id']}",
            json={**rung("pause"), "description": "second"},
            headers={"if-match": "*"},
        )
        assert host.client.get(f"/triggers/{binding}").json()["status"] == "paused"
    with new_host() as again:
        assert again.client.get(f"/triggers/{binding}").json()["status"] == "paused"
        assert again.client.post(f"/triggers/{binding}/resume").json()["status"] == "active"
    assert [(version, paused) for what, _, version, paused in Ring.seen if what == "activate"] == [
        (1, False), (1, True), (2, True), (2, True), (2, False),
    ]  # fmt: skip


def test_two_triggers_that_cannot_both_be_active(host: Host) -> None:
    first = host.save(rung("clash"))
    before = host.stored()
    body = problem(host.client.post("/workflows", json=rung("clash")), 422, "workflow-invalid")
    assert (body["errors"][0]["code"], body["errors"][0]["pointer"]) == ("trigger.conflict", "/triggers/0/params")
    assert "bell clash" in body["errors"][0]["hint"]
    assert host.stored() == before

    second = host.save(rung("clash"), enabled="false")
    refused = host.client.patch(f"/workflows/{second['id']}", json={"enabled": True})
    problem(refused, 422, "workflow-invalid")
    assert host.client.get(f"/workflows/{second['id']}").json()["enabled"] is False
    host.client.delete(f"/workflows/{first['id']}")
    assert host.client.patch(f"/workflows/{second['id']}", json={"enabled": True}).status_code == 200

    twice = rung("own")
    twice["triggers"] = [twice["triggers"][0], {**twice["triggers"][0], "id": "other"}]
    body = problem(host.client.post("/workflows", json=twice), 422, "workflow-invalid")
    assert body["errors"][0]["pointer"] == "/triggers/1/params"


def test_a_trigger_that_cannot_be_activated_is_shown_and_stops_nobody(host: Host) -> None:
    workflow = host.save(rung("cracked", params={"tone": "cracked", "broken": True}))
    shown = host.client.get(f"/triggers/{workflow['id']}:bell").json()
    assert shown["status"] == "failed"
    assert "cracked" in shown["problem"]


def test_next_fires_come_from_the_type(host: Host) -> None:
    binding = f"{host.save(rung('next'))['id']}:bell"
    assert len(host.client.get(f"/triggers/{binding}/next", params={"count": 3}).json()["data"]) == 3
    problem(host.client.get(f"/triggers/{binding}/next?count=0"), 422, "request-invalid")
