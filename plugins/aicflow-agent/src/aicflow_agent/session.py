"""Running one conversation with LangChain's agent, streaming what it writes. Imports LangChain: load it in a thread."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from aicflow import Context, NodeError, PermanentError
from aicflow.net import HttpSettings, http_client, public_context
from httpx2 import URL, MockTransport, Request, Response
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from aicflow_agent.budget import Budget
from aicflow_agent.chat_model import make_chat_model
from aicflow_agent.compatible import check_stream
from aicflow_agent.failures import as_node_error
from aicflow_agent.guard import ANSWER_TOOL, Guard, Guarded, refusal, stop_reason
from aicflow_agent.params import AgentOutput, AgentParams, Exchange, ToolUse
from aicflow_agent.schema import schema_problem
from aicflow_agent.settings import Endpoint, Mask, endpoint_for
from aicflow_agent.toolbox import Toolbox, shorten

__all__ = ["Clients"]

_LAST_MESSAGES = 20
_LONGEST_MESSAGE = 1000
_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "human": "user",
    "ai": "assistant",
    "tool": "tool",
    "system": "system",
}


class Clients:
    """What all agents of a process share: the connection pools of OpenAI-compatible servers. A server that a workflow
    names is dialled behind the guard, as http.request dials."""

    def __init__(self) -> None:
        # Redirects are not followed: a model server has no reason to send a key and a prompt elsewhere.
        hooks = {"response": [check_stream]}
        self._settings = HttpSettings.from_environment()
        self._guarded = http_client(
            self._settings, pointer="/base_url", make=DefaultAsyncHttpxClient, follow_redirects=False, event_hooks=hooks
        )
        self._operators = DefaultAsyncHttpxClient(follow_redirects=False, verify=public_context(), event_hooks=hooks)
        # Never used, but LangChain would make one for each base_url, reading all certificates again.
        self._blocking = DefaultHttpxClient(transport=MockTransport(_no_blocking))

    async def close(self) -> None:
        """Close the pools."""
        await self._guarded.aclose()
        await self._operators.aclose()
        self._blocking.close()

    async def converse(self, ctx: Context, params: AgentParams) -> AgentOutput:
        """One attempt. Raises TransientError and PermanentError; a cancelled conversation closes its connection."""
        if params.output_schema is not None:
            problem = schema_problem(params.output_schema)
            if problem is not None:
                raise PermanentError(f"{problem}.", code="output-schema", pointer="/output_schema")
        endpoint = endpoint_for(params)
        client = self._operators if endpoint.operators else self._guarded
        if not endpoint.operators and endpoint.provider != "openai":
            self._check_unguarded(endpoint)
        mask = Mask([endpoint.api_key, params.api_key])
        budget = Budget(params)
        toolbox = Toolbox(ctx, budget)
        await toolbox.offer(params.tools)
        if ANSWER_TOOL in toolbox.tools:
            raise PermanentError(f"A tool cannot be called {ANSWER_TOOL}.", code="tool-name", pointer="/tools")
        if params.output_method == "json_schema" and endpoint.provider != "openai":
            raise PermanentError(
                "output_method json_schema works with OpenAI and compatible servers.",
                code="output-method",
                pointer="/output_method",
                hint="Leave it at `tool`.",
            )

        def build() -> tuple[BaseChatModel, Any]:
            model = make_chat_model(params, endpoint, (self._blocking, client), mask)
            return model, _graph(json.dumps([tool.as_function() for tool in toolbox.tools.values()]), _answer(params))

        # Ten milliseconds of work for new tools, and seconds when a provider's package is imported for the first time.
        model, graph = await asyncio.to_thread(build)
        guard = Guard(params, model, budget, toolbox, mask)
        try:
            messages = await _stream(ctx, graph, params, guard)
        except NodeError:
            raise
        except Exception as error:
            raise as_node_error(error, mask) from None
        return _output(params, guard, budget, messages)

    def _check_unguarded(self, endpoint: Endpoint) -> None:
        """Raises PermanentError: the packages of other providers dial by themselves, so only the operator's list of
        hosts can answer for the address."""
        url = URL(endpoint.base_url or "")
        port = url.port or (443 if url.scheme == "https" else 80)
        if not self._settings.allow.holds(url.raw_host.decode("ascii"), port):
            raise PermanentError(
                f"The request was refused: the package of {endpoint.provider} dials by itself, so the addresses of "
                f"{url.host} cannot be checked.",
                code="http-refused",
                pointer="/base_url",
                hint=f"An operator can allow it: AICFLOW_HTTP_ALLOW_HOSTS={url.host}:{port}. "
                "Or leave base_url out, or name an OpenAI-compatible server.",
            )


def _no_blocking(_: Request) -> Response:
    raise AssertionError("models are called asynchronously")


@lru_cache(maxsize=64)
def _graph(tools: str, answer: str | None) -> Any:
    """The compiled graph of agents with these tools and this tool to answer with, as JSON. Compiling costs more than a
    model call, so attempts share it: each brings its model and system prompt with its guard."""
    return create_agent(
        FakeListChatModel(responses=[]),
        [_as_langchain(tool) for tool in json.loads(tools)],
        middleware=[Guarded()],
        response_format=None if answer is None else ToolStrategy(json.loads(answer)),
        checkpointer=False,
    )


async def _stream(ctx: Context, graph: Any, params: AgentParams, guard: Guard) -> list[BaseMessage]:
    said = [{"role": "user", "content": params.prompt}] if params.messages is None else _written(params)
    messages: list[BaseMessage] = []
    config = {"callbacks": [guard.raw_calls]}
    async for mode, part in graph.astream(
        {"messages": said}, config, context=guard, stream_mode=["messages", "values"]
    ):
        if mode == "values":
            messages = part["messages"]
            continue
        chunk, meta = part
        if isinstance(chunk, AIMessageChunk) and meta.get("langgraph_node") == "model":
            if chunk.text:
                ctx.emit({"text": chunk.text})
            if reasoning := chunk.additional_kwargs.get("reasoning"):
                ctx.emit({"reasoning": reasoning})
    return messages


def _written(params: AgentParams) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in params.messages or ()]


def _answer(params: AgentParams) -> str | None:
    """The tool that takes the answer, as JSON."""
    if params.output_schema is None or params.output_method != "tool":
        return None
    description = params.output_schema.get("description") or "Give the final answer."
    return json.dumps({**params.output_schema, "title": ANSWER_TOOL, "description": description})


def _as_langchain(function: dict[str, Any]) -> BaseTool:
    """A tool by its schema alone; the guard runs the node instead of it."""
    name, description, schema = function["name"], function["description"], function["parameters"]
    return StructuredTool(name=name, description=description, args_schema=schema, coroutine=_never)


async def _never(**_: Any) -> str:
    raise AssertionError("the guard runs tools")


def _output(params: AgentParams, guard: Guard, budget: Budget, messages: Iterable[BaseMessage]) -> AgentOutput:
    last = guard.last
    assert last is not None
    text = str(last.text) or refusal(last)
    if not text and guard.structured is not None:
        text = json.dumps(guard.structured, ensure_ascii=False)
    return AgentOutput(
        text=text,
        structured=guard.structured,
        reasoning=str(last.additional_kwargs.get("reasoning") or ""),
        stop_reason=stop_reason(last),
        usage=budget.usage(),
        messages=tuple(_exchange(message) for message in list(messages)[-_LAST_MESSAGES:]),
    )


def _exchange(message: BaseMessage) -> Exchange:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return Exchange(
        role=_ROLES.get(message.type, "assistant"),
        text=shorten(message.text, _LONGEST_MESSAGE),
        tool_calls=tuple(
            ToolUse(name=call["name"], arguments=shorten(json.dumps(call["args"], default=str), _LONGEST_MESSAGE))
            for call in calls
        ),
        tool=message.name if isinstance(message, ToolMessage) else None,
    )
