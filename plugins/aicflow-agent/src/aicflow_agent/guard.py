"""The middleware around every model and tool call of an agent: caps, usage, timeouts, errors, the answer's shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aicflow import NodeError, PermanentError, TransientError
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.types import Command

from aicflow_agent.budget import Budget, estimate_tokens
from aicflow_agent.failures import as_node_error
from aicflow_agent.params import AgentParams, StopReason
from aicflow_agent.raw_calls import RawCalls
from aicflow_agent.schema import misfit
from aicflow_agent.settings import Mask
from aicflow_agent.toolbox import Toolbox

__all__ = ["ANSWER_TOOL", "Guard", "Guarded", "refusal", "stop_reason"]

ANSWER_TOOL = "final_answer"
_SECOND_CHANCES = 2  # how often a model may correct an answer of the wrong shape
_STOP_REASONS: dict[str, StopReason] = {
    "stop": "end",
    "end_turn": "end",
    "tool_calls": "end",
    "tool_use": "end",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "content_filter": "refused",
    "safety": "refused",
    "refusal": "refused",
}


class Guarded(AgentMiddleware[Any, Any, Any]):
    """Leaves each call to the guard of the attempt that it belongs to, so that attempts can share a compiled graph."""

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Call the attempt's model."""
        guard: Guard = request.runtime.context
        return await guard.call_model(request, handler)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Call the attempt's tool."""
        guard: Any = request.runtime.context
        message: ToolMessage = await guard.call_tool(request)
        return message


