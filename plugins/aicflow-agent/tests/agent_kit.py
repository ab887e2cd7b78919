"""What the tests share: asking an agent, and small node types as its tools."""

from __future__ import annotations

import asyncio
from typing import Any

from aicflow import Node, Output, Params, PermanentError, SecretText, TransientError
from aicflow.testing import ChatServer, RecordingContext, run_node
from aicflow_agent import Agent

KEY = "sk-test-5f3a9c2e81"


async def ask(agent: Agent, server: ChatServer, ctx: RecordingContext | None = None, **params: Any) -> dict[str, Any]:
    """Run one attempt against a server; `prompt` and `api_key` have defaults."""
    given = {"model": "test-model", "base_url": server.base_url, "api_key": KEY, **params}
    if "messages" not in given:
        given.setdefault("prompt", "What is up?")
    out: dict[str, Any] = await run_node(Agent, given, context=ctx, instance=agent)
    return out


class Inner(Params):
    note: str = ""


class WeatherParams(Params):
    city: str
    unit: str = "C"
    inner: Inner = Inner()
    token: SecretText = ""


class WeatherOutput(Output):
    city: str
    unit: str
    temperature: float
    echo: str


class Weather(Node[WeatherParams, WeatherOutput]):
    """Weather of a city.

    Longer documentation that a model may read.
    """

    type_id = "geo.weather"

    async def run(self, ctx: Any, params: WeatherParams) -> WeatherOutput:
        if params.city == "Atlantis":
            raise PermanentError("There is no city Atlantis.", hint="Try one on land.")
        if params.city == "Limbo":
            raise TransientError(f"The weather service is busy for {params.token or 'everyone'}.")
        return WeatherOutput(city=params.city, unit=params.unit, temperature=21.5, echo=f"token={params.token}")


class Pair(Params):
    pass


class Meeting(Node[Pair, Output]):
    """Succeeds only when two calls are inside at once."""

    type_id = "test.meeting"
    inside = 0
    both: asyncio.Event

    async def run(self, ctx: Any, params: Pair) -> Output:
        Meeting.inside += 1
        if Meeting.inside == 2:
            Meeting.both.set()
        await Meeting.both.wait()
        return Output()
