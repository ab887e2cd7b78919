"""Node types as tools: what the model sees of them, what it may do, what it learns when they fail."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import ClassVar

import pytest
from agent_kit import Meeting, Pair, Weather, ask
from aicflow import Context, File, Node, Output, Params, PermanentError
from aicflow.testing import Answer, Call, ChatServer, RecordingContext, run_workflow
from aicflow_agent import Agent
from aicflow_agent.shown_files import FILE_SCHEMA
from pydantic import Field


def weather(**arguments: object) -> Answer:
    return Answer(calls=(Call("geo_weather", arguments),))


def told(server: ChatServer, request: int = -1) -> str:
    """The last tool message that the model was sent."""
    messages = [m for m in server.requests[request]["messages"] if m["role"] == "tool"]
    return str(messages[-1]["content"])


async def test_the_model_calls_a_node_and_answers_with_what_it_gave(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer([weather(city="Bonn"), Answer("21.5 degrees in Bonn.")]) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert out["text"] == "21.5 degrees in Bonn."
    assert out["usage"]["model_calls"] == 2
    assert out["usage"]["tool_calls"] == 1
    assert json.loads(told(server))["temperature"] == 21.5
    (line,) = ctx.logs
    assert line.fields["tool"] == "geo_weather"
    assert json.loads(line.fields["arguments"]) == {"city": "Bonn"}
    use = out["messages"][1]["tool_calls"][0]
    assert (use["name"], json.loads(use["arguments"])) == ("geo_weather", {"city": "Bonn"})


async def test_the_model_sees_the_params_schema_without_what_is_fixed(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer([weather(city="Bonn"), Answer("done")]) as server:
        tools = [{"node": "geo.weather", "params": {"unit": "F", "token": "t0ken-value"}}]
        await ask(agent, server, ctx, tools=tools)
    function = server.requests[0]["tools"][0]["function"]
    assert function["name"] == "geo_weather"
    assert function["description"].startswith("Weather of a city.")
    assert set(function["parameters"]["properties"]) == {"city", "inner"}
    assert function["parameters"]["required"] == ["city"]
    assert "x-aicflow" not in json.dumps(function)
    assert json.loads(told(server))["unit"] == "F"


async def test_only_exposed_params_can_be_filled(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    script = [weather(city="Bonn", unit="K"), weather(city="Bonn"), Answer("done")]
    async with ChatServer(script) as server:
        await ask(agent, server, ctx, tools=[{"node": "geo.weather", "expose": ["city"]}])
    assert list(server.requests[0]["tools"][0]["function"]["parameters"]["properties"]) == ["city"]
    assert "takes no argument 'unit'" in told(server, 1)
    assert json.loads(told(server, 2))["unit"] == "C"


async def test_a_fixed_param_cannot_be_overridden_by_the_model(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer([weather(city="Bonn", unit="K"), Answer("done")]) as server:
        await ask(agent, server, ctx, tools=[{"node": "geo.weather", "params": {"unit": "F"}}])
    assert "takes no argument 'unit'" in told(server)


async def test_the_model_learns_what_went_wrong_and_can_do_better(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    script = [weather(city="Atlantis"), weather(town="Bonn"), weather(), weather(city="Bonn"), Answer("21.5")]
    async with ChatServer(script) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert out["text"] == "21.5"
    assert "There is no city Atlantis." in told(server, 1)
    assert "Try one on land." in told(server, 1)
    assert "no argument 'town'" in told(server, 2)
    assert "city" in told(server, 3)
    assert [line.level for line in ctx.logs].count("warning") == 3


async def test_a_tool_that_is_not_listed_cannot_be_called(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather, Meeting))
    script = [Answer(calls=(Call("test_meeting", {}),)), Answer("then not")]
    async with ChatServer(script) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert out["text"] == "then not"
    assert "There is no tool 'test_meeting'" in told(server)


async def test_arguments_that_are_not_json_are_sent_back(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    script = [Answer(calls=(Call("geo_weather", '{"city": "Bo'),)), weather(city="Bonn"), Answer("done")]
    async with ChatServer(script) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert out["text"] == "done"
    assert "not a JSON object" in json.dumps(server.requests[1]["messages"])


async def test_failing_tools_end_the_agent_after_a_while(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    async with ChatServer(lambda _: weather(city="Atlantis")) as server:
        with pytest.raises(PermanentError, match=r"failed 3 times.*no city Atlantis") as caught:
            await ask(agent, server, ctx, tools=[{"node": "geo.weather"}], max_tool_errors=2)
    assert caught.value.code == "agent-tool-errors"
    assert len(server.requests) == 3


async def test_tools_of_one_answer_run_at_the_same_time(agent: Agent) -> None:
    Meeting.inside, Meeting.both = 0, asyncio.Event()
    ctx = RecordingContext(types=(Meeting,))
    both = Answer(calls=(Call("test_meeting", {}), Call("test_meeting", {})))
    async with ChatServer([both, Answer("met")]) as server:
        out = await ask(agent, server, ctx, tools=[{"node": "test.meeting"}])
    assert out["text"] == "met"
    assert out["usage"]["tool_calls"] == 2


async def test_fixed_secrets_never_reach_the_provider(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,))
    script = [weather(city="Bonn"), weather(city="Limbo"), Answer("done")]
    async with ChatServer(script) as server:
        await ask(agent, server, ctx, tools=[{"node": "geo.weather", "params": {"token": "t0ken-value"}}])
    assert "t0ken-value" not in json.dumps(server.requests)
    assert "token=***" in json.dumps(server.requests)
    assert "t0ken-value" not in repr(ctx.logs)


async def test_the_model_may_write_references_but_they_stay_text(agent: Agent) -> None:
    ctx = RecordingContext(types=(Weather,), secrets={"key": "s3cret-value"})
    async with ChatServer([weather(city="${{ secrets.key }}"), Answer("done")]) as server:
        await ask(agent, server, ctx, tools=[{"node": "geo.weather"}])
    assert json.loads(told(server))["city"] == "${{ secrets.key }}"


@pytest.mark.parametrize(
    ("tool", "code"),
    [
        ({"node": "geo.nowhere"}, "unknown-tool"),
        ({"node": "geo.weather", "params": {"colour": "red"}}, "unknown-param"),
        ({"node": "geo.weather", "expose": ["colour"]}, "unknown-param"),
        ({"node": "geo.weather", "expose": ["unit"]}, "missing-param"),
        ({"node": "geo.weather", "name": "final_answer"}, "tool-name"),
    ],
)
async def test_a_tool_that_cannot_work_is_refused_before_the_model_is_asked(
    agent: Agent, tool: dict[str, object], code: str
) -> None:
    async with ChatServer([Answer("never")]) as server:
        with pytest.raises(PermanentError) as caught:
            await ask(agent, server, RecordingContext(types=(Weather,)), tools=[tool])
    assert caught.value.code == code
    assert (caught.value.pointer or "").startswith("/tools")
    assert server.requests == []


async def test_of_an_agent_as_a_tool_the_model_sees_only_the_prompt(agent: Agent) -> None:
    ctx = RecordingContext(types=(Agent, Weather))
    inner = Call("ai_agent", {"prompt": "sub-question"})
    greedy = Call("ai_agent", {"prompt": "x", "tools": [{"node": "geo.weather"}]})
    script = [Answer(calls=(greedy,)), Answer(calls=(inner,)), Answer("inner answer"), Answer("outer answer")]
    async with ChatServer(script) as server:
        fixed = {"model": "small", "base_url": server.base_url}
        out = await ask(agent, server, ctx, tools=[{"node": "ai.agent", "params": fixed}])
    assert out["text"] == "outer answer"
    assert "".join(delta["text"] for delta in ctx.deltas) == "inner answerouter answer"
    assert list(server.requests[0]["tools"][0]["function"]["parameters"]["properties"]) == ["prompt"]
    assert [body["model"] for body in server.requests] == ["test-model", "test-model", "small", "test-model"]
    assert "takes no argument 'tools'" in told(server, 1)


class Trust(Node[Pair, Output]):
    """Notes whether it may trust its params, also in a call from inside a call."""

    type_id = "test.trust"
    seen: ClassVar[list[bool]] = []

    async def run(self, ctx: Context, params: Pair) -> Output:
        Trust.seen.append(ctx.untrusted)
        if len(Trust.seen) == 1:
            await ctx.nodes.call("test.trust", {})
        return Output()


async def test_what_a_model_calls_is_untrusted_all_the_way_down(agent: Agent) -> None:
    Trust.seen.clear()
    async with ChatServer([Answer(calls=(Call("test_trust", {}),)), Answer("done")]) as server:
        agents = {
            "id": "a",
            "type": "ai.agent",
            "params": {
                "model": "m",
                "base_url": server.base_url,
                "prompt": "go",
                "tools": [{"node": "test.trust"}],
            },
        }
        document = {"aicflow": 1, "name": "t", "nodes": [agents], "edges": []}
        execution = await run_workflow(document, nodes=[Agent, Trust])
    assert execution.status == "succeeded", execution.error
    assert Trust.seen == [True, True]


class Opened(Params):
    file: File
    more: list[File] = Field(default=[])
    note: str = ""


class Copied(Output):
    text: str
    copy_: File


class Copy(Node[Opened, Copied]):
    """Read a file and copy it."""

    type_id = "test.copy"

    async def run(self, ctx: Context, params: Opened) -> Copied:
        text = b"".join([chunk async for chunk in ctx.files.read(params.file)]).decode()
        return Copied(text=text, copy_=await ctx.files.write(text.encode() * 2, name="copy.txt"))


async def test_a_model_names_files_that_it_was_shown_by_id(agent: Agent) -> None:
    ctx = RecordingContext(types=(Copy,))
    first = await ctx.files.write(b"one", name="one.txt")
    other = (await ctx.files.write(b"two", name="two.txt")).sha256
    copied = hashlib.sha256(b"oneone").hexdigest()

    def copying(**arguments: object) -> Answer:
        return Answer(calls=(Call("test_copy", arguments),))

    script = [
        copying(file=other),  # it was never shown this one
        copying(file=first.sha256, note=first.sha256[:-1]),
        copying(file={"id": copied, "name": "copy.txt"}, more=[first.sha256]),
        Answer("done"),
    ]
    async with ChatServer(script) as server:
        prompt = f"Copy {json.dumps(first.model_dump())} twice."
        await ask(agent, server, ctx, prompt=prompt, tools=[{"node": "test.copy"}])
    function = server.requests[0]["tools"][0]["function"]["parameters"]
    assert "$blob" not in json.dumps(server.requests)
    assert function["properties"]["file"] == FILE_SCHEMA
    question = next(m["content"] for m in server.requests[0]["messages"] if m["role"] == "user")
    assert json.loads(question[5:-7]) == {"id": first.sha256, "size": 3, "type": "text/plain", "name": "one.txt"}
    assert told(server, 1).startswith("Error: ")
    assert json.loads(told(server, 2)) == {
        "text": "one",
        "copy_": {"id": copied, "size": 6, "type": "text/plain", "name": "copy.txt"},
    }
    assert json.loads(told(server, 3))["text"] == "oneone"
