"""Problems of an agent's params as written, found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aicflow import Issue

from aicflow_agent.schema import is_literal, schema_problem

NESTED_AGENT = "ai.agent"
"""An agent as a tool is shown only its prompt: else a model could give itself other tools, keys or limits."""


def check_params(params: Mapping[str, Any]) -> Sequence[Issue]:
    """All problems, in document order of the params."""
    return [Issue("param.invalid", "error", pointer, message, hint) for pointer, message, hint in _problems(params)]


def _problems(params: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    if (params.get("prompt") is None) == (params.get("messages") is None):
        yield "", "An agent needs exactly one of prompt and messages.", None
    if params.get("max_cost") is not None and params.get("price") is None:
        yield "/max_cost", "max_cost needs price.", "price: {input: …, output: …}, each for a million tokens"
    tools = params.get("tools")
    if isinstance(tools, list):
        yield from _tool_problems(tools)
    schema = params.get("output_schema")
    if schema is not None and not isinstance(schema, str) and is_literal(schema):
        problem = schema_problem(schema)
        if problem is not None:
            yield "/output_schema", f"{problem}.", None


def _tool_problems(tools: list[Any]) -> Iterator[tuple[str, str, str | None]]:
    seen: dict[str, int] = {}
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("node"), str):
            continue  # the params model says so itself
        node, pointer = tool["node"], f"/tools/{index}"
        if "${{" in node:
            yield f"{pointer}/node", "Which node types an agent may call is fixed when the workflow is written.", None
        name = tool.get("name") or node.replace(".", "_")
        if name in seen:
            yield pointer, f"Tool {seen[name]} is called {name!r} already.", "give one of them a `name`"
        seen.setdefault(name, index)
        fixed, expose = tool.get("params"), tool.get("expose")
        if not isinstance(expose, list):
            continue
        if node == NESTED_AGENT and any(item != "prompt" for item in expose):
            yield f"{pointer}/expose", "Of an agent used as a tool, only prompt can be exposed.", None
        both = [item for item in expose if isinstance(fixed, Mapping) and item in fixed]
        if both:
            yield f"{pointer}/expose", f"{both[0]!r} is fixed in params and cannot be exposed too.", None
