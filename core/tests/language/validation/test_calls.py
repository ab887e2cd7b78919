"""Calls of other workflows: what they are given, what they give back, and who calls whom."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.cli.plugins import quiet_plugins
from aicflow.language.validation import Workflows, calls_of, validate

ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"], "additionalProperties": False}
CALLED = {
    "aicflow": 1,
    "name": "called",
    "input_schema": ORDER,
    "nodes": [{"id": "w", "type": "wait", "params": {"seconds": 1}}],
    "output": {"next": "${{ input.id + 1 }}", "ok": "${{ nodes.w.output.answered }}"},
}


@pytest.fixture(scope="module")
def registry() -> Any:
    return quiet_plugins().registry


def calling(output: Any = None, **params: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "s": {"type": "string"}, "m": {"type": ["integer", "null"]}},
        "required": ["n", "s", "m"],
    }
    node = {"id": "call", "type": "workflow.call", "params": {"workflow": "called", **params}}
    return {"aicflow": 1, "name": "caller", "input_schema": schema, "nodes": [node], "output": output}


def found(registry: Any, document: Any, workflows: Workflows | None = None) -> list[tuple[str, str]]:
    return [
        (issue.code, issue.pointer)
        for issue in validate(document, registry, workflows=workflows or Workflows({"called": CALLED}))
    ]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"input": {"id": 1}}, []),
        ({"input": {"id": "${{ input.n }}"}}, []),
        ({"input": "${{ {'id': input.n} }}"}, []),
        ({"workflow": "${{ input.s }}", "input": {"idd": 1}}, []),
        ({}, [("type.mismatch", "/nodes/0/params")]),
        ({"input": {"id": "1"}}, [("type.mismatch", "/nodes/0/params/input/id")]),
        ({"input": {"id": 1, "more": 2}}, [("type.mismatch", "/nodes/0/params/input/more")]),
        ({"input": {"id": "${{ input.s }}"}}, [("type.mismatch", "/nodes/0/params/input/id")]),
        ({"input": {"id": "${{ input.m }}"}}, [("type.maybe-null", "/nodes/0/params/input/id")]),
        ({"input": {"idd": "${{ input.n }}"}}, [("type.mismatch", "/nodes/0/params/input")]),
        ({"input": "${{ input.s }}"}, [("type.mismatch", "/nodes/0/params/input")]),
    ],
)
def test_an_input_fits_what_the_called_workflow_takes(registry: Any, params: Any, expected: Any) -> None:
    assert found(registry, calling(**params)) == expected


@pytest.mark.parametrize(
    ("output", "params", "expected"),
    [
        ("${{ nodes.call.output.output.next + 1 }}", {}, []),
        ("${{ nodes.call.output.output.nxt }}", {}, [("type.unknown-field", "/output")]),
        ("${{ nodes.call.output.output.ok + 1 }}", {}, [("type.operand", "/output")]),
        ("${{ nodes.call.output.outptu.ok }}", {}, [("type.unknown-field", "/output")]),
        ("${{ nodes.call.output.output.next }}", {"wait": False}, [("type.maybe-null", "/output")]),
        ("${{ nodes.call.output.output?.next }}", {"on_child_failure": "continue"}, []),
        ("${{ nodes.call.output.output.nxt }}", {"workflow": "${{ input.s }}"}, []),
    ],
)
def test_the_output_of_a_call_has_the_type_of_the_called_workflow(
    registry: Any, output: str, params: Any, expected: Any
) -> None:
    assert found(registry, calling(output, **{"input": {"id": 1}, **params})) == expected


def test_a_misspelt_field_of_a_called_workflow_is_named(registry: Any) -> None:
    issues = validate(
        calling("${{ nodes.call.output.output.nxt }}", input={"id": 1}),
        registry,
        workflows=Workflows({"called": CALLED}),
    )
    assert issues[0].hint == "Did you mean 'next'?"


def test_types_come_through_calls_of_calls_and_end_in_a_circle(registry: Any) -> None:
    middle = calling("${{ nodes.call.output.output }}", input={"id": 1})
    outer = calling("${{ nodes.call.output.output.nxt }}", workflow="middle", input={"n": 1, "s": "", "m": None})
    known = {"called": CALLED, "middle": middle}
    assert found(registry, outer, Workflows(known)) == [("type.unknown-field", "/output")]
    again = {**middle, "nodes": [{**middle["nodes"][0], "params": {**outer["nodes"][0]["params"]}}]}
    assert found(registry, outer, Workflows({"middle": again})) == [], "what it gives is not known"


def test_calls_inside_of_bodies_and_of_agents_tools_are_checked(registry: Any) -> None:
    inner = {"id": "call", "type": "workflow.call", "params": {"workflow": "called", "input": {"id": "${{ item }}"}}}
    body = {"over": ["a"], "nodes": [inner], "output": "${{ nodes.call.output.output.nxt }}"}
    tools = [
        {"node": "wait"},
        {"node": "workflow.call", "params": {"workflow": "called", "input": {"id": "one"}}},
        {"node": "workflow.call", "name": "other", "params": {"workflow": "nowhere"}},
        {"node": "workflow.call", "name": "free", "params": {"workflow": "called"}},
    ]
    agent = {"id": "agent", "type": "ai.agent", "params": {"model": "openai:x", "prompt": "Go", "tools": tools}}
    document = {"aicflow": 1, "name": "n", "nodes": [{"id": "each", "map": body}, agent]}
    assert found(registry, document) == [
        ("type.mismatch", "/nodes/0/map/nodes/0/params/input/id"),
        ("type.unknown-field", "/nodes/0/map/output"),
        ("type.mismatch", "/nodes/1/params/tools/1/params/input/id"),
        ("ref.unknown-workflow", "/nodes/1/params/tools/2/params/workflow"),
    ]
    assert [(call.workflow, call.pointer) for call in calls_of(document, registry)] == [
        ("called", "/nodes/0/map/nodes/0/params/workflow"),
        ("called", "/nodes/1/params/tools/1/params/workflow"),
        ("nowhere", "/nodes/1/params/tools/2/params/workflow"),
        ("called", "/nodes/1/params/tools/3/params/workflow"),
    ]


def test_a_failure_workflow_takes_the_report(registry: Any) -> None:
    document = {**calling(input={"id": 1}), "settings": {"on_failure": "called"}}
    assert found(registry, document) == [("type.mismatch", "/settings/on_failure")]
    takes = {**CALLED, "input_schema": {"type": "object", "required": ["error"]}, "output": None}
    other = {**document, "settings": {"on_failure": "report"}}
    assert found(registry, other, Workflows({"called": CALLED, "report": takes})) == []


def test_what_is_not_known_is_told_by_who_asks(registry: Any) -> None:
    document = calling(input={"idd": 1})
    place = "/nodes/0/params/workflow"
    assert found(registry, document, Workflows({})) == [("ref.unknown-workflow", place)]
    assert found(registry, document, Workflows({}, complete=False)) == [("call.unchecked", place)]
    assert validate(document, registry) == []


def test_circles_of_calls_are_told_with_their_way(registry: Any) -> None:
    there, back = calling(workflow="back", input=1), calling(workflow="there", input=1)
    del there["input_schema"], back["input_schema"]
    (issue,) = validate(there, registry, workflows=Workflows({"there": there, "back": back}, own="there"))
    assert (issue.code, issue.severity) == ("call.circle", "warning")
    assert "there → back → there" in issue.message
    alone = calling(workflow="alone", input={"n": 1, "s": "", "m": 1})
    (issue,) = validate(alone, registry, workflows=Workflows({"alone": alone}, own="alone"))
    assert "alone → alone" in issue.message


def test_hostile_documents_among_the_others_are_only_not_known(registry: Any) -> None:
    for hostile in (None, [], {"nodes": 1}, {"aicflow": 1, "name": "x", "nodes": [{"id": "a", "type": "no.such"}]}):
        assert found(registry, calling("${{ nodes.call.output.output.x }}"), Workflows({"called": hostile})) == []
    deep: Any = {"id": "x", "type": "wait"}
    for _ in range(500):
        deep = {"id": "g", "group": {"nodes": [deep]}}
    assert calls_of({"nodes": [deep], "triggers": 3, "settings": []}, registry) == []
