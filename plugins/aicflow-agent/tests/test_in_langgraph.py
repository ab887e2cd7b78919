"""An agent inside somebody else's LangGraph run, as the engine has it: a task of an entrypoint."""

from __future__ import annotations

from typing import Any

from agent_kit import Weather, ask
from aicflow.testing import Answer, Call, ChatServer, RecordingContext
from aicflow_agent import Agent


async def test_two_agents_as_tasks_of_one_run(agent: Agent) -> None:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.func import entrypoint, task

    def reply(body: Any) -> Answer:
        if body["messages"][-1]["role"] == "tool":
            return Answer(f"done {body['messages'][0]['content']}")
        return Answer("calling", calls=(Call("geo_weather", {"city": "Bonn"}),))

    contexts = {name: RecordingContext(types=(Weather,)) for name in ("a", "b")}
    async with ChatServer(reply) as server:

        @task
        async def step(name: str) -> str:
            out = await ask(agent, server, contexts[name], prompt=name, tools=[{"node": "geo.weather"}])
            return str(out["text"])

        @entrypoint(checkpointer=InMemorySaver())
        async def execution(_: Any) -> list[str]:
            first, second = step("a"), step("b")
            return [await first, await second]

        result = await execution.ainvoke("go", {"configurable": {"thread_id": "x"}})
    assert result == ["done a", "done b"]
    for name, ctx in contexts.items():
        assert "".join(delta["text"] for delta in ctx.deltas) == f"callingdone {name}"
