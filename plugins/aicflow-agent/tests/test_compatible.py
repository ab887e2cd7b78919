"""Servers that are called compatible: what they repeat, leave out, tear apart and do not know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from agent_kit import Weather, ask
from aicflow import NodeError, PermanentError, TransientError
from aicflow.testing import ChatServer, RecordingContext
from aicflow_agent import Agent
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response


class Raw(ChatServer):
    """Answers what the function returns for a request body and its number, from 1: chunks, or a whole response."""

    def __init__(self, answer: Callable[[dict[str, Any], int], list[str] | Response]) -> None:
        super().__init__(self._stream)
        self._raw = answer

    def _stream(self, body: dict[str, Any]) -> Response:
        answer = self._raw(body, len(self.requests))
        if isinstance(answer, Response):
            return answer
        events = "".join(f"data: {chunk}\n\n" for chunk in [*answer, "[DONE]"])
        return Response(events, media_type="text/event-stream")


def chunk(finish: str | None = None, *, usage: Any = None, **delta: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    more = {} if usage is None else {"usage": usage}
    return json.dumps(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    )


def call(arguments: str | None = "{}", *, name: str | None = "geo_weather", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


STOP = chunk("stop")


async def test_usage_in_every_chunk_is_counted_once(agent: Agent) -> None:
    def usage(out: int) -> dict[str, Any]:
        details = {"prompt_tokens_details": {"cached_tokens": 40}}
        return {"prompt_tokens": 100, "completion_tokens": out, "total_tokens": 100 + out, **details}

    chunks = [chunk(content="w ", usage=usage(n)) for n in range(1, 6)]
    async with Raw(lambda body, n: [*chunks, chunk("stop", usage=usage(5))]) as server:
        out = await ask(agent, server)
    counted = out["usage"]
    assert (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"]) == (100, 5, 105)
    assert not counted["estimated"]


async def test_a_refusal_is_told_as_one(agent: Agent) -> None:
    chunks = [chunk(role="assistant", content=None, refusal="I will "), chunk(refusal="not."), STOP]
    async with Raw(lambda body, n: chunks) as server:
        out = await ask(agent, server)
        assert (out["stop_reason"], out["text"]) == ("refused", "I will not.")
        with pytest.raises(PermanentError, match="refused to answer: I will not") as caught:
            await ask(agent, server, output_schema={"type": "object"}, output_method="json_schema")
    assert caught.value.code == "model-refusal"


BONN, ROME = '{"city": "Bonn"}', '{"city": "Rome"}'


@pytest.mark.parametrize(
    "first",
    [
        [[call(BONN, index=0), call(ROME, index=1)]],  # no ids
        [[call(BONN, index=0, id=""), call(ROME, index=1, id="")]],
        [[call(BONN, index=0, id="x"), call(ROME, index=1, id="x")]],  # equal ids
        [[call(BONN, index=0, id="a"), call(ROME, index=0, id="b")]],  # equal indexes
        [[call(BONN, index=0)], [call(ROME, index=0)]],  # equal indexes, no ids
        [[call(BONN)], [call(ROME)]],  # neither
        [[call(BONN, id="a"), call(ROME, id="b")]],  # no indexes
        [[call('{"city": ', index=0, id="a")], [call('"Bonn"}', index=0, id="a")], [call(ROME, index=1, id="b")]],
        [
            [call(BONN, index=0, id="a")],
            [call("", index=0, id="a")],
            [call(ROME, index=1, id="b")],
        ],  # an empty last piece
        [[call('{"city": ', index=0, id="a")], [call('"Bonn"}', index=0, name=None)], [call(ROME, index=1, id="a")]],
    ],
)
async def test_tool_calls_have_ids_of_their_own(agent: Agent, first: list[list[dict[str, Any]]]) -> None:
    def answer(body: dict[str, Any], n: int) -> list[str]:
        if n < 3:  # the same ids in a second round
            return [*(chunk(role="assistant", tool_calls=calls) for calls in first), chunk("tool_calls")]
        return [chunk(content="done"), STOP]

    async with Raw(answer) as server:
        out = await ask(agent, server, RecordingContext(types=(Weather,)), tools=[{"node": "geo.weather"}])
    assert out["text"] == "done"
    messages = server.requests[-1]["messages"]
    asked = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    answered = {m["tool_call_id"]: json.loads(m["content"])["city"] for m in messages if m["role"] == "tool"}
    assert len(set(asked)) == 4
    assert "" not in asked
    assert [answered[id] for id in asked] == ["Bonn", "Rome"] * 2


async def test_characters_torn_in_two_are_whole_again(agent: Agent) -> None:
    half, other = chr(0xD83D), chr(0xDE00)
    pieces = [call('{"city": "' + half, index=0, id="a"), call(other + '"}', index=0, name=None)]

    def answer(body: dict[str, Any], n: int) -> list[str]:
        if n == 1:
            return [*(chunk(tool_calls=[piece]) for piece in pieces), chunk("tool_calls")]
        return [chunk(content="ok " + half), chunk(content=other), chunk(content=half), STOP]

    ctx = RecordingContext(types=(Weather,))
    async with Raw(answer) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert out["text"] == "ok 😀�"
    assert "".join(delta["text"] for delta in ctx.deltas) == "ok 😀�"
    assert json.loads(server.requests[1]["messages"][-1]["content"])["city"] == "😀"


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>Two and <b>two</b>.</think>\n\nFour."],
        ["<", "think", ">Two and <b>two</b", ">.</thi", "nk>", "\n", "\nFour", "."],
    ],
)
async def test_thoughts_are_kept_apart(agent: Agent, pieces: list[str]) -> None:
    ctx = RecordingContext()
    async with Raw(lambda body, n: [*(chunk(content=piece) for piece in pieces), STOP]) as server:
        out = await ask(agent, server, ctx)
    assert (out["text"], out["reasoning"]) == ("Four.", "Two and <b>two</b>.")
    assert "".join(delta.get("text", "") for delta in ctx.deltas) == "Four."
    assert "".join(delta.get("reasoning", "") for delta in ctx.deltas) == "Two and <b>two</b>."


async def test_thoughts_beside_the_text_and_text_that_only_begins_like_them(agent: Agent) -> None:
    chunks = [chunk(reasoning_content="Hm. "), chunk(reasoning_content="Yes."), chunk(content="<th"), STOP]
    async with Raw(lambda body, n: chunks) as server:
        out = await ask(agent, server)
    assert (out["text"], out["reasoning"]) == ("<th", "Hm. Yes.")


HTML = b"<!doctype html><html><head><title>Sign in to the proxy</title></head><body>form</body></html>"


@pytest.mark.parametrize(
    ("response", "kind", "code", "said"),
    [
        (
            JSONResponse({"error": {"message": "model is overloaded", "code": 503}}, 200),
            TransientError,
            "model-unavailable",
            "overloaded",
        ),
        (
            JSONResponse({"error": {"message": "no such model", "code": 404}}, 200),
            PermanentError,
            "model-refused",
            "no such model",
        ),
        (JSONResponse({"error": "out of memory"}, 200), TransientError, "model-unavailable", "out of memory"),
        (
            ['{"error": {"message": "overloaded on the way"}}'],
            TransientError,
            "model-reply",
            "overloaded on the way",
        ),
        (HTMLResponse(HTML), TransientError, "model-reply", "Sign in to the proxy"),
        (PlainTextResponse(""), TransientError, "model-reply", "empty"),
    ],
)
async def test_a_good_status_with_something_else_inside(
    agent: Agent, response: Response | list[str], kind: type[NodeError], code: str, said: str
) -> None:
    async with Raw(lambda body, n: response) as server:
        with pytest.raises(kind, match=said) as caught:
            await ask(agent, server)
    assert caught.value.code == code


@pytest.mark.parametrize("unknown", [{"stream_options"}, {"max_tokens"}, {"stream_options", "max_tokens"}])
@pytest.mark.parametrize("status", [400, 422])
async def test_options_that_a_server_does_not_know_are_left_out(agent: Agent, unknown: set[str], status: int) -> None:
    def answer(body: dict[str, Any], n: int) -> list[str] | Response:
        for name in sorted(unknown):
            if name in body:
                return JSONResponse(
                    {"detail": [{"loc": ["body", name], "msg": "Extra inputs are not permitted"}]}, status
                )
        return [chunk(content="here"), STOP]

    async with Raw(answer) as server:
        out = await ask(agent, server, max_tokens=9)
        assert (out["text"], out["usage"]["model_calls"]) == ("here", 1)
        asked = len(server.requests)
        await asyncio.gather(*(ask(agent, server, max_tokens=9) for _ in range(3)))
    assert server.requests[-1].get("max_tokens", server.requests[-1].get("max_completion_tokens")) == 9
    assert len(server.requests) == asked + 3  # what a server does not know is not offered again


async def test_agents_that_hear_of_an_unknown_option_at_once_all_leave_it_out(agent: Agent) -> None:
    def answer(body: dict[str, Any], n: int) -> list[str] | Response:
        if "stream_options" in body:
            return JSONResponse({"error": "stream_options is unknown"}, 400)
        return [chunk(content="here"), STOP]

    async with Raw(answer) as server:
        found = await asyncio.gather(*(ask(agent, server) for _ in range(5)))
    assert [out["text"] for out in found] == ["here"] * 5


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(agent: Agent) -> None:
    refused = JSONResponse({"error": {"message": "unknown: stream_options, max_tokens, max_completion_tokens"}}, 400)
    async with Raw(lambda body, n: refused) as server:
        with pytest.raises(PermanentError, match="stream_options"):
            await ask(agent, server, max_tokens=9)
    assert len(server.requests) <= 3
