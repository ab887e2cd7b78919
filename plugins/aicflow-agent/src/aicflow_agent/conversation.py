"""One conversation of a model with its tools, on a LangGraph graph of two nodes. Imports LangChain: load it in a
thread."""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypedDict, cast

from aicflow import Context, NodeError, PermanentError, TransientError, cut
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from aicflow_agent.budget import Budget, estimate_tokens
from aicflow_agent.failures import as_node_error
from aicflow_agent.models import Models
from aicflow_agent.params import AgentOutput, AgentParams, Exchange, StopReason, ToolUse
from aicflow_agent.schema import misfit, schema_problem
from aicflow_agent.settings import endpoint_for, secret_keys
from aicflow_agent.toolbox import Toolbox, shorten

ANSWER_TOOL = "final_answer"
LONGEST_ANSWER = 4_000_000
_SECOND_CHANCES = 2  # how often a model may correct an answer of the wrong shape
_LAST_MESSAGES = 20
_LONGEST_MESSAGE = 1000
_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "human": "user",
    "ai": "assistant",
    "tool": "tool",
    "system": "system",
}
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


async def converse(ctx: Context, params: AgentParams, models: Models) -> AgentOutput:
    """One attempt. Raises TransientError and PermanentError; a cancelled conversation closes its connection."""
    if params.output_schema is not None:
        problem = schema_problem(params.output_schema)
        if problem is not None:
            raise PermanentError(f"{problem}.", code="output-schema", pointer="/output_schema")
    endpoint = endpoint_for(params)
    for key in secret_keys(endpoint):  # servers echo keys in their errors
        ctx.mask(key)
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
    model: Any = await models.get(params, endpoint, ctx.redact)
    conversation = _Conversation(ctx, params, budget, toolbox)
    try:
        return await conversation.run(model)
    except NodeError:
        raise
    except Exception as error:
        # From None: the provider's exception may quote a key, and chains end up in logs.
        raise as_node_error(error, ctx.redact) from None


class _State(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]


