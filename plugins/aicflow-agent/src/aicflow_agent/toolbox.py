"""Node types as an agent's tools: what the model is shown, and what happens when it calls one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aicflow import Context, NodeError, NotFound, PermanentError

from aicflow_agent.budget import Budget
from aicflow_agent.params import Tool
from aicflow_agent.shown_files import FILE_SCHEMA, ShownFiles
from aicflow_agent.static_checks import NESTED_AGENT

_LONGEST_RESULT = 20_000
_LONGEST_ERROR = 2_000
_LONGEST_DESCRIPTION = 1024  # what OpenAI accepts


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """What the model is shown of a tool (`description`, and `schema` of its arguments) and what stands behind it."""

    description: str
    schema: dict[str, Any]
    node: str
    fixed: Mapping[str, Any]


class Toolbox:
    """The tools of one attempt. Only the listed node types can be called, and only with params the model was shown."""

    def __init__(self, ctx: Context, budget: Budget) -> None:
        self._ctx = ctx
        self._budget = budget
        self.files = ShownFiles()
        self.tools: dict[str, OfferedTool] = {}

    async def offer(self, tools: Iterable[Tool]) -> None:
        """Raises PermanentError for a node type that is not there or a fixed param it does not have."""
        for index, tool in enumerate(tools):
            self.tools[tool.shown_name] = await _offer(self._ctx, index, tool)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The text for the model, and whether the call succeeded. Raises the node's error when there were too many."""
        tool = self.tools.get(name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return self._failed(name, PermanentError(f"There is no tool {name!r}. Tools: {known}."))
        shown = tool.schema["properties"]
        foreign = [key for key in arguments if key not in shown or key in tool.fixed]
        if foreign:
            allowed = ", ".join(shown) or "none"
            return self._failed(
                name, PermanentError(f"{name} takes no argument {foreign[0]!r}. Its arguments: {allowed}.")
            )
        preview = self._short(json.dumps(arguments, ensure_ascii=False, default=str), 500)
        self._ctx.log(f"The model calls {name}", tool=name, node=tool.node, arguments=preview)
        try:
            given = self.files.given(arguments)
            output = await self._ctx.nodes.call(tool.node, {**given, **tool.fixed}, untrusted=True)
        except NodeError as error:
            return self._failed(name, error)
        except NotFound as error:
            return self._failed(name, PermanentError(error.message, hint=error.hint))
        output = self.files.shown(output)
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, default=str)
        return self._short(text, _LONGEST_RESULT), True

    def _short(self, text: str, longest: int) -> str:
        return shorten(text, longest, self._ctx.redact)

    def _failed(self, name: str, error: NodeError) -> tuple[str, bool]:
        said = self._short(f"Error: {error.message}" + (f" {error.hint}" if error.hint else ""), _LONGEST_ERROR)
        self._ctx.log(f"Tool {name} failed: {said}", level="warning", tool=name)
        if not self._budget.after_tool_error():
            raise PermanentError(
                f"Tool calls failed {self._budget.tool_errors} times, the last one of {name}: {said}",
                code="agent-tool-errors",
                pointer="/max_tool_errors",
                details={"tool": name, "tool_errors": self._budget.tool_errors},
            )
        return said, False


def shorten(text: str, longest: int, redact: Callable[[str], str]) -> str:
    """The text, or its beginning with a note of what was left out. Secrets are taken out before it is cut: nothing
    recognises half of one."""
    if len(text) <= longest:
        return text
    text = redact(text)
    return text if len(text) <= longest else f"{text[:longest]}… [{len(text) - longest} more characters]"


async def _offer(ctx: Context, index: int, tool: Tool) -> OfferedTool:
    pointer = f"/tools/{index}"
    try:
        described = ctx.nodes.describe(tool.node)
        schema = await ctx.nodes.params_schema(tool.node, tool.params)
    except NotFound as error:
        raise PermanentError(
            f"The agent's tool {tool.node!r} is not an installed node type.",
            code="unknown-tool",
            pointer=f"{pointer}/node",
            hint=error.hint or "Install the plugin that has it, or correct the name.",
        ) from None
    properties: Mapping[str, Any] = schema.get("properties", {})
    expose = ["prompt"] if tool.node == NESTED_AGENT else tool.expose
    for name in (*tool.params, *(expose or ())):
        if name not in properties:
            known = ", ".join(sorted(properties))
            raise PermanentError(
                f"{tool.node} has no param {name!r}.",
                code="unknown-param",
                pointer=pointer,
                hint=f"Known params: {known}.",
            )
    hidden = [name for name in schema.get("required", ()) if expose is not None and name not in expose]
    missing = [name for name in hidden if name not in tool.params]
    if missing:
        raise PermanentError(
            f"{tool.node} needs {missing[0]!r}, which is neither exposed nor fixed.",
            code="missing-param",
            pointer=f"{pointer}/params",
        )
    shown = [name for name in properties if name not in tool.params and (expose is None or name in expose)]
    description = tool.description or str(described.get("description") or tool.node)
    for secret in _secret_texts(schema, tool.params):  # what comes back from the node goes to the model's provider
        ctx.mask(secret)
    return OfferedTool(description[:_LONGEST_DESCRIPTION], _tool_schema(schema, shown), tool.node, tool.params)


def _tool_schema(schema: Mapping[str, Any], shown: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "object",
        "properties": {name: _without_marks(schema["properties"][name]) for name in shown},
        "required": [name for name in schema.get("required", ()) if name in shown],
        "additionalProperties": False,
    }
    definitions = schema.get("$defs", {})
    used = _used_definitions(out["properties"], definitions)
    if used:
        out["$defs"] = {name: _without_marks(definitions[name]) for name in sorted(used)}
    return out


def _without_marks(value: Any) -> Any:
    """The schema without our own keyword, which means nothing to a model and which some providers refuse; a file is
    named by its id."""
    if isinstance(value, Mapping):
        if isinstance(mark := value.get("x-aicflow"), Mapping) and mark.get("file"):
            return FILE_SCHEMA
        return {key: _without_marks(item) for key, item in value.items() if key != "x-aicflow"}
    return [_without_marks(item) for item in value] if isinstance(value, list) else value


def _used_definitions(value: Any, definitions: Mapping[str, Any]) -> set[str]:
    used: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, Mapping):
            ref = item.get("$ref")
            name = ref.rpartition("/")[2] if isinstance(ref, str) else ""
            if name in definitions and name not in used:
                used.add(name)
                stack.append(definitions[name])
            stack.extend(item.values())
    return used


def _secret_texts(schema: Mapping[str, Any], fixed: Mapping[str, Any]) -> Iterator[str]:
    """Texts fixed in params that may hold secrets: a tool's answer must not carry them to the model's provider."""
    definitions = schema.get("$defs", {})
    for name, value in fixed.items():
        shape = schema["properties"][name]
        parts = [shape, *(definitions[used] for used in _used_definitions(shape, definitions))]
        if '"secret": true' in json.dumps(parts):
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        scheme, _, credential = value.partition(" ")  # an Authorization header: hide the credential alone as well
        if credential and scheme.isalpha():
            yield credential
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
