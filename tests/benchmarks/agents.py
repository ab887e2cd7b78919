"""ai.agent beside the OpenAI client that it is made of, on a chat server in another process."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.lab import Row

_ROUNDS = 3
_TOOL = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

type Work = Callable[[int], Awaitable[None]]


async def _serve() -> None:
    """Asks for two tool calls, one after the other, where there is a tool; then answers."""
    from aicflow.testing import Answer, ChatServer
    from aicflow.testing.chat_replies import Call

    def reply(body: dict[str, Any]) -> Answer:
        server.requests.clear()
        results = sum(message["role"] == "tool" for message in body["messages"])
        if results < 2 and body.get("tools"):
            return Answer(calls=(Call(body["tools"][0]["function"]["name"], {"n": results}),))
        return Answer("The weather is fine and so is everything else.")

    server = ChatServer(reply)
    async with server:
        print(server.base_url, flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def _bare(url: str, tools: bool) -> AsyncIterator[Work]:
    """The same conversation, streamed, written by hand."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    client = AsyncOpenAI(base_url=url, api_key="key", http_client=DefaultAsyncHttpxClient(trust_env=False))
    offered: Any = {"tools": [{"type": "function", "function": {"name": "add", "parameters": _TOOL}}]} if tools else {}

    async def once() -> None:
        messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
        while True:
            stream: Any = await client.chat.completions.create(
                model="m", messages=messages, stream=True, stream_options={"include_usage": True}, **offered
            )
            text, calls = "", dict[int, dict[str, Any]]()
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    for piece in choice.delta.tool_calls or ():
                        call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                        call["id"] += piece.id or ""
                        call["name"] += piece.function.name or ""
                        call["arguments"] += piece.function.arguments or ""
            if not calls:
                return
            asked = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in calls.values()
            ]
            messages.append({"role": "assistant", "content": text, "tool_calls": asked})
            for call in calls.values():
                result = {"sum": json.loads(call["arguments"])["n"]}
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})

    async def work(count: int) -> None:
        for _ in range(count):
            await once()

    yield work
    await client.close()


@asynccontextmanager
async def _node(url: str, tools: bool) -> AsyncIterator[Work]:
    """The node type by itself, its params already checked."""
    from aicflow.testing import RecordingContext
    from aicflow_agent import Agent, AgentParams

    from tests.benchmarks.lab import add

    os.environ["AICFLOW_HTTP_ALLOW_HOSTS"] = "127.0.0.1"
    node = Agent()
    await node.start()
    params = AgentParams.model_validate(
        {
            "model": "m",
            "base_url": url,
            "prompt": "How is the weather?",
            "tools": [{"node": "bench.add", "name": "add"}] if tools else [],
        }
    )

    async def work(count: int) -> None:
        for _ in range(count):
            await node.run(RecordingContext(types=(add,)), params)

    yield work
    await node.stop()


async def _cpu(work: Work, count: int) -> tuple[float, float]:
    """Milliseconds of CPU of this process, and on the clock, for each conversation."""
    gc.collect()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await work(count)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000 / count, seconds * 1000 / count


async def run() -> list[Row]:
    """CPU time of a conversation without tools and of one with two tool calls, and the first one of a node."""
    from tests.benchmarks.lab import Row

    server = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    opens = {"openai client": _bare, "ai.agent": _node}
    rows: list[Row] = []
    try:
        for case, tools in (("agent, no tools", False), ("agent, two tool calls", True)):
            figures: dict[str, list[float]] = {}
            async with AsyncExitStack() as stack:
                clients = {name: await stack.enter_async_context(one(url, tools)) for name, one in opens.items()}
                for name, work in clients.items():
                    _, first = await _cpu(work, 1)
                    rows.append(Row(case, f"{name}, first", first, "ms", "", None))
                for _ in range(_ROUNDS):  # interleaved
                    for name, work in clients.items():
                        figures.setdefault(name, []).append((await _cpu(work, 20))[0])
            cpu = {name: statistics.median(found) for name, found in figures.items()}
            for name, value in cpu.items():
                ratio = value / cpu["openai client"]
                rows.append(Row(case, name, value, "ms of CPU a call", "openai client", ratio))
    finally:
        server.kill()
        server.communicate()
    return rows


if __name__ == "__main__":
    asyncio.run(_serve())
