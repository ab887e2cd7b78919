"""The model `local-rules` of `aicflow.testing` behind a real agent: structured answers and tools."""

from __future__ import annotations

from typing import Any

import pytest
from agent_kit import Weather, ask
from aicflow.testing import ChatServer, RecordingContext
from aicflow_agent import Agent
from jsonschema import Draft202012Validator

QUAKES = (
    'Summarize these earthquakes: {"count": 12, "mean_magnitude": 4.5, "max_magnitude": 7.1, "place": "Fiji region"}'
)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "severity": {"enum": ["low", "high"]},
        "summary": {"type": "string", "maxLength": 80},
        "max_magnitude": {"type": "number", "maximum": 7},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        "alarm": {"type": "boolean"},
        "where": {"$ref": "#/$defs/where"},
    },
    "required": ["severity", "summary", "max_magnitude", "count", "tags", "alarm", "where"],
    "additionalProperties": False,
    "$defs": {
        "where": {"type": "object", "properties": {"place": {"type": ["string", "null"]}}, "required": ["place"]}
    },
}


@pytest.mark.parametrize("method", ["tool", "json_schema"])
async def test_an_agent_gets_an_object_of_the_shape_it_asked_for(agent: Agent, method: str) -> None:
    async with ChatServer() as server:
        out = await ask(agent, server, model="local-rules", prompt=QUAKES, output_schema=SCHEMA, output_method=method)
    answer = out["structured"]
    Draft202012Validator(SCHEMA).validate(answer)
    assert answer["count"] == 12
    assert answer["max_magnitude"] == 7.0
    assert answer["where"] == {"place": "Fiji region"}
    assert out["usage"]["model_calls"] == 1


async def test_a_tool_that_the_prompt_asks_for_is_called_once_and_used(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer() as server:
        tools = [{"node": "geo.weather"}]
        out = await ask(agent, server, ctx, prompt="What is the weather in Paris?", tools=tools)
        idle = await ask(agent, server, ctx, prompt="What is a prime number?", tools=tools)
    assert out["usage"]["tool_calls"] == 1
    assert "temperature 21.5" in out["text"]
    assert "Paris" in ctx.logs[0].fields["arguments"]
    assert idle["usage"]["tool_calls"] == 0
