"""Workflows that start when executions of others have ended."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Host, problem

SOURCE = {
    "aicflow": 1,
    "name": "source",
    "nodes": [{"id": "say", "type": "test.echo", "params": {"value": "${{ input.n + 1 }}"}}],
    "output": {"next": "${{ nodes.say.output }}"},
}


def after(*workflows: str, **params: Any) -> dict[str, Any]:
    return {
        "aicflow": 1,
        "name": "after",
        "triggers": [{"id": "end", "type": "trigger.workflow", "params": {"workflows": [*workflows], **params}}],
        "nodes": [{"id": "say", "type": "test.echo", "params": {"value": "${{ input }}"}}],
        "output": "${{ nodes.say.output }}",
    }


def by_label(**params: Any) -> dict[str, Any]:
    document = after()
    return {**document, "triggers": [{"id": "end", "type": "trigger.workflow", "params": params}]}


def inputs(host: Host, workflow_id: str) -> list[Any]:
    page = host.client.get("/executions", params={"workflow_id": workflow_id}).json()["data"]
    return [host.client.get(f"/executions/{one['id']}").json()["input"] for one in reversed(page)]


def quiet(host: Host) -> None:
    """Nothing is left to be told, and nothing runs."""

    def at_rest() -> bool:
        left = host.do(host.runtime.store.executions.announced(limit=9))
        busy = host.client.get("/executions", params={"status": "running"}).json()["data"]
        return not left and not busy

    host.until(at_rest)


def test_an_end_starts_what_waits_for_it(host: Host) -> None:
    source = host.save(SOURCE)["id"]
    succeeded = host.save(after(source))["id"]
    failed = host.save(after(source, status=["failed", "cancelled"]))["id"]
    high = host.save(after(source, filter="trigger.output.next > 10"))["id"]
    other = host.save(after("nowhere"))["id"]
    good, bad = host.start(source, {"n": 1}), host.start(source, {"n": "x"})
    best = host.start(source, {"n": 41})
    quiet(host)
    assert [(one["execution_id"], one["output"]) for one in inputs(host, succeeded)] == [
        (good["id"], {"next": 2}),
        (best["id"], {"next": 42}),
    ]
    first = inputs(host, succeeded)[0]
    assert first | {"finished_at": None} == {
        "execution_id": good["id"],
        "workflow_id": source,
        "version": 1,
        "status": "succeeded",
        "output": {"next": 2},
        "error": None,
        "finished_at": None,
    }
    [report] = inputs(host, failed)
    assert (report["execution_id"], report["status"], report["output"]) == (bad["id"], "failed", None)
    assert report["error"]["node_id"] == "say"
    assert [one["execution_id"] for one in inputs(host, high)] == [best["id"]]
    assert inputs(host, other) == []
    [run] = host.client.get("/executions", params={"workflow_id": high}).json()["data"]
    assert (run["trigger"]["type_id"], run["trigger"]["key"]) == ("trigger.workflow", best["id"])


def test_ends_are_found_by_the_labels_of_their_workflows(host: Host) -> None:
    billing = host.save({**SOURCE, "labels": {"team": "billing", "env": "prod"}})["id"]
    sales = host.save({**SOURCE, "labels": {"team": "sales"}})["id"]
    follower = host.save(by_label(labels={"team": "billing"}))["id"]
    host.start(sales, {"n": 1})
    host.start(billing, {"n": 2})
    quiet(host)
    assert [one["workflow_id"] for one in inputs(host, follower)] == [billing]


def test_what_is_paused_or_a_draft_starts_nothing(host: Host) -> None:
    source = host.save(SOURCE)["id"]
    waiting = host.save(after(source))["id"]
    bare = {**after(source), "triggers": []}
    draft = host.save(bare)["id"]
    assert host.client.post(f"/workflows/{draft}/drafts", json=after(source)).status_code == 201
    host.client.post(f"/triggers/{waiting}:end/pause")
    host.start(source, {"n": 1})
    quiet(host)
    host.client.post(f"/triggers/{waiting}:end/resume")
    host.start(source, {"n": 2})
    quiet(host)
    assert [one["output"] for one in inputs(host, waiting)] == [{"next": 3}]
    assert inputs(host, draft) == []


def test_no_workflow_starts_itself(host: Host) -> None:
    own = host.client.post("/workflows?id=ownend", json=after("ownend"))
    told = problem(own, 422, "workflow-invalid")["errors"]
    assert [(one["code"], one["pointer"]) for one in told] == [("call.circle", "/triggers/0/params/workflows/0")]
    labelled = {**by_label(labels={"a": "b"}), "labels": {"a": "b", "c": "d"}}
    told = problem(host.client.post("/workflows", json=labelled), 422, "workflow-invalid")["errors"]
    assert [(one["code"], one["pointer"]) for one in told] == [("call.circle", "/triggers/0/params/labels")]


def test_a_circle_of_workflows_comes_to_an_end(host: Host) -> None:
    host.save(after("pong"), id="ping")
    saved = host.client.post("/workflows?id=pong", json=after("ping"))
    assert [one["code"] for one in saved.json()["issues"]] == ["call.circle"]
    assert "pong → ping → pong" in saved.json()["issues"][0]["message"]
    host.start("ping", 1)
    refused = host.until(
        lambda: [
            one
            for name in ("ping", "pong")
            for one in host.client.get(f"/triggers/{name}:end/deliveries").json()["data"]
            if one["error"]
        ]
    )
    assert "100 deep" in refused[0]["error"]
    quiet(host)
    total = sum(
        len(host.client.get(f"/executions?workflow_id={name}&limit=200").json()["data"]) for name in ("ping", "pong")
    )
    assert total == 100


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "param.invalid"),
        ({"workflows": ["a"], "labels": {"a": "b"}}, "param.invalid"),
        ({"workflows": ["a"], "status": []}, "param.invalid"),
        ({"workflows": ["a"], "status": ["done"]}, "param.invalid"),
        ({"workflows": ["a"], "filter": "trigger.("}, "expr.syntax"),
        ({"workflows": ["a"], "filter": "input.x"}, "ref.unknown-name"),
        ({"workflow": "a"}, "param.unknown"),
    ],
)
def test_params_that_say_nothing(host: Host, params: Any, code: str) -> None:
    told = problem(host.client.post("/workflows", json=by_label(**params)), 422, "workflow-invalid")["errors"]
    assert code in [one["code"] for one in told]


def test_the_payload_has_the_types_of_the_workflows(host: Host) -> None:
    source = {**SOURCE, "output": {"total": 1}}
    one, two = host.save(source)["id"], host.save({**source, "output": {"total": "x"}})["id"]

    def issues(field: str, *names: str, **params: Any) -> list[str]:
        document = after(*names, **params)
        document["triggers"][0]["input"] = "${{ trigger.output" + field + " }}"
        found = host.client.post("/workflows/validate", json=document).json()["issues"]
        return [one["code"] for one in found]

    assert issues(".total + 1", one) == []
    assert issues(".totl", one) == ["type.unknown-field"]
    assert issues(".total + 1", one, two) == ["type.maybe-mismatch"]
    assert issues(".total + 1", one, status=["succeeded", "failed"]) == ["type.maybe-null"]
    assert issues(".total", one, status=["failed"]) != []
    assert issues(".anything", one, "nowhere") == ["ref.unknown-workflow"]
