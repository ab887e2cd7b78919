"""Saving, reading, changing and deleting workflows over HTTP."""

from __future__ import annotations

import copy
import re

import pytest

from .conftest import ECHO, Host, problem


def test_a_workflow_lives_from_its_first_version_to_its_deletion(host: Host) -> None:
    saved = host.client.post("/workflows", json=ECHO)
    assert saved.status_code == 201
    workflow = saved.json()
    assert saved.headers["location"] == f"/api/v1/workflows/{workflow['id']}"
    assert workflow | {"document": None} == workflow | {"version": 1, "enabled": True, "document": None, "issues": []}
    assert workflow["document"] == ECHO
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", workflow["created_at"])

    read = host.client.get(f"/workflows/{workflow['id']}")
    assert read.headers["etag"] == saved.headers["etag"]
    assert read.json()["document"] == ECHO
    same = host.client.get(f"/workflows/{workflow['id']}", headers={"if-none-match": read.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")

    changed = {**ECHO, "description": "Says it again"}
    path = f"/workflows/{workflow['id']}"
    second = host.client.put(path, json=changed, headers={"if-match": read.headers["etag"]})
    assert second.status_code == 200
    assert (second.json()["version"], second.json()["description"]) == (2, "Says it again")
    assert second.headers["etag"] != read.headers["etag"]

    problem(host.client.put(path, json=ECHO, headers={"if-match": read.headers["etag"]}), 412, "revision-mismatch")
    problem(host.client.put(path, json=ECHO), 428, "precondition-required")
    again = host.client.put(path, json=changed, headers={"if-match": "*"})
    assert again.json()["version"] == 2, "an equal document makes no version"

    restored = host.client.post(f"{path}/versions/1/restore")
    assert (restored.json()["version"], restored.json()["document"]) == (3, ECHO)
    versions = host.client.get(f"{path}/versions").json()
    assert [one["version"] for one in versions["data"]] == [3, 2, 1]
    assert "document" not in versions["data"][0]
    assert host.client.get(f"{path}/versions/2").json()["document"] == changed
    problem(host.client.get(f"{path}/versions/9"), 404, "not-found")

    assert host.client.delete(path, headers={"if-match": '"0-1"'}).status_code == 412
    assert host.client.delete(path).status_code == 204
    problem(host.client.get(path), 404, "not-found")
    problem(host.client.delete(path), 404, "not-found")


def test_a_workflow_can_be_switched_off_and_on(host: Host) -> None:
    workflow = host.save({**ECHO, "name": "switched"}, enabled="false")
    assert workflow["enabled"] is False
    refused = host.client.post("/executions", json={"workflow_id": workflow["id"]})
    problem(refused, 409, "workflow-disabled")

    answer = host.client.patch(f"/workflows/{workflow['id']}", json={"enabled": True})
    assert answer.json()["enabled"] is True
    stale = {"if-match": '"0-99"'}
    problem(
        host.client.patch(f"/workflows/{workflow['id']}", json={"enabled": False}, headers=stale),
        412,
        "revision-mismatch",
    )
    assert host.start(workflow["id"], 5)["output"] == 5
    found = host.client.get("/workflows", params={"enabled": "true", "name": "SWITCH"}).json()["data"]
    assert [one["id"] for one in found] == [workflow["id"]]
    assert "document" not in found[0]


def test_an_own_id_is_taken_once(host: Host) -> None:
    assert host.save(ECHO, id="my-own")["id"] == "my-own"
    problem(host.client.post("/workflows?id=my-own", json=ECHO), 409, "conflict")
    bad = problem(host.client.post("/workflows?id=../x", json=ECHO), 422, "request-invalid")
    assert (bad["errors"][0]["pointer"], bad["errors"][0]["in"]) == ("/id", "query")


def test_an_etag_of_a_deleted_workflow_does_not_fit_its_successor(host: Host) -> None:
    first = host.client.post("/workflows?id=phoenix", json=ECHO)
    host.client.delete("/workflows/phoenix")
    host.save(ECHO, id="phoenix")
    answer = host.client.put("/workflows/phoenix", json=ECHO, headers={"if-match": first.headers["etag"]})
    problem(answer, 412, "revision-mismatch")


def test_yaml_is_as_good_as_json(host: Host) -> None:
    text = """
aicflow: 1
name: from-yaml
vars: {when: 2026-11-23, norway: no}
nodes:
  - id: say
    type: test.echo
    params: {value: "${{ vars }}"}
output: ${{ nodes.say.output }}
"""
    answer = host.client.post("/workflows", content=text, headers={"content-type": "application/yaml; charset=utf-8"})
    assert answer.status_code == 201, answer.text
    assert host.start(answer.json()["id"])["output"] == {"when": "2026-11-23", "norway": "no"}


def test_a_workflow_with_errors_is_refused_with_all_of_them(host: Host) -> None:
    before = host.stored()
    document = copy.deepcopy(ECHO)
    document["nodes"] += [{"id": "say", "type": "test.ecko"}, {"id": "x", "type": "test.echo", "params": {"valeu": 1}}]
    document["edges"] = [{"from": "x", "to": "nowhere"}]
    body = problem(host.client.post("/workflows", json=document), 422, "workflow-invalid")
    pointers = {error["pointer"]: error["code"] for error in body["errors"] if error["severity"] == "error"}
    assert pointers["/nodes/1/type"] == "node.unknown-type"
    assert pointers["/nodes/2/params/valeu"] == "param.unknown"
    assert pointers["/edges/0/to"] == "edge.unknown-node"
    assert any("test.echo" in error.get("hint", "") for error in body["errors"])
    assert host.stored() == before

    checked = host.client.post("/workflows/validate", json=document)
    assert checked.status_code == 200
    assert checked.json()["valid"] is False
    assert {issue["pointer"] for issue in checked.json()["issues"]} >= set(pointers)
    assert host.client.post("/workflows/validate", json=ECHO).json() == {"valid": True, "issues": []}


def test_a_refused_change_leaves_the_old_version(host: Host) -> None:
    workflow = host.save(ECHO)
    path = f"/workflows/{workflow['id']}"
    problem(host.client.put(path, json={**ECHO, "nodes": []}, headers={"if-match": "*"}), 422, "workflow-invalid")
    assert host.client.get(path).json()["revision"] == workflow["revision"]


def test_a_page_leads_to_the_next(host: Host) -> None:
    made = {host.save({**ECHO, "name": f"paged {number}"})["id"] for number in range(5)}
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2, "name": "paged", **({"cursor": cursor} if cursor else {})}
        page = host.client.get("/workflows", params=params).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["data"]) == 2
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.parametrize("tag", ['""', '"a" "b"', "unquoted", '"open', ","])
def test_a_malformed_if_match_is_told(host: Host, tag: str) -> None:
    host.client.post("/workflows?id=tagged", json=ECHO)
    answer = host.client.put("/workflows/tagged", json=ECHO, headers={"if-match": tag})
    if tag == '""':  # well-formed, and of another revision
        problem(answer, 412, "revision-mismatch")
    else:
        body = problem(answer, 422, "request-invalid")
        assert body["errors"][0]["in"] == "header"


