"""What goes wrong between agent and model: which failures are worth another attempt, what they say, what they hide."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any

import pytest
from agent_kit import KEY, Weather, ask
from aicflow import Context, Node, NodeError, Output, Params, PermanentError, TransientError
from aicflow.testing import (
    Answer,
    Call,
    ChatServer,
    CutStream,
    Hang,
    HttpError,
    MalformedJson,
    RecordingContext,
    run_node,
)
from aicflow.testing.chat_server import Reply
from aicflow_agent import Agent
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse


async def failure(agent: Agent, reply: Reply, **params: Any) -> NodeError:
    """The error that one reply of the model leads to; the model was asked exactly once."""
    async with ChatServer([reply, Answer("a second request was made")]) as server:
        with pytest.raises(NodeError) as caught:
            await ask(agent, server, **params)
    assert len(server.requests) == 1
    return caught.value


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_troubles_of_the_moment_are_worth_another_attempt(agent: Agent, status: int) -> None:
    error = await failure(agent, HttpError(status, "busy"))
    assert isinstance(error, TransientError)
    assert error.details["status"] == status
    assert "busy" in error.message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_refused_requests_are_not(agent: Agent, status: int) -> None:
    error = await failure(agent, HttpError(status, "no such thing"))
    assert isinstance(error, PermanentError)
    assert "no such thing" in error.message
    assert error.hint


async def test_the_wait_that_a_busy_provider_asks_for_is_passed_on(agent: Agent) -> None:
    error = await failure(agent, HttpError(429, "slow down", headers={"Retry-After": "7"}))
    assert isinstance(error, TransientError)
    assert error.retry_after == 7.0
    assert error.code == "model-rate-limited"


async def test_a_redirect_takes_neither_prompt_nor_key_elsewhere(agent: Agent) -> None:
    async with ChatServer([Answer("never")]) as elsewhere:
        location = {"Location": f"{elsewhere.base_url}/chat/completions"}
        error = await failure(agent, HttpError(307, "over there", headers=location))
    assert isinstance(error, PermanentError)
    assert elsewhere.requests == []


async def test_a_used_up_quota_does_not_come_back_by_waiting(agent: Agent) -> None:
    error = await failure(agent, HttpError(429, "You exceeded your quota", code="insufficient_quota"))
    assert isinstance(error, PermanentError)
    assert error.code == "model-quota"


@pytest.mark.parametrize("reply", [MalformedJson(), CutStream(), CutStream(cleanly=True), CutStream("", cleanly=True)])
async def test_an_answer_that_breaks_off_or_is_no_json(agent: Agent, reply: Reply) -> None:
    error = await failure(agent, reply)
    assert isinstance(error, TransientError)


async def test_a_server_that_is_not_there(agent: Agent) -> None:
    async with ChatServer([]) as server:
        gone = server.base_url
    with pytest.raises(TransientError) as caught:
        await run_node(Agent, {"model": "m", "base_url": gone, "prompt": "x"}, instance=agent)
    assert caught.value.code == "model-unreachable"


async def test_a_model_that_takes_too_long(agent: Agent) -> None:
    async with ChatServer([Hang()]) as server:
        with pytest.raises(TransientError) as caught:
            await ask(agent, server, timeout=0.2)
        assert caught.value.code == "model-timeout"
        await asyncio.wait_for(server.disconnected.wait(), 5)


async def test_a_model_that_dribbles_takes_too_long_as_well(agent: Agent) -> None:
    error = await failure(agent, Answer("x" * 300, piece=1, delay=0.01), timeout=0.3)
    assert isinstance(error, TransientError)
    assert error.code == "model-timeout"


async def test_an_answer_without_end_is_stopped(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicflow_agent.conversation.LONGEST_ANSWER", 1000)
    error = await failure(agent, Answer("x" * 50_000))
    assert isinstance(error, PermanentError)
    assert error.code == "answer-too-long"


class Slow(Node[Params, Output]):
    """Does something in two parts."""

    type_id = "test.slow"
    ended = False

    async def run(self, ctx: Context, params: Params) -> Output:
        await asyncio.sleep(0.05)
        Slow.ended = True
        return Output()


class Watched(RecordingContext):
    """Tells when the first piece of text has come."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken = asyncio.Event()

    def emit(self, delta: object) -> None:
        self.spoken.set()


