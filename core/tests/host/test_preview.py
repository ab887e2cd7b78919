"""Trying expressions out against executions, over HTTP and on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Host, problem

DOCUMENT = {
    "aicflow": 1,
    "name": "three in a row",
    "vars": {"limit": 5},
    "nodes": [
        {"id": "first", "type": "test.echo", "params": {"value": "${{ input }}"}},
        {"id": "bad", "type": "test.chatter", "params": {"lines": "${{ input.word }}"}},
        {"id": "last", "type": "test.echo", "params": {"value": "${{ nodes.bad.error.code }}"}},
    ],
    "edges": [{"from": "first", "to": "bad"}, {"from": "bad", "port": "error", "to": "last"}],
}


@pytest.fixture(scope="module")
def ended(host: Host) -> dict[str, Any]:
    """An execution with a caught failure."""
    workflow = host.save(DOCUMENT, id="three")
    return host.start(workflow["id"], {"n": 2, "word": "many"})


def preview(host: Host, expression: str, **body: Any) -> Any:
    answer = host.client.post("/workflows/three/preview-expression", json={"expression": expression, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_data_of_an_execution(host: Host, ended: dict[str, Any]) -> None:
    at = {"execution_id": ended["id"]}
    assert ended["status"] == "succeeded"
    assert preview(host, "input.n + vars.limit", **at) == {"ok": True, "value": 7, "type": "integer"}
    assert preview(host, "nodes.first.output", **at)["value"] == {"n": 2, "word": "many"}
    assert preview(host, "nodes.bad.error.code", **at)["value"] == preview(host, "nodes.last.output", **at)["value"]
    assert preview(host, "nodes.bad.output", **at) == {"ok": True, "value": None, "type": "null"}
    assert preview(host, "n is ${{ input.n }}", **at)["value"] == "n is 2"
    assert preview(host, "execution.id", **at)["value"] == ended["id"]


def test_as_a_node_sees_it(host: Host, ended: dict[str, Any]) -> None:
    at = {"execution_id": ended["id"], "node_id": "bad"}
    assert preview(host, "has(nodes.first)", **at)["value"] is True
    assert preview(host, "has(nodes.last) or has(nodes.bad)", **at)["value"] is False
    body = {"expression": "1", **at, "node_id": "none"}
    refused = host.client.post("/workflows/three/preview-expression", json=body)
    assert problem(refused, 422, "request-invalid")["errors"][0]["pointer"] == "/node_id"


def test_without_an_execution(host: Host, ended: dict[str, Any]) -> None:
    assert preview(host, "vars.limit * 2")["value"] == 10
    assert preview(host, "input.a + vars.limit", scope={"input": {"a": 1}})["value"] == 6
    assert preview(host, "vars.limit", scope={"vars": {"limit": 0}})["value"] == 0
    assert preview(host, "nodes.x.output", scope={"nodes": {"x": {"output": [1]}}})["value"] == [1]


@pytest.mark.parametrize(
    ("expression", "code", "part"),
    [
        ("input.nn", "eval.missing-key", "nn"),
        ("1 +", "expr.syntax", ""),
        ("a ${{ input }} b", "template.object", "${{ input }}"),
        ("${{ 1 + 'a' }}", "eval.type", "1 + 'a'"),
        ("secrets.KEY", "secret.not-allowed", "secrets.KEY"),
        ("${{ secrets.KEY }}", "secret.not-allowed", "secrets.KEY"),
        ("secrets.KEY + 'a'", "secret.not-allowed", "secrets.KEY"),
        ("${{ open", "template.unclosed", "${{"),
    ],
)
def test_errors_are_answers(host: Host, ended: dict[str, Any], expression: str, code: str, part: str) -> None:
    found = preview(host, expression, execution_id=ended["id"])
    assert (found["ok"], found["error"]["code"]) == (False, code)
    assert expression[slice(*found["error"]["span"])] == part
    assert "value" not in found


def test_what_is_refused(host: Host, ended: dict[str, Any]) -> None:
    path = "/workflows/three/preview-expression"
    problem(host.client.post("/workflows/none/preview-expression", json={"expression": "1"}), 404, "not-found")
    problem(host.client.post(path, json={"expression": "1", "execution_id": "ex_none"}), 404, "not-found")
    other = host.save({**DOCUMENT, "name": "other"}, id="other")
    body = {"expression": "1", "execution_id": ended["id"]}
    problem(host.client.post(f"/workflows/{other['id']}/preview-expression", json=body), 422, "request-invalid")
    for wrong in ({}, {"expression": ""}, {"expression": 1}, {"expression": "1", "scope": {"secrets": {"A": "b"}}}):
        problem(host.client.post(path, json=wrong), 422, "request-invalid")


def test_a_bomb_is_an_answer_too(host: Host, ended: dict[str, Any]) -> None:
    source = "[" * 12 + "1" + " for a in [1,2,3,4,5,6,7,8]]" * 12
    assert preview(host, source)["error"]["code"] == "eval.limit"


def test_the_command_line_asks_the_server(host: Host, ended: dict[str, Any], monkeypatch: Any, capsys: Any) -> None:
    from aicflow.cli.program import run_program

    monkeypatch.setenv("AICFLOW_URL", host.url)
    monkeypatch.setenv("AICFLOW_API_KEY", host.key)
    assert run_program(["eval", "nodes.first.output.n + 1", "--execution", ended["id"], "--node", "bad"]) == 0
    assert json.loads(capsys.readouterr().out) == 3
    assert run_program(["eval", "input.n + a", "--execution", ended["id"], "--output", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "ref.unknown-name"
    assert run_program(["eval", "1", "--execution", "ex_none"]) == 2
