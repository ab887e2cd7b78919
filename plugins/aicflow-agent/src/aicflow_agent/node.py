"""The node type `ai.agent`. LangChain takes seconds to import, so it is imported when the node starts, in a thread."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from aicflow import Context, Issue, Node

from aicflow_agent.params import AgentOutput, AgentParams
from aicflow_agent.schema import embed, is_literal, schema_problem
from aicflow_agent.static_checks import check_params

if TYPE_CHECKING:
    from aicflow_agent.models import Models


class Agent(Node[AgentParams, AgentOutput]):
    """Let a language model answer, with other node types as its tools.

    The model gets `prompt` (or `messages`) and may call the node types listed in `tools`, again and again, until it
    answers. With `output_schema` the answer is JSON of that shape in `structured`, checked before the step succeeds.
    Text streams while it is written. Caps on model calls, tool calls, tokens and cost stop the agent before the call
    that would exceed them.
    """

    type_id = "ai.agent"
    title = "AI agent"
    category = "ai"
    pure = False
    in_langgraph_task = True
    start_early = True
    variables: ClassVar[Mapping[str, str]] = {
        "AICFLOW_AGENT_MODEL": "Model of agents that name none, such as `openai:gpt-5-mini`",
        "AICFLOW_AGENT_BASE_URL": "OpenAI-compatible server of agents that name none, up to and with `/v1`",
        "AICFLOW_AGENT_API_KEY": "Key for that server, or for OpenAI; sent nowhere else",
        "AICFLOW_HTTP_ALLOW_HOSTS": "Inner hosts and networks that may be reached: `erp.internal:8443, 10.20.0.0/16`",
        "AICFLOW_HTTP_PROXY": "Proxy of all requests: a URL, or `environment` for HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
        "AICFLOW_HTTP_NO_PROXY": "Hosts that are reached without it",
    }
    errors: ClassVar[Mapping[str, str]] = {
        "model-timeout": "The model did not answer in time",
        "model-unreachable": "The connection to the model failed",
        "model-unavailable": "The provider is busy or broken",
        "model-rate-limited": "The provider asks to send fewer requests",
        "model-quota": "The provider's quota is used up",
        "model-refused": "The provider refused the request",
        "model-refusal": "The model refused to answer",
        "model-reply": "The model's answer cannot be read",
        "model-setup": "The model cannot be set up",
        "http-refused": "An inner address",
        "no-model": "No model is named",
        "provider-missing": "The provider's package is not installed",
        "bad-base-url": "base_url is not an http or https URL",
        "bad-key": "The API key cannot be sent",
        "output-schema": "output_schema cannot be used",
        "output-method": "output_method does not work with the provider",
        "tool-name": "A tool has a name that is taken",
        "unknown-tool": "A tool is not an installed node type",
        "unknown-param": "A tool has no such param",
        "missing-param": "A tool lacks a param",
        "agent-cap": "A cap stopped the agent",
        "agent-answer": "The answer never fitted output_schema",
        "agent-tool-errors": "Too many tool calls failed",
        "agent-failed": "The agent failed for another reason",
        "answer-too-long": "The model's answer is too long",
    }

    _models: Models | None = None

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Import LangChain and open the connection pools."""
        async with self._lock:
            if self._models is None:
                os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
                self._models = await asyncio.to_thread(_load)

    async def stop(self) -> None:
        """Close the connection pools."""
        models, self._models = self._models, None
        if models is not None:
            await models.close()

    async def run(self, ctx: Context, params: AgentParams) -> AgentOutput:
        """One attempt: a whole conversation of model and tools."""
        if self._models is None:
            await self.start()
        from aicflow_agent.conversation import converse

        assert self._models is not None
        return await converse(ctx, params, self._models)

    @classmethod
    def output_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`structured` has the shape of `output_schema`; without one it is null."""
        schema = cls.output_schema()
        assert schema is not None
        wanted = params.get("output_schema")
        if wanted is None:
            return embed({"type": "null"}, schema)
        if not is_literal(wanted) or schema_problem(wanted) is not None:
            return schema
        return embed(wanted, schema)

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Problems that the params model cannot see."""
        return check_params(params)


def _load() -> Models:
    importlib.import_module("aicflow_agent.conversation")
    from aicflow_agent.models import Models

    return Models()
