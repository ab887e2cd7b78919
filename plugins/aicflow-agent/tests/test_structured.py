"""Answers in the shape of a JSON Schema: checked, corrected, and known to validation before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent_kit import Weather, ask
from aicflow import PermanentError
from aicflow.testing import Answer, Call, ChatServer, RecordingContext
from aicflow_agent import Agent
from aicflow_agent.schema import misfit, schema_problem

VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {"verdict": {"enum": ["ok", "bad"]}, "score": {"type": "integer", "minimum": 0}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def final(**arguments: object) -> Answer:
    return Answer(calls=(Call("final_answer", arguments),))


async def test_the_answer_arrives_as_an_object(agent: Agent) -> None:
    async with ChatServer([final(verdict="ok", score=3)]) as server:
        out = await ask(agent, server, output_schema=VERDICT)
    assert out["structured"] == {"verdict": "ok", "score": 3}
    assert json.loads(out["text"]) == out["structured"]
    (function,) = (tool["function"] for tool in server.requests[0]["tools"])
    assert function["name"] == "final_answer"
    assert function["parameters"]["properties"] == VERDICT["properties"]


async def test_a_wrong_answer_is_sent_back_with_what_is_wrong(agent: Agent) -> None:
    async with ChatServer([final(verdict="meh"), final(score=-1), final(verdict="bad")]) as server:
        out = await ask(agent, server, output_schema=VERDICT)
    assert out["structured"] == {"verdict": "bad"}
    assert out["usage"]["model_calls"] == 3
    assert "at /verdict" in server.requests[1]["messages"][-1]["content"]
    assert "'verdict' is a required property" in server.requests[2]["messages"][-1]["content"]


async def test_a_model_that_never_complies_fails_the_step_for_good(agent: Agent) -> None:
    async with ChatServer(lambda _: final(verdict="meh")) as server:
        with pytest.raises(PermanentError, match=r"no usable answer in 3 attempts.*at /verdict") as caught:
            await ask(agent, server, output_schema=VERDICT)
    assert caught.value.pointer == "/output_schema"
    assert len(server.requests) == 3


async def test_second_chances_count_against_the_cap_on_model_calls(agent: Agent) -> None:
    async with ChatServer(lambda _: final(verdict="meh")) as server:
        with pytest.raises(PermanentError, match="max_model_calls = 2"):
            await ask(agent, server, output_schema=VERDICT, max_model_calls=2)
    assert len(server.requests) == 2


async def test_json_in_plain_text_is_taken_and_prose_is_asked_again(agent: Agent) -> None:
    async with ChatServer([Answer("I think it is ok."), Answer('```json\n{"verdict": "ok"}\n```')]) as server:
        out = await ask(agent, server, output_schema=VERDICT)
    assert out["structured"] == {"verdict": "ok"}
    assert "final_answer" in server.requests[1]["messages"][-1]["content"]


async def test_by_response_format_for_servers_that_constrain_decoding(agent: Agent) -> None:
    script = [Answer('{"verdict": "meh"}'), Answer('{"verdict": "ok"}')]
    async with ChatServer(script) as server:
        out = await ask(agent, server, output_schema=VERDICT, output_method="json_schema")
    assert out["structured"] == {"verdict": "ok"}
    wanted = server.requests[0]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == VERDICT
    assert "tools" not in server.requests[0]


@pytest.mark.parametrize("method", ["tool", "json_schema"])
async def test_tools_first_then_the_structured_answer(agent: Agent, method: str) -> None:
    last = final(verdict="ok") if method == "tool" else Answer('{"verdict": "ok"}')
    script = [Answer(calls=(Call("geo_weather", {"city": "Bonn"}),)), last]
    async with ChatServer(script) as server:
        ctx = RecordingContext(types=(Weather,))
        out = await ask(
            agent, server, ctx, tools=[{"node": "geo.weather"}], output_schema=VERDICT, output_method=method
        )
    assert out["structured"] == {"verdict": "ok"}
    assert out["usage"]["tool_calls"] == 1


async def test_two_answers_at_once_are_sent_back(agent: Agent) -> None:
    twice = Answer(calls=(Call("final_answer", {"verdict": "ok"}), Call("final_answer", {"verdict": "bad"})))
    async with ChatServer([twice, final(verdict="bad")]) as server:
        out = await ask(agent, server, output_schema=VERDICT)
    assert out["structured"] == {"verdict": "bad"}


async def test_a_refusal_is_not_asked_again(agent: Agent) -> None:
    async with ChatServer([Answer("I will not.", finish_reason="content_filter")]) as server:
        with pytest.raises(PermanentError, match="refused to answer: I will not") as caught:
            await ask(agent, server, output_schema=VERDICT)
    assert caught.value.code == "model-refusal"


def test_the_nodes_output_schema_follows_the_params() -> None:
    with_schema = Agent.output_schema_for({"prompt": "x", "output_schema": VERDICT})
    assert with_schema is not None
    assert with_schema["properties"]["structured"] == VERDICT
    assert "structured" in with_schema["required"]
    assert with_schema["additionalProperties"] is False
    without = Agent.output_schema_for({"prompt": "x"})
    assert without is not None
    assert without["properties"]["structured"] == {"type": "null"}
    later = Agent.output_schema_for({"prompt": "x", "output_schema": "${{ input.schema }}"})
    assert later is not None
    assert "type" not in later["properties"]["structured"]


def test_references_inside_an_output_schema_still_resolve_in_the_nodes_schema() -> None:
    from jsonschema import Draft202012Validator

    tree = {
        "type": "object",
        "properties": {"value": {"$ref": "#/$defs/value"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["value"],
        "$defs": {"value": {"type": "integer"}},
    }
    assert schema_problem(tree) is None
    schema = Agent.output_schema_for({"prompt": "x", "output_schema": tree})
    assert schema is not None
    only = {
        "type": "object",
        "properties": {"structured": schema["properties"]["structured"]},
        "$defs": schema["$defs"],
    }
    validator = Draft202012Validator(only)
    assert validator.is_valid({"structured": {"value": 1, "next": {"value": 2}}})
    assert not validator.is_valid({"structured": {"value": 1, "next": {"value": "two"}}})
    assert misfit(tree, {"value": 1, "next": {"value": "two"}}) is not None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "type: object at its root"),
        ({"type": "object", "oneOf": [{}]}, "oneOf at the root"),
        ({"type": "object", "properties": {"a": {"type": "nonsense"}}}, "/properties/a/type"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}, "points outside"),
        ({"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}, "look-around"),
        ({"type": "object", "patternProperties": {"x": {}}}, "patternProperties"),
        ({"type": "object", "properties": {str(i): {} for i in range(6000)}}, "more than 5000"),
    ],
)
def test_schemas_that_cannot_be_asked_for_are_refused_when_written(schema: dict[str, Any], why: str) -> None:
    (issue,) = Agent.check({"prompt": "x", "output_schema": schema})
    assert issue.pointer == "/output_schema"
    assert why in issue.message


def test_a_pattern_that_stalls_backtracking_engines_does_not_stall_this_one() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    assert misfit(schema, {"a": "a" * 5000 + "!"}) is not None
    assert misfit(schema, {"a": "aaa"}) is None


def test_a_reference_to_nowhere_is_a_misfit_not_a_crash() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}}
    assert "leads nowhere" in (misfit(schema, {"a": 1}) or "")