async def test_cancelling_closes_the_connection(agent: Agent) -> None:
    async with ChatServer([Hang("Thinking"), Answer("fresh")]) as server:
        ctx = Watched()
        task = asyncio.create_task(ask(agent, server, ctx))
        await asyncio.wait_for(ctx.spoken.wait(), 5)
        assert server.disconnects == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.disconnected.wait(), 5)
        assert (await ask(agent, server))["text"] == "fresh"  # the pool is not hurt


async def test_arguments_that_never_become_json(agent: Agent) -> None:
    broken = Answer(calls=(Call("geo_weather", "{"),))
    async with ChatServer(lambda _: broken) as server:
        with pytest.raises(PermanentError, match="not a JSON object"):
            await ask(agent, server, RecordingContext(types=(Weather,)), tools=[{"node": "geo.weather"}])
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_no_key_in_any_error_or_log(
    agent: Agent, status: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    ctx = RecordingContext()
    async with ChatServer([HttpError(status, f"bad key {KEY}, really: {KEY}")]) as server:
        try:
            await ask(agent, server, ctx)
        except NodeError as error:
            text = "".join(traceback.format_exception(error))
            shown = json.dumps([error.message, error.hint, error.details])
        else:
            pytest.fail("no error")
    assert "***" in shown
    captured = capsys.readouterr()
    for place in (text, shown, caplog.text, repr(ctx.logs), repr(ctx.deltas), captured.out, captured.err):
        assert KEY not in place


async def test_what_is_cut_never_ends_in_the_beginning_of_a_key(agent: Agent) -> None:
    half = KEY[:6]
    replies: list[Reply] = [
        HttpError(400, "x" * 494 + KEY),
        JSONResponse({"error": {"message": "x" * 463 + KEY}}),
        JSONResponse({"not": "x" * 100 + " " * 300 + KEY * 30}),
        PlainTextResponse("x" * 428 + KEY),
        HTMLResponse("<html>" + "<p>" * 1660 + "x" * 10 + KEY),
    ]
    for reply in replies:
        assert half not in (await failure(agent, reply)).message

    schema = {"type": "object", "properties": {"v": {"type": "string", "pattern": "^y+$"}}, "required": ["v"]}
    ctx = RecordingContext(types=(Weather,))
    script = [
        Answer(calls=(Call("geo_weather", {"city": "x" * 484 + KEY}),)),
        Answer(calls=(Call("geo_weather", {"city": "x" * 985 + KEY}),)),
        Answer(calls=(Call("final_answer", {"v": "x" * 192 + KEY}),)),
        Answer(calls=(Call("final_answer", {"v": "yyy"}),)),
    ]
    async with ChatServer(script) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}], output_schema=schema)
    assert [line.fields["arguments"][:500].count("x") > 400 for line in ctx.logs] == [True, True]
    assert half not in repr([line.fields["arguments"] for line in ctx.logs])
    assert half not in repr(out["messages"]).replace(KEY, "")  # what is not cut stays real until it is shown


async def test_a_failing_tool_lets_the_others_finish(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather, Slow))
    Slow.ended = False
    both = Answer(calls=(Call("geo_weather", {"city": "Atlantis"}), Call("test_slow", {})))
    async with ChatServer([both]) as server:
        tools = [{"node": "geo.weather"}, {"node": "test.slow"}]
        with pytest.raises(PermanentError) as caught:
            await ask(agent, server, ctx, tools=tools, max_tool_errors=0)
    assert caught.value.code == "agent-tool-errors"
    assert Slow.ended