def test_a_weak_tag_never_allows_a_change(host: Host) -> None:
    tag = host.client.post("/workflows", json=ECHO)
    path = tag.headers["location"].removeprefix("/api/v1")
    answer = host.client.put(path, json=ECHO, headers={"if-match": "W/" + tag.headers["etag"]})
    problem(answer, 412, "revision-mismatch")
    both = f'"x-1", {tag.headers["etag"]}'
    assert host.client.put(path, json=ECHO, headers={"if-match": both}).status_code == 200


def test_a_draft_is_kept_and_tried_without_becoming_the_current_version(host: Host) -> None:
    workflow = host.save(ECHO)
    path = f"/workflows/{workflow['id']}"
    draft = {**ECHO, "output": "from the draft"}
    kept = host.client.post(f"{path}/drafts", json=draft)
    assert (kept.status_code, kept.json()["version"]) == (201, 2)
    assert kept.headers["location"] == f"/api/v1{path}/versions/2"
    assert host.client.get(path).json()["version"] == 1
    assert host.start(workflow["id"], "now")["output"] == "now"
    body = {"workflow_id": workflow["id"], "version": 2}
    assert host.client.post("/executions?wait=10", json=body).json()["output"] == "from the draft"
    problem(host.client.post(f"{path}/drafts", json={**ECHO, "nodes": []}), 422, "workflow-invalid")
    restored = host.client.post(f"{path}/versions/2/restore").json()
    assert (restored["version"], restored["document"]) == (2, draft)


def test_two_versions_are_compared_in_meaning(host: Host) -> None:
    host.save(ECHO, id="compared")
    address = "/workflows/compared/diff"
    problem(host.client.get(address), 422, "request-invalid")
    two = {**ECHO, "nodes": [{"id": "say", "type": "test.echo", "params": {"value": "${{ input.x }}"}}]}
    three = {**two, "name": "renamed", "nodes": [*two["nodes"], {"id": "more", "type": "test.echo"}]}
    for document in (two, three):
        assert host.client.put("/workflows/compared", json=document, headers={"if-match": "*"}).status_code == 200
    told = host.client.get(address).json()
    assert (told["workflow_id"], told["from"], told["to"]) == ("compared", 2, 3)
    assert [(c["kind"], c["what"], c["name"], c["path"]) for c in told["changes"]] == [
        ("changed", "workflow", "", "name"),
        ("added", "node", "more", ""),
    ]
    first = host.client.get(address, params={"to": 2}).json()
    assert (first["from"], first["to"]) == (1, 2)
    assert first["changes"] == [
        {
            "kind": "changed", "what": "node", "name": "say", "path": "params.value",
            "old": "${{ input }}", "new": "${{ input.x }}",
            "old_pointer": "/nodes/0/params/value", "new_pointer": "/nodes/0/params/value",
        }
    ]  # fmt: skip
    back = host.client.get(address, params={"from": 3, "to": 1}).json()
    assert {c["kind"] for c in back["changes"]} == {"changed", "removed"}
    assert host.client.get(address, params={"from": 2, "to": 2}).json()["changes"] == []
    problem(host.client.get(address, params={"from": 9}), 404, "not-found")
    problem(host.client.get("/workflows/none/diff"), 404, "not-found")
    for wrong in ({"from": 0}, {"to": "x"}, {"form": 1}, {"to": 1}):
        problem(host.client.get(address, params=wrong), 422, "request-invalid")


def test_what_is_saved_is_made_ready_to_run_before_anybody_asks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = host.runtime.executions._plans
    workflow = host.save({**ECHO, "name": "ready"})
    host.until(lambda: (workflow["id"], 1) in plans._plans, "the plan of version 1")
    host.client.put(
        f"/workflows/{workflow['id']}", json={**ECHO, "name": "ready", "description": "new"}, headers={"if-match": "*"}
    )
    host.until(lambda: (workflow["id"], 2) in plans._plans, "the plan of version 2")

    def late(*args: object, **more: object) -> None:
        raise AssertionError("it was left for the first execution")

    monkeypatch.setattr("aicflow.engine.worker.plans.build_plan", late)
    assert host.start(workflow["id"], {"value": 1})["status"] == "succeeded"