class Guard:
    """One attempt's guard. `structured` is the answer once it fits; `last` the model's last message."""

    def __init__(self, params: AgentParams, model: BaseChatModel, budget: Budget, toolbox: Toolbox, mask: Mask) -> None:
        self._params = params
        self._model = model
        self._budget = budget
        self._toolbox = toolbox
        self._mask = mask
        self.raw_calls = RawCalls()
        self.structured: Any = None
        self.last: AIMessage | None = None

    async def call_model(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Call the model, and again with what was wrong while its answer cannot be used."""
        system = self._params.system_prompt
        request = request.override(model=self._model, system_message=None if system is None else SystemMessage(system))
        if self._params.output_schema is not None and self._params.output_method == "json_schema":
            wanted = {"name": ANSWER_TOOL, "schema": self._params.output_schema}
            body = {"response_format": {"type": "json_schema", "json_schema": wanted}}
            request = request.override(model_settings={**request.model_settings, "extra_body": body})
        problem = ""
        for _ in range(1 + _SECOND_CHANCES):
            response = await self._call(request, handler)
            message = self._note(response)
            problem = self._problem(message, response) or ""
            if not problem:
                waiting = [call for call in message.tool_calls if call["name"] != ANSWER_TOOL]
                self._budget.before_tools(len(waiting))
                return ModelResponse(response.result, self.structured)
            request = request.override(messages=[*request.messages, *_correction(message, problem)])
        raise PermanentError(
            f"The model returned no usable answer in {1 + _SECOND_CHANCES} attempts: {self._mask(problem)}",
            code="agent-answer",
            pointer="/output_schema" if self._params.output_schema is not None else None,
            hint="Simplify output_schema or the prompt, or use a more capable model.",
        )

    async def call_tool(self, request: ToolCallRequest) -> ToolMessage:
        """Run the node behind a tool; the model hears what went wrong."""
        call = request.tool_call
        text, ok = await self._toolbox.call(call["name"], call["args"])
        status = "success" if ok else "error"
        return ToolMessage(content=text, tool_call_id=call["id"] or "", name=call["name"], status=status)

    async def _call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        sent = _characters(request)
        self._budget.before_model(sent)
        self.raw_calls.clear()
        try:
            async with asyncio.timeout(self._params.timeout):
                response = await handler(request)
        except TimeoutError:
            raise TransientError(
                f"The model did not finish its answer within {self._params.timeout:g} s.",
                code="model-timeout",
                pointer="/timeout",
            ) from None
        except NodeError:
            raise
        except Exception as error:
            # From None: the provider's exception may quote a key, and chains end up in logs.
            raise as_node_error(error, self._mask) from None
        self._count(_answer(response), sent)
        return response

    def _count(self, message: AIMessage, sent: int) -> None:
        usage = message.usage_metadata
        if usage is not None and usage["total_tokens"] > 0:
            self._budget.after_model(usage["input_tokens"], usage["output_tokens"], estimated=False)
        else:
            written = len(message.text) + len(json.dumps([call["args"] for call in message.tool_calls], default=str))
            self._budget.after_model(estimate_tokens(sent), estimate_tokens(written), estimated=True)

    def _note(self, response: ModelResponse[Any]) -> AIMessage:
        self.last = message = _answer(response)
        meta = message.response_metadata
        if meta.get("model_provider") == "openai" and not (meta.get("finish_reason") or meta.get("status")):
            raise TransientError("The model's answer broke off before its end.", code="model-reply")
        return message

    def _problem(self, message: AIMessage, response: ModelResponse[Any]) -> str | None:
        """Why the answer cannot be used, for the model to read; None when it can, or when tools are to run first."""
        invalid = message.invalid_tool_calls
        broken = self.raw_calls.broken() or (invalid[0].get("name") if invalid else None)
        if broken is not None:
            return f"The arguments of {broken} are not a JSON object."
        schema = self._params.output_schema
        if schema is None:
            return None
        answers = [call for call in message.tool_calls if call["name"] == ANSWER_TOOL]
        if message.tool_calls and not answers:
            return None
        if len(answers) > 1:
            return f"Call {ANSWER_TOOL} exactly once."
        found, value = (True, answers[0]["args"]) if answers else _json_in(message.text)
        if not found:
            if stop_reason(message) == "refused":
                said = self._mask(message.text or refusal(message))[:500] or "no reason given"
                raise PermanentError(f"The model refused to answer: {said}", code="model-refusal")
            if self._params.output_method == "json_schema":
                return "Answer with one JSON object that fits the schema and nothing else."
            return f"Answer by calling the tool {ANSWER_TOOL}."
        wrong = misfit(schema, value)
        if wrong is None:
            self.structured = value
            return None
        return f"The answer does not fit its schema: {wrong}."


def stop_reason(message: AIMessage) -> StopReason:
    """Why the model stopped, in our words; every provider has its own."""
    if refusal(message):
        return "refused"
    meta = message.response_metadata
    reason = meta.get("finish_reason") or meta.get("stop_reason") or ("stop" if meta.get("status") else "")
    return _STOP_REASONS.get(str(reason).lower(), "other")


def refusal(message: AIMessage) -> str:
    """What a model says that refuses; empty for one that does not. It stands beside the content or in it."""
    blocks = message.content if isinstance(message.content, list) else []
    said = [str(block.get("refusal")) for block in blocks if isinstance(block, dict) and block.get("refusal")]
    return str(message.additional_kwargs.get("refusal") or "".join(said))


def _answer(response: ModelResponse[Any]) -> AIMessage:
    for message in response.result:
        if isinstance(message, AIMessage):
            return message
    raise TransientError("The model returned no message.", code="model-reply")


def _correction(message: AIMessage, problem: str) -> Sequence[AnyMessage]:
    """The unusable message and an answer to each tool call in it, as providers demand."""
    ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    if not ids:
        return [message, HumanMessage(problem)]
    return [message, *(ToolMessage(content=f"Error: {problem}", tool_call_id=i or "", status="error") for i in ids)]


def _characters(request: ModelRequest[Any]) -> int:
    messages: list[BaseMessage] = [*request.messages]
    if request.system_message is not None:
        messages.append(request.system_message)
    return sum(len(message.text) for message in messages)


def _json_in(text: str) -> tuple[bool, Any]:
    """The JSON object that a text is, fenced or not."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return False, None
    return isinstance(value, dict), value
