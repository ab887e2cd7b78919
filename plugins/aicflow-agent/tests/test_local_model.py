"""The local server by itself: real HTTP, the protocol's manners, and rules that answer the same every time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from agent_kit import Weather, ask
from aicflow.testing import RecordingContext
from aicflow_agent import Agent
from aicflow_agent.local_model import MODEL_NAME, LocalModelServer, ScriptedModelServer
from aicflow_agent.local_replies import Answer, HttpError
from jsonschema import Draft202012Validator

QUAKES = (
    'Summarize these earthquakes: {"count": 12, "mean_magnitude": 4.5, "max_magnitude": 7.1, "place": "Fiji region"}'
)


async def chat(server: LocalModelServer, prompt: str, **more: Any) -> dict[str, Any]:
    body = {"model": MODEL_NAME, "messages": [{"role": "user", "content": prompt}], **more}
    async with httpx2.AsyncClient() as client:
        response = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert response.status_code == 200
    out: dict[str, Any] = response.json()
    return out


async def test_the_models_list_and_wrong_requests() -> None:
    async with LocalModelServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        assert [m["id"] for m in (await client.get("/models")).json()["data"]] == ["local-rules"]
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/chat/completions")).status_code == 405
        assert (await client.post("/chat/completions", content=b"{")).status_code == 400
        wrong_bodies: list[Any] = [[], {}, {"messages": []}, {"messages": ["x"]}, {"messages": "x"}]
        for body in wrong_bodies:
            wrong = await client.post("/chat/completions", json=body)
            assert wrong.status_code == 400
            assert "messages" in wrong.json()["error"]["message"]


async def test_requests_follow_one_another_on_one_connection() -> None:
    async with ScriptedModelServer(lambda body: Answer(body["messages"][0]["content"])) as server:
        host, port = server.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for text in ("one", "two"):  # the second is sent before the first is answered
            body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        for text in ("one", "two"):
            head_bytes = await reader.readuntil(b"\r\n\r\n")
            length = int(head_bytes.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            assert answer["choices"][0]["message"]["content"] == text
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
async def test_noise_is_answered_with_400(noise: bytes) -> None:
    async with LocalModelServer() as server:
        host, port = server.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(noise)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()


async def test_the_summary_has_the_numbers_and_says_who_wrote_it() -> None:
    async with LocalModelServer() as server:
        first, second = [await chat(server, QUAKES) for _ in range(2)]
    text = first["choices"][0]["message"]["content"]
    for part in ("count 12", "mean_magnitude 4.5", "max_magnitude 7.1", "not a language model"):
        assert part in text
    assert text == second["choices"][0]["message"]["content"]
    assert first["usage"]["total_tokens"] == first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("Classify this ticket as urgent, normal or low: the pump broke down, the cellar is flooded.", "urgent"),
        ("Classify this ticket as urgent, normal or low: all is well, a routine question, as usual.", "normal"),
        ("Label the review as positive or negative.\nI am happy, it works great, thank you.", "positive"),
    ],
)
async def test_a_class_is_chosen_by_the_words_that_speak_for_it(prompt: str, label: str) -> None:
    async with LocalModelServer() as server:
        answer = await chat(server, prompt)
    assert answer["choices"][0]["message"]["content"].startswith(f"{label}.")


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
    async with LocalModelServer() as server:
        out = await ask(agent, server, model=MODEL_NAME, prompt=QUAKES, output_schema=SCHEMA, output_method=method)
    answer = out["structured"]
    Draft202012Validator(SCHEMA).validate(answer)
    assert answer["count"] == 12
    assert answer["max_magnitude"] == 7.0
    assert answer["where"] == {"place": "Fiji region"}
    assert out["usage"]["model_calls"] == 1


async def test_a_tool_that_the_prompt_asks_for_is_called_once_and_used(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with LocalModelServer() as server:
        tools = [{"node": "geo.weather"}]
        out = await ask(agent, server, ctx, prompt="What is the weather in Paris?", tools=tools)
        idle = await ask(agent, server, ctx, prompt="What is a prime number?", tools=tools)
    assert out["usage"]["tool_calls"] == 1
    assert "temperature 21.5" in out["text"]
    assert "Paris" in ctx.logs[0].fields["arguments"]
    assert idle["usage"]["tool_calls"] == 0


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": ["not", "a", "mapping"]},
        {"type": "array", "minItems": 10**12, "items": {"type": "integer"}},
        {"type": "string", "minLength": 10**12},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "object", "properties": {"x": {"$ref": "#"}}},
        {"enum": 7},
        {"type": "array", "minItems": "many"},
    ],
)
async def test_strange_schemas_are_survived(schema: dict[str, Any]) -> None:
    body = {
        "messages": [{"role": "user", "content": QUAKES}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    async with LocalModelServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        answer = await client.post("/chat/completions", json=body)
        assert answer.status_code in (200, 500)
        assert answer.json()
        assert (await client.get("/models")).status_code == 200


async def test_a_script_that_runs_out_says_so() -> None:
    async with ScriptedModelServer([HttpError(418)]) as server, httpx2.AsyncClient() as client:
        body = {"messages": [{"role": "user", "content": "x"}]}
        assert (await client.post(f"{server.base_url}/chat/completions", json=body)).status_code == 418
        late = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert (late.status_code, "run out" in late.text) == (500, True)
