"""Workflows that call each other, saved over HTTP."""

from __future__ import annotations

from typing import Any

from .conftest import Host, problem

ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def called(**more: Any) -> dict[str, Any]:
    node = {"id": "w", "type": "wait", "params": {"seconds": 0}}
    return {"aicflow": 1, "name": "called", "nodes": [node], "output": {"total": 1}, **more}


def calling(input: Any, field: str = "total", workflow: str = "called") -> dict[str, Any]:
    node = {"id": "call", "type": "workflow.call", "params": {"workflow": workflow, "input": input}}
    output = "${{ nodes.call.output.output." + field + " }}"
    return {"aicflow": 1, "name": "caller", "nodes": [node], "output": output}


def codes(answer: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["pointer"]) for one in answer.json().get("issues", answer.json().get("errors"))]


def test_a_call_is_checked_against_the_saved_workflow(host: Host) -> None:
    early = host.client.post("/workflows?id=early", json=calling({"id": 1}))
    assert early.status_code == 201
    assert codes(early) == [("ref.unknown-workflow", "/nodes/0/params/workflow")]
    late = host.client.post("/workflows?id=called", json=called(input_schema=ORDER, output={"sum": 1}))
    assert codes(late) == [("call.broken-caller", "")], "it was there before"
    assert "'caller' (early)" in late.json()["issues"][0]["message"]

    wrong = host.client.post("/workflows", json=calling({"id": "one"}, "sum"))
    assert problem(wrong, 422, "workflow-invalid")
    assert codes(wrong) == [("type.mismatch", "/nodes/0/params/input/id")]
    right = host.save(calling({"id": 1}, "sum"), id="right")
    assert right["issues"] == []
    assert host.start("right")["output"] == 1


def test_a_save_tells_whom_it_breaks(host: Host) -> None:
    saved = host.save(called(input_schema=ORDER), id="sub")
    host.save(calling({"id": 1}, workflow="sub"), id="one")
    host.save(calling({"id": 2}, workflow="sub"), id="two")
    path, etag = "/workflows/sub", {"if-match": "*"}
    assert host.client.get(f"{path}/callers").json()["callers"] == [
        {"workflow_id": id, "name": "caller", "pointer": "/nodes/0/params/workflow", "kind": "call"}
        for id in ("one", "two")
    ]
    problem(host.client.get("/workflows/none/callers"), 404, "not-found")

    wider = called(input_schema={**ORDER, "properties": {"id": {"type": ["integer", "string"]}}})
    assert host.client.put(path, json=wider, headers=etag).json()["issues"] == []
    stricter = called(input_schema={**ORDER, "properties": {"id": {"minimum": 2, "type": "integer"}}})
    asked = host.client.post("/workflows/validate?id=sub", json=stricter).json()
    assert asked["valid"] is True
    answer = host.client.put(path, json=stricter, headers=etag)
    assert answer.json()["issues"] == asked["issues"]
    assert codes(answer) == [("call.broken-caller", "/input_schema")]
    assert "(one)" in answer.json()["issues"][0]["message"]
    assert "/nodes/0/params/input/id" in answer.json()["issues"][0]["message"]

    other = called(input_schema=stricter["input_schema"], output={"sum": 1})
    assert codes(host.client.put(path, json=other, headers=etag)) == [("call.broken-caller", "/output")] * 2
    restored = host.client.post(f"{path}/versions/{saved['version']}/restore")
    assert restored.json()["issues"] == []
    host.client.patch("/workflows/two", json={"enabled": False})
    left = host.client.put(path, json=other, headers=etag).json()["issues"]
    assert left, "it is told again"
    assert all("(one)" in issue["message"] for issue in left), "what is switched off calls nobody"
