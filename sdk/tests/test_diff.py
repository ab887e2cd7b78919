"""A diff says what changed in meaning: not the order, the spelling or defaults written out."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from aicflow_sdk import BuildError, Workflow, diff

BASE: dict[str, Any] = {
    "aicflow": 1,
    "name": "orders",
    "vars": {"threshold": 100},
    "triggers": [{"id": "hook", "type": "trigger.webhook", "params": {"path": "orders"}}],
    "nodes": [
        {
            "id": "fetch",
            "type": "http.request",
            "params": {"url": "https://a.example/${{ input.id }}", "query": {"a": 1}},
        },
        {
            "id": "big",
            "type": "logic.if_else",
            "params": {"condition": "${{ nodes.fetch.output.body.total > 1 && true }}"},
        },
        {"id": "note", "type": "python.code", "params": {"code": "return 1"}},
    ],
    "edges": [{"from": "fetch", "to": "big"}, {"from": "big", "port": "true", "to": "note"}],
    "output": {"v": "${{ nodes.note?.output ?? 0 }}"},
    "settings": {"timeout": 30},
}


def changed(**more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BASE), **more}


def test_what_means_the_same_is_no_change() -> None:
    other = changed(
        nodes=list(reversed(copy.deepcopy(BASE["nodes"]))),
        edges=[{"from": "big", "port": "true", "to": "note"}, {"from": "fetch", "port": "main", "to": "big"}],
        settings={"timeout": 30.0, "fail_fast": False},
        output={"v": "${{nodes.note?.output??0}}"},
        description=None,
    )
    other["nodes"][1]["params"]["condition"] = "${{ (nodes.fetch.output.body.total > 1) and True }}"
    other["nodes"][1]["on_error"] = "fail"
    other["triggers"][0]["enabled"] = True
    found = diff(BASE, other)
    assert not found
    assert str(found) == "no changes"


def test_every_kind_of_change_is_told() -> None:
    other = changed(name="orders 2", vars={"threshold": 200, "x": 1}, settings={"fail_fast": True})
    other["nodes"][0]["params"] = {"url": "https://b.example/${{ input.id }}", "query": {"a": True}}
    other["nodes"].append({"id": "mail", "type": "http.request", "params": {"url": "https://m.example"}})
    other["nodes"][2]["retry"] = {"max_attempts": 2}
    other["edges"] = [{"from": "fetch", "to": "big"}, {"from": "big", "port": "false", "to": "mail"}]
    other["triggers"] = [{"id": "daily", "type": "trigger.cron", "params": {"schedule": "@daily"}}]
    found = diff(BASE, other)
    assert str(found).splitlines() == [
        "~ workflow: name: 'orders' -> 'orders 2'",
        "~ var threshold: value: 100 -> 200",
        "+ var x",
        "- setting timeout",
        "+ setting fail_fast",
        "- trigger hook (trigger.webhook)",
        "+ trigger daily (trigger.cron)",
        "~ node fetch: params.url: 'https://a.example/${{ input.id }}' -> 'https://b.example/${{ input.id }}'",
        "~ node fetch: params.query.a: 1 -> True",
        "~ node note: retry: nothing -> {'max_attempts': 2}",
        "+ node mail (http.request)",
        "- edge big.true -> note",
        "+ edge big.false -> mail",
    ]
    assert json.loads(json.dumps(found.to_dict()))["changes"][-1] == {
        "kind": "added", "what": "edge", "name": "big.false -> mail", "path": "", "old": None,
        "new": {"from": "big", "port": "false", "to": "mail"}, "old_pointer": None, "new_pointer": "/edges/1",
    }  # fmt: skip


def test_a_new_id_everywhere_is_a_renaming() -> None:
    other = json.loads(
        json.dumps(BASE).replace("fetch", "load").replace('"note"', '"remark"').replace(".note", ".remark")
    )
    assert [str(change) for change in diff(BASE, other).changes] == [
        "> node fetch is now called load",
        "> node note is now called remark",
    ]
    other["nodes"][1]["params"]["condition"] = "${{ nodes.load.output.body.total > 2 }}"
    assert [change.kind for change in diff(BASE, other).changes] == ["renamed", "renamed", "changed"]


def test_another_node_in_its_place_is_no_renaming() -> None:
    other = json.loads(json.dumps(BASE).replace("fetch", "load").replace("a.example", "c.example"))
    kinds = [(change.kind, change.what) for change in diff(BASE, other).changes]
    assert ("removed", "node") in kinds
    assert ("added", "node") in kinds


def test_code_is_compared_as_it_is() -> None:
    other = changed()
    other["nodes"][2]["params"]["code"] = "return '${{a}}'"
    again = copy.deepcopy(other)
    again["nodes"][2]["params"]["code"] = "return '${{ a }}'"
    assert len(diff(other, again).changes) == 1


def test_workflows_built_in_python_are_compared_too() -> None:
    one, two = Workflow("w"), Workflow("w")
    one.python("return 1", "a")
    two.python("return 2", "a")
    assert str(diff(one, two)) == "~ node a: params.code: 'return 1' -> 'return 2'"


def test_labels_and_written_out_retries_are_compared_as_the_server_does() -> None:
    one, two = changed(labels={"team": "a"}), changed(labels={"team": "b"})
    one["nodes"][0]["retry"], two["nodes"][0]["retry"] = {}, {"max_attempts": 3}
    assert str(diff(one, two)) == "~ workflow: labels.team: 'a' -> 'b'"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(a.b + 1) + 2", "a.b + 1 + 2"),
        ("(a and b) and c", "a && b && c"),
        ("(a ?? b) ?? c", "a ?? b ?? c"),
        ("a < b < c", "a < b and b < c"),
        ("not (a in b)", "a not in b"),
        ("a['b']?['c']", "a.b?.c"),
    ],
)
def test_two_spellings_of_one_expression_are_the_same(one: str, other: str) -> None:
    assert not diff(changed(output="${{ " + one + " }}"), changed(output="${{ " + other + " }}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a - (b - c)", "a - b - c"), ("a + b - c", "a - b + c"), ("a * b + c", "a * (b + c)"), ("1", "true")],
)
def test_two_meanings_are_two(one: str, other: str) -> None:
    assert diff(changed(output="${{ " + one + " }}"), changed(output="${{ " + other + " }}"))


@pytest.mark.parametrize("wrong", [{"nodes": [{}]}, {"nodes": 5}, {"nodes": [], "edges": [{"from": "a"}]}])
def test_what_is_no_document_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BuildError, match="not a workflow document"):
        diff(wrong, BASE)
    with pytest.raises(TypeError, match="a dict"):
        diff(5, BASE)  # type: ignore[arg-type]
