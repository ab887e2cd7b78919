"""The chat server by itself: real HTTP, the protocol's manners, and rules that answer the same every time."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from aicflow.testing import Answer, Call, ChatServer, CutStream, HttpError

QUAKES = (
    'Summarize these earthquakes: {"count": 12, "mean_magnitude": 4.5, "max_magnitude": 7.1, "place": "Fiji region"}'
)


async def chat(server: ChatServer, prompt: str, **more: Any) -> dict[str, Any]:
    body = {"model": "local-rules", "messages": [{"role": "user", "content": prompt}], **more}
    async with httpx2.AsyncClient() as client:
        response = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert response.status_code == 200
    out: dict[str, Any] = response.json()
    return out


async def test_the_models_list_and_wrong_requests() -> None:
    async with ChatServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        assert [m["id"] for m in (await client.get("/models")).json()["data"]] == ["local-rules"]
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/chat/completions")).status_code == 405
        assert (await client.post("/chat/completions", content=b"{")).status_code == 400
        wrong_bodies: list[Any] = [[], {}, {"messages": []}, {"messages": ["x"]}, {"messages": "x"}]
        for body in wrong_bodies:
            wrong = await client.post("/chat/completions", json=body)
            assert wrong.status_code == 400
            assert "messages" in wrong.json()["error"]["message"]


async def test_the_summary_has_the_numbers_and_says_who_wrote_it() -> None:
    async with ChatServer() as server:
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
    async with ChatServer() as server:
        answer = await chat(server, prompt)
    assert answer["choices"][0]["message"]["content"].startswith(f"{label}.")


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
    async with ChatServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        answer = await client.post("/chat/completions", json=body)
        assert answer.status_code in (200, 500)
        assert answer.json()
        assert (await client.get("/models")).status_code == 200


async def test_a_script_that_runs_out_says_so() -> None:
    async with ChatServer([HttpError(418)]) as server, httpx2.AsyncClient() as client:
        body = {"messages": [{"role": "user", "content": "x"}]}
        assert (await client.post(f"{server.base_url}/chat/completions", json=body)).status_code == 418
        late = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert (late.status_code, "ran out" in late.text) == (500, True)


async def test_tool_calls_and_usage_are_streamed_in_pieces() -> None:
    script = [Answer(calls=(Call("add", {"a": 1, "b": 2}),), usage=(7, 5))]
    body = {"messages": [{"role": "user", "content": "x"}], "stream": True, "stream_options": {"include_usage": True}}
    async with ChatServer(script) as server, httpx2.AsyncClient() as client:
        headers = {"Authorization": "Bearer k1"}
        answer = await client.post(f"{server.base_url}/chat/completions", json=body, headers=headers)
    *events, done = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    calls = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "add"
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"a": 1, "b": 2}
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert (server.requests, server.keys) == ([body], ["k1"])


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_cut_answer_ends_in_the_middle_of_the_transfer(streamed: bool) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "stream": streamed}
    async with ChatServer([CutStream(), CutStream(cleanly=True)]) as server, httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post(f"{server.base_url}/chat/completions", json=body)
        clean = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert clean.status_code == 200
    assert "[DONE]" not in clean.text


async def test_a_request_without_a_question_is_answered_too() -> None:
    async with ChatServer() as server, httpx2.AsyncClient() as client:
        body = {"messages": [{"role": "system", "content": "Be kind."}]}
        answer = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"].startswith("The text says nothing")
