"""Nodes, edges, branches and triggers become the document that a person would write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aicflow.kernel.document import WorkflowDocument
from aicflow_sdk import BuildError, Workflow, fn


def edges(wf: Workflow) -> list[str]:
    return [f"{e['from']}.{e.get('port', 'main')}>{e['to']}" for e in wf.to_dict().get("edges", [])]


def boxes(*ids: str) -> tuple[Workflow, list[Any]]:
    wf = Workflow("boxes")
    return wf, [wf.python("return 1", id) for id in ids]


def test_the_workflow_of_the_first_page() -> None:
    wf = Workflow(
        "order-triage",
        description="Route big orders to a person.",
        labels={"team": "orders"},
        input_schema={"type": "object", "properties": {"order_id": {"type": "integer"}}, "required": ["order_id"]},
        vars={"threshold": 100},
        settings={"timeout": 300, "max_concurrency": 10, "fail_fast": False},
    )
    fetch = wf.node(
        "http.request",
        id="fetch",
        url=f"https://api.example.com/orders/{wf.input.order_id}",
        retry={"max_attempts": 4, "initial_delay": 0.5},
        timeout=10,
    )
    big = wf.if_else(fetch.output.body.total > wf.vars.threshold, "big")
    classify = wf.agent(f"Classify: {fetch.output.body.note}", "classify", model="openai:gpt-5-mini")
    fetch >> big
    big.true >> classify
    wf.webhook("orders", "hook", methods=["POST"], input={"order_id": wf.trigger.body.id})
    wf.output = {"verdict": classify.maybe.output.text.coalesce("auto-approved")}
    document = wf.to_dict()
    assert document == {
        "aicflow": 1,
        "name": "order-triage",
        "description": "Route big orders to a person.",
        "labels": {"team": "orders"},
        "input_schema": {"type": "object", "properties": {"order_id": {"type": "integer"}}, "required": ["order_id"]},
        "vars": {"threshold": 100},
        "triggers": [
            {
                "id": "hook",
                "type": "trigger.webhook",
                "params": {"path": "orders", "methods": ["POST"]},
                "input": {"order_id": "${{ trigger.body.id }}"},
            }
        ],
        "nodes": [
            {
                "id": "fetch",
                "type": "http.request",
                "retry": {"max_attempts": 4, "initial_delay": 0.5},
                "timeout": 10,
                "params": {"url": "https://api.example.com/orders/${{ input.order_id }}"},
            },
            {
                "id": "big",
                "type": "logic.if_else",
                "params": {"condition": "${{ nodes.fetch.output.body.total > vars.threshold }}"},
            },
            {
                "id": "classify",
                "type": "ai.agent",
                "params": {"prompt": "Classify: ${{ nodes.fetch.output.body.note }}", "model": "openai:gpt-5-mini"},
            },
        ],
        "edges": [{"from": "fetch", "to": "big"}, {"from": "big", "port": "true", "to": "classify"}],
        "output": {"verdict": '${{ nodes.classify?.output.text ?? "auto-approved" }}'},
        "settings": {"timeout": 300, "max_concurrency": 10, "fail_fast": False},
    }
    WorkflowDocument.model_validate(document)


def test_edges_are_drawn_with_arrows() -> None:
    wf, (a, b, c, d) = boxes("a", "b", "c", "d")
    a >> [b, c] >> d
    assert edges(wf) == ["a.main>b", "a.main>c", "b.main>d", "c.main>d"]
    a >> b  # once more is nothing new
    assert len(edges(wf)) == 4
    wf, (a, b, c, d) = boxes("a", "b", "c", "d")
    a >> b >> c
    check = wf.if_else(True, "check")
    c >> check
    check.true >> d
    a.error >> d
    [check.false, b.error] >> wf.python("return 2", "e")
    assert edges(wf)[2:] == ["c.main>check", "check.true>d", "a.error>d", "check.false>e", "b.error>e"]


def test_ports_are_known_for_first_party_types_and_free_for_others() -> None:
    wf, (a, b) = boxes("a", "b")
    switch = wf.switch("route", value=wf.input.kind, cases=[{"name": "big", "equals": "b"}])
    switch.big >> a
    switch.default >> b
    other = wf.node("acme.sorter", "other")
    other.left >> a
    other.port("right-ish") >> b
    wait = wf.wait("ask", answer_schema={"type": "string"})
    wait.timeout >> a
    assert edges(wf) == ["route.big>a", "route.default>b", "other.left>a", "other.right-ish>b", "ask.timeout>a"]
    for wrong in (lambda: switch.small, lambda: a.true, lambda: wf.wait("nap", seconds=1).timeout):
        with pytest.raises(AttributeError, match="has no port"):
            wrong()


@pytest.mark.parametrize(
    ("mistake", "kind", "message"),
    [
        (lambda wf, a: wf.if_else(True, "check") >> a, BuildError, "(?s)leaves by true, false: write check.true >> a"),
        (lambda wf, a: a >> a.output, TypeError, "an edge ends at a node"),
        (lambda wf, a: a.output >> a, TypeError, "write node >> other"),
        (lambda wf, a: a >> [], TypeError, "an edge ends at"),
        (lambda wf, a: [] >> a, TypeError, "the list is empty"),
        (lambda wf, a: [a, 5] >> a, TypeError, "an edge starts at"),
        (lambda wf, a: a >> wf.if_else(True).true, TypeError, "an edge ends at a node"),
        (lambda wf, a: a >> Workflow("other").python("return 1"), BuildError, "different workflows"),
        (lambda wf, a: wf.python("return 1", "a"), BuildError, "'a' is taken"),
        (lambda wf, a: wf.python("return 1", "not-good"), BuildError, "cannot be an id"),
        (lambda wf, a: wf.python("return 1", ""), BuildError, "cannot be an id"),
        (lambda wf, a: wf.node("x.y", "n", params={"url": 1}, url=2), BuildError, "given twice"),
        (lambda wf, a: Workflow("w", vars={"x": wf.input.y}), BuildError, "vars.*cannot hold an expression"),
        (lambda wf, a: wf["b"], KeyError, "no node 'b'"),
        (lambda wf, a: wf.http("https://e.example").ouput.body, AttributeError, "no port 'ouput'"),
        (lambda wf, a: wf.node("acme.x", "n").ouput.body, AttributeError, r"did you mean n\.output\.body"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_where_they_are_made(
    mistake: Callable[[Workflow, Any], Any], kind: type[Exception], message: str
) -> None:
    wf, (a,) = boxes("a")
    with pytest.raises(kind, match=message):
        mistake(wf, a)


def test_nodes_get_names_of_their_own() -> None:
    wf = Workflow("names")
    for _ in range(2):
        wf.http("https://example.com")
        wf.node("acme.deep.thing")
    assert list(wf.nodes) == ["http", "thing", "http_2", "thing_2"]
    assert wf["http_2"].type == "http.request"


def test_options_and_params_of_the_same_name_are_kept_apart() -> None:
    wf = Workflow("w")
    wf.python("return 1", "a", timeout=5, cpu_seconds=2, params={"timeout": 3}, on_error="continue")
    assert wf.to_dict()["nodes"] == [
        {
            "id": "a",
            "type": "python.code",
            "timeout": 5,
            "on_error": "continue",
            "params": {"timeout": 3, "code": "return 1", "cpu_seconds": 2},
        }
    ]


def test_every_helper_makes_a_node_that_the_server_takes(tmp_path: Path) -> None:
    wf = Workflow("all", input_schema={"type": "object"})
    start = wf.http("https://example.com/", method="POST", body={"type": "json", "value": {"a": wf.input}})
    start >> wf.python("return inputs", inputs={"a": start.output.body})
    wf.agent(
        "Say hello.", tools=["http.request", {"node": "python.code", "name": "py"}], output_schema={"type": "object"}
    )
    wf.if_else(conditions=[{"left": 1, "operator": "equals", "right": 1}], match="any")
    wf.switch(cases=[{"name": "a", "condition": True}])
    wf.wait(seconds=1)
    wf.call("other", input={"x": fn.len([1])})
    wf.respond(status=201, body="thanks")
    wf.webhook("in")
    wf.cron("@daily", timezone="Europe/Paris")
    found = wf.validate()
    assert [str(issue) for issue in found.issues if issue.severity == "error"] == []
    wf.save(tmp_path / "flow.yaml")
    wf.save(tmp_path / "flow.json")
    assert Workflow.from_json((tmp_path / "flow.json").read_text()).to_dict() == wf.to_dict()