@dataclass(eq=False)
class _Conversation:
    """The two nodes of the graph, for one attempt. `_structured` is the answer once it fits; `_last` the model's last
    message."""

    _ctx: Context
    _params: AgentParams
    _budget: Budget
    _toolbox: Toolbox
    _model: Any = None
    _options: dict[str, Any] = field(default_factory=dict)
    _structured: Any = None
    _last: AIMessage | None = None

    async def run(self, model: Any) -> AgentOutput:
        """From the prompt to the node's output."""
        schema = self._params.output_schema
        tools = [_function(name, one.description, json.dumps(one.schema)) for name, one in self._toolbox.tools.items()]
        chosen: dict[str, Any] = {}
        if schema is not None and self._params.output_method == "tool":
            description = schema.get("description") or "Give the final answer."
            tools.append(_function(ANSWER_TOOL, description, json.dumps(schema)))
            chosen = {"tool_choice": "any"}
        elif schema is not None:
            wanted = {"name": ANSWER_TOOL, "schema": schema}
            self._options = {"extra_body": {"response_format": {"type": "json_schema", "json_schema": wanted}}}
        self._model = model.bind_tools(tools, **chosen) if tools else model
        if self._params.messages is None:
            said: list[Any] = [HumanMessage(self._toolbox.files.in_text(self._params.prompt or ""))]
        else:
            shown = self._toolbox.files.in_text
            said = convert_to_messages([(message.role, shown(message.content)) for message in self._params.messages])
        state = await _GRAPH.ainvoke({"messages": said}, {"recursion_limit": 10_000}, context=self)
        return self._output(state["messages"])

    async def ask(self, messages: Sequence[AnyMessage]) -> Command[Literal["tools", "__end__"]]:
        """Call the model, and again with what was wrong while its answer cannot be used."""
        said: list[AnyMessage] = []
        problem = ""
        system = self._params.system_prompt
        standing = [] if system is None else [SystemMessage(system)]
        for _ in range(1 + _SECOND_CHANCES):
            message, problem = await self._call([*standing, *messages, *said])
            problem = problem or self._problem(message) or ""
            said.append(message)
            if not problem:
                count = len(self._tool_calls(message))
                self._budget.before_tools(count)
                onward: Literal["tools", "__end__"] = "tools" if count else "__end__"
                return Command(update={"messages": said}, goto=onward)
            said += _correction(message, problem)
        raise PermanentError(
            f"The model returned no usable answer in {1 + _SECOND_CHANCES} attempts: {self._ctx.redact(problem)}",
            code="agent-answer",
            pointer="/output_schema" if self._params.output_schema is not None else None,
            hint="Simplify output_schema or the prompt, or use a more capable model.",
        )

    async def use_tools(self, message: AnyMessage) -> Command[Literal["model", "__end__"]]:
        """Run the nodes that the model's message asks for, all at once. When one fails, the others still end first:
        what they do to the world is not to be broken off."""
        calls = [self._use(call) for call in self._tool_calls(message)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        onward: Literal["model", "__end__"] = "model" if self._structured is None else "__end__"
        return Command(update={"messages": results}, goto=onward)

    async def _use(self, call: ToolCall) -> ToolMessage:
        """Run the node behind a tool; the model hears what went wrong."""
        text, ok = await self._toolbox.call(call["name"], call["args"])
        status: Literal["success", "error"] = "success" if ok else "error"
        return ToolMessage(content=text, tool_call_id=call["id"] or "", name=call["name"], status=status)

    def _tool_calls(self, message: AnyMessage) -> list[ToolCall]:
        """The calls to run, without the one that takes the answer."""
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        answers = self._params.output_schema is not None
        return [call for call in calls if not answers or call["name"] != ANSWER_TOOL]

    async def _call(self, messages: Sequence[AnyMessage]) -> tuple[AIMessage, str]:
        """The model's message, and what is wrong with the arguments in it."""
        sent = sum(len(message.text) for message in messages)
        self._budget.before_model(sent)
        try:
            async with asyncio.timeout(self._params.timeout):
                whole = await self._listen(messages)
        except TimeoutError:
            raise TransientError(
                f"The model did not finish its answer within {self._params.timeout:g} s.",
                code="model-timeout",
                pointer="/timeout",
            ) from None
        except Exception as error:
            raise as_node_error(error, self._ctx.redact) from None
        self._last = message = cast("AIMessage", message_chunk_to_message(whole))
        usage = message.usage_metadata
        if usage is not None and usage["total_tokens"] > 0:
            self._budget.after_model(usage["input_tokens"], usage["output_tokens"], estimated=False)
        else:
            written = len(message.text) + len(json.dumps([call["args"] for call in message.tool_calls], default=str))
            self._budget.after_model(estimate_tokens(sent), estimate_tokens(written), estimated=True)
        meta = message.response_metadata
        if meta.get("model_provider") == "openai" and not (meta.get("finish_reason") or meta.get("status")):
            raise TransientError("The model's answer broke off before its end.", code="model-reply")
        broken = _broken(whole)
        return message, f"The arguments of {broken} are not a JSON object." if broken else ""

    async def _listen(self, messages: Sequence[AnyMessage]) -> AIMessage:
        """The model's message, passed on piece by piece while it is written."""
        pieces: list[Any] = []
        size = 0
        async with aclosing(self._model.astream(messages, **self._options)) as stream:
            async for piece in stream:
                text = str(piece.text)
                beside = sum(len(value) for value in piece.additional_kwargs.values() if isinstance(value, str))
                size += len(text) + beside + sum(len(call["args"] or "") for call in _chunks(piece))
                if size > LONGEST_ANSWER:
                    raise PermanentError(
                        f"The model's answer is longer than {LONGEST_ANSWER} characters.", code="answer-too-long"
                    )
                if text:
                    self._ctx.emit({"text": text})
                if reasoning := piece.additional_kwargs.get("reasoning"):
                    self._ctx.emit({"reasoning": reasoning})
                pieces.append(piece)
        if not pieces:
            raise TransientError("The model returned no message.", code="model-reply")
        whole: AIMessage = pieces[0] + pieces[1:] if len(pieces) > 1 else pieces[0]
        return whole

    def _problem(self, message: AIMessage) -> str | None:
        """Why the answer cannot be used, for the model to read; None when it can, or when tools are to run first."""
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
            if _stop_reason(message) == "refused":
                said = cut(self._ctx.redact(message.text or _refusal(message)), 500) or "no reason given"
                raise PermanentError(f"The model refused to answer: {said}", code="model-refusal")
            if self._params.output_method == "json_schema":
                return "Answer with one JSON object that fits the schema and nothing else."
            return f"Answer by calling the tool {ANSWER_TOOL}."
        wrong = misfit(schema, value, self._ctx.redact)
        if wrong is None:
            self._structured = value
            return None
        return f"The answer does not fit its schema: {wrong}."

    def _output(self, messages: Sequence[AnyMessage]) -> AgentOutput:
        last = self._last
        assert last is not None
        text = str(last.text) or _refusal(last)
        if not text and self._structured is not None:
            text = json.dumps(self._structured, ensure_ascii=False)
        return AgentOutput(
            text=text,
            structured=self._structured,
            reasoning=str(last.additional_kwargs.get("reasoning") or ""),
            stop_reason=_stop_reason(last),
            usage=self._budget.usage(),
            messages=tuple(self._exchange(message) for message in messages[-_LAST_MESSAGES:]),
        )

    def _exchange(self, message: BaseMessage) -> Exchange:
        def short(text: str) -> str:
            return shorten(text, _LONGEST_MESSAGE, self._ctx.redact)

        calls = message.tool_calls if isinstance(message, AIMessage) else []
        return Exchange(
            role=_ROLES.get(message.type, "assistant"),
            text=short(message.text),
            tool_calls=tuple(
                ToolUse(name=call["name"], arguments=short(json.dumps(call["args"], default=str))) for call in calls
            ),
            tool=message.name if isinstance(message, ToolMessage) else None,
        )


async def _model(state: _State, runtime: Runtime[_Conversation]) -> Command[Literal["tools", "__end__"]]:
    return await runtime.context.ask(state["messages"])


async def _tools(state: _State, runtime: Runtime[_Conversation]) -> Command[Literal["model", "__end__"]]:
    return await runtime.context.use_tools(state["messages"][-1])


def _compiled() -> Any:
    graph = StateGraph(_State, context_schema=_Conversation)
    graph.add_node("model", _model)
    graph.add_node("tools", _tools)
    graph.add_edge(START, "model")
    return graph.compile(checkpointer=False, name="agent")


_GRAPH = _compiled()  # once: each run brings its conversation as context


@lru_cache(maxsize=256)
def _function(name: str, description: str, schema: str) -> dict[str, Any]:
    """A tool as models are shown it, from the JSON of its arguments' schema: without references, which some providers
    do not follow. Kept, because this takes half as long as a call."""
    tool = StructuredTool(name=name, description=description, args_schema=json.loads(schema), coroutine=_never)
    return convert_to_openai_tool(tool)


async def _never(**_: Any) -> str:
    raise AssertionError("the conversation runs tools")


def _chunks(message: AIMessage) -> list[Any]:
    return message.tool_call_chunks if isinstance(message, AIMessageChunk) else []


def _broken(message: AIMessage) -> str | None:
    """The name of a tool whose arguments, as the model wrote them, are not a JSON object: LangChain completes broken
    JSON silently."""
    for call in _chunks(message):
        try:
            whole = not call["args"] or isinstance(json.loads(call["args"]), dict)
        except ValueError:
            whole = False
        if not whole:
            return call["name"] or "a tool"
    invalid = message.invalid_tool_calls
    return (invalid[0].get("name") or "a tool") if invalid else None


def _stop_reason(message: AIMessage) -> StopReason:
    """Why the model stopped, in our words; every provider has its own."""
    if _refusal(message):
        return "refused"
    meta = message.response_metadata
    reason = meta.get("finish_reason") or meta.get("stop_reason") or ("stop" if meta.get("status") else "")
    return _STOP_REASONS.get(str(reason).lower(), "other")


def _refusal(message: AIMessage) -> str:
    """What a model says that refuses; empty for one that does not. It stands beside the content or in it."""
    blocks = message.content if isinstance(message.content, list) else []
    said = [str(block.get("refusal")) for block in blocks if isinstance(block, dict) and block.get("refusal")]
    return str(message.additional_kwargs.get("refusal") or "".join(said))


def _correction(message: AIMessage, problem: str) -> list[AnyMessage]:
    """An answer to each tool call in the unusable message, as providers demand."""
    ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    if not ids:
        return [HumanMessage(problem)]
    return [ToolMessage(content=f"Error: {problem}", tool_call_id=i or "", status="error") for i in ids]


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
