"""Caps stop the agent before the call that would exceed them, and the error names the cap."""

from __future__ import annotations

from typing import Any

import pytest
from agent_kit import Weather, ask
from aicflow import PermanentError
from aicflow.testing import Answer, Call, ChatServer, RecordingContext
from aicflow_agent import Agent

TOOLS: dict[str, Any] = {"tools": [{"node": "geo.weather"}]}


def bonn(times: int = 1, usage: tuple[int, int] = (100, 10)) -> Answer:
    return Answer(calls=(Call("geo_weather", {"city": "Bonn"}),) * times, usage=usage)


async def stopped(agent: Agent, answer: Answer, **caps: Any) -> tuple[PermanentError, ChatServer, int]:
    """The error of an agent whose model always answers the same, the server, and how many tools ran."""
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer(lambda _: answer) as server:
        with pytest.raises(PermanentError) as caught:
            await ask(agent, server, ctx, **TOOLS, **caps)
    assert caught.value.code == "agent-cap"
    return caught.value, server, len(ctx.logs)


async def test_model_calls(agent: Agent) -> None:
    error, server, _ = await stopped(agent, bonn(), max_model_calls=3)
    assert error.details["cap"] == "max_model_calls"
    assert error.pointer == "/max_model_calls"
    assert len(server.requests) == 3


async def test_tool_calls(agent: Agent) -> None:
    error, _, ran = await stopped(agent, bonn(), max_tool_calls=2)
    assert error.details["cap"] == "max_tool_calls"
    assert ran == 2


async def test_of_several_tool_calls_in_one_answer_all_run_or_none(agent: Agent) -> None:
    error, server, ran = await stopped(agent, bonn(times=3), max_tool_calls=2)
    assert "max_tool_calls = 2" in error.message
    assert (len(server.requests), ran) == (1, 0)


async def test_tokens_stop_before_a_call_that_must_exceed_them(agent: Agent) -> None:
    # The second call sends at least the 110 tokens of the first again: 110 + 110 fit into 230, 220 + 110 do not.
    error, server, _ = await stopped(agent, bonn(), max_total_tokens=230)
    assert error.details == {"cap": "max_total_tokens", "limit": 230, "used": 220, "next_call": 110}
    assert len(server.requests) == 2


async def test_a_prompt_longer_than_the_cap_is_never_sent(agent: Agent) -> None:
    error, server, _ = await stopped(agent, bonn(), max_total_tokens=10, prompt="word " * 1000)
    assert error.details["cap"] == "max_total_tokens"
    assert server.requests == []


async def test_cost(agent: Agent) -> None:
    price = {"input": 10.0, "output": 100.0}  # a call costs 0.001 + 0.001, the third at least 0.0011 more than 0.004
    error, server, _ = await stopped(agent, bonn(), max_cost=0.005, price=price)
    assert error.details["cap"] == "max_cost"
    assert error.details["used"] == pytest.approx(0.004)
    assert len(server.requests) == 2


async def test_cost_is_told_where_a_price_is_known(agent: Agent) -> None:
    async with ChatServer([Answer("ok", usage=(1_000_000, 500_000))]) as server:
        out = await ask(agent, server, price={"input": 2, "output": 8})
    assert out["usage"]["cost"] == pytest.approx(6.0)
