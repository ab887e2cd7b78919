"""An agent asks a model and gives its answer, streaming it while it is written."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_kit import KEY, ask
from aicflow.testing import Answer, ChatServer, RecordingContext
from aicflow_agent import Agent


async def test_the_answer_comes_with_its_usage_and_why_it_ended(agent: Agent) -> None:
    async with ChatServer([Answer("All quiet.", usage=(11, 3))]) as server:
        out = await ask(agent, server)
    assert out["text"] == "All quiet."
    assert out["stop_reason"] == "end"
    assert out["structured"] is None
    assert out["usage"] == {
        "input_tokens": 11,
        "output_tokens": 3,
        "total_tokens": 14,
        "model_calls": 1,
        "tool_calls": 0,
        "cost": None,
        "estimated": False,
    }
    assert [message["role"] for message in out["messages"]] == ["user", "assistant"]


async def test_text_streams_in_pieces_that_make_up_the_answer(agent: Agent) -> None:
    ctx = RecordingContext()
    text = "One two three four five, grüße — 六."
    async with ChatServer([Answer(text, piece=5)]) as server:
        out = await ask(agent, server, ctx)
    assert len(ctx.deltas) > 3
    assert "".join(delta["text"] for delta in ctx.deltas) == out["text"] == text


async def test_the_request_carries_what_the_params_say(agent: Agent) -> None:
    async with ChatServer([Answer("ok")]) as server:
        await ask(
            agent, server, model="openai:m-1", system_prompt="Be brief.", prompt="Hi", temperature=0.2, max_tokens=9
        )
    (body,) = server.requests
    assert body["model"] == "m-1"
    assert body["temperature"] == 0.2
    assert body["max_tokens"] == 9
    assert [(m["role"], m["content"]) for m in body["messages"]] == [("system", "Be brief."), ("user", "Hi")]
    assert server.keys == [KEY]


async def test_a_conversation_instead_of_a_prompt(agent: Agent) -> None:
    said = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "What is my name?"},
    ]
    async with ChatServer([Answer("Ada.")]) as server:
        out = await ask(agent, server, messages=said)
    assert [{"role": m["role"], "content": m["content"]} for m in server.requests[0]["messages"]] == said
    assert out["text"] == "Ada."


async def test_an_answer_cut_by_max_tokens_says_so(agent: Agent) -> None:
    async with ChatServer([Answer("It beg", finish_reason="length")]) as server:
        out = await ask(agent, server)
    assert (out["text"], out["stop_reason"]) == ("It beg", "max_tokens")


async def test_a_refusal_is_told_as_one(agent: Agent) -> None:
    async with ChatServer([Answer("I will not.", finish_reason="content_filter")]) as server:
        out = await ask(agent, server)
    assert out["stop_reason"] == "refused"
    assert out["text"] == "I will not."


async def test_tokens_are_estimated_when_the_server_is_silent_about_them(agent: Agent) -> None:
    async with ChatServer([Answer("four", report_usage=False)]) as server:
        out = await ask(agent, server, prompt="x" * 400)
    assert out["usage"]["estimated"] is True
    assert out["usage"]["input_tokens"] == 100
    assert out["usage"]["output_tokens"] >= 1


async def test_twenty_agents_at_once_keep_their_answers_apart(agent: Agent) -> None:
    async with ChatServer(lambda body: Answer(f"echo {body['messages'][-1]['content']}", delay=0.001)) as server:
        contexts = [RecordingContext() for _ in range(20)]
        outs = await asyncio.gather(*(ask(agent, server, ctx, prompt=f"p{i}") for i, ctx in enumerate(contexts)))
    for i, (out, ctx) in enumerate(zip(outs, contexts, strict=True)):
        assert out["text"] == f"echo p{i}"
        assert "".join(delta["text"] for delta in ctx.deltas) == f"echo p{i}"


async def test_an_agent_that_was_never_started_starts_itself_and_stops_clean() -> None:
    node = Agent()
    async with ChatServer([Answer("ok"), Answer("ok")]) as server:
        assert (await ask(node, server))["text"] == "ok"
        await node.stop()
        assert (await ask(node, server))["text"] == "ok"  # and starts again
        await node.stop()
        await node.stop()


async def test_agents_at_once_keep_their_own_model_system_prompt_key_and_answer(agent: Agent) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        said = [message["content"] for message in body["messages"]]
        return Answer(" | ".join([body["model"], *said]), piece=3, delay=0.001)

    async with ChatServer(reply) as server:
        found = await asyncio.gather(
            ask(agent, server, model="one", system_prompt="Be brief.", prompt="A?", api_key="key-one"),
            ask(agent, server, model="two", system_prompt="Be kind.", prompt="B?", api_key="key-two"),
            ask(agent, server, model="three", prompt="C?", api_key="key-three"),
        )
    assert [out["text"] for out in found] == ["one | Be brief. | A?", "two | Be kind. | B?", "three | C?"]
    assert sorted(server.keys) == ["key-one", "key-three", "key-two"]
