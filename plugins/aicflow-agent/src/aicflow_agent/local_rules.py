"""The rules behind the model name `local-rules`: they read words and numbers in the prompt, and understand nothing.

A prompt that offers a tool it talks about gets a tool call, one that asks for a shape gets an object of that shape,
one that names classes gets one of them, anything else a summary of the numbers in it. Same request, same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aicflow_agent.local_facts import Facts, read_facts, words
from aicflow_agent.local_replies import Answer, Call, Reply
from aicflow_agent.local_shapes import choose, fill

__all__ = ["SIGNATURE", "answer_by_rules"]

SIGNATURE = "local-rules (fixed rules, not a language model)"
_CLASSES = re.compile(
    r"\b(?:classify|label|categori[sz]e|decide|rate|answer|choose|reply)\b[^.:\n?]*?"
    r"\b(?:as|into|between|whether|with|from|one of)\b\s*:?\s*([^.:\n?]{3,200})",
    re.IGNORECASE,
)


def answer_by_rules(body: Mapping[str, Any]) -> Reply:
    """The answer to the body of a chat completion request."""
    messages: list[Mapping[str, Any]] = body["messages"]
    asked = "\n".join(_text(m) for m in messages if m.get("role") == "user")
    results = [_text(m) for m in messages if m.get("role") == "tool" and not _text(m).startswith("Error:")]
    tools = [tool["function"] for tool in body.get("tools") or () if isinstance(tool.get("function"), Mapping)]
    forced = _forced(body.get("tool_choice"), tools)
    offered = [tool for tool in tools if tool is not forced]
    if not _spoken_since(messages):
        call = _wanted_call(asked, offered)
        if call is not None:
            return Answer(calls=(call,))
    facts = read_facts("\n".join([asked, *results]))
    if forced is not None:
        return Answer(calls=(Call(str(forced["name"]), fill(forced.get("parameters") or {}, facts)),))
    schema = _response_schema(body.get("response_format"))
    if schema is not None:
        return Answer(text=json.dumps(fill(schema, facts), ensure_ascii=False))
    return Answer(text=_prose(asked, results, facts))


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content or "")


def _spoken_since(messages: list[Mapping[str, Any]]) -> bool:
    """Whether a tool was called since the user last spoke; each question gets one tool call at most."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return False
        if message.get("role") == "tool":
            return True
    return False


def _forced(choice: Any, tools: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The tool that must give the answer: the one named, or the last one where any is demanded."""
    if isinstance(choice, Mapping):
        name = (choice.get("function") or {}).get("name")
        return next((tool for tool in tools if tool.get("name") == name), None)
    return tools[-1] if choice in ("required", "any") and tools else None


def _response_schema(response_format: Any) -> Mapping[str, Any] | None:
    if not isinstance(response_format, Mapping):
        return None
    if response_format.get("type") == "json_object":
        return {"type": "object"}
    schema = (response_format.get("json_schema") or {}).get("schema")
    return schema if isinstance(schema, Mapping) else None


def _wanted_call(asked: str, tools: list[Mapping[str, Any]]) -> Call | None:
    """A call of the tool whose name or description shares most words with the prompt, if its arguments are there."""
    spoken = set(words(asked))
    best: tuple[int, Call] | None = None
    for tool in tools:
        named = set(words(str(tool.get("name", "")).replace("_", " ")))
        described = set(words(str(tool.get("description", ""))))
        score = 2 * len(named & spoken) + len(described & spoken)
        arguments = _arguments(tool.get("parameters") or {}, read_facts(asked))
        if score and arguments is not None and (best is None or score > best[0]):
            best = (score, Call(str(tool["name"]), arguments))
    return best[1] if best else None


def _arguments(schema: Mapping[str, Any], facts: Facts) -> dict[str, Any] | None:
    """Arguments found in the prompt; None when a required one is not there."""
    out: dict[str, Any] = {}
    required = schema.get("required") or ()
    for name, shape in (schema.get("properties") or {}).items():
        value = _argument(str(name), shape if isinstance(shape, Mapping) else {}, facts, name in required)
        if value is not None:
            out[name] = value
        elif name in required:
            return None
    return out


def _argument(name: str, shape: Mapping[str, Any], facts: Facts, required: bool) -> Any:
    kind = shape.get("type")
    if "enum" in shape:
        return next((value for value in shape["enum"] if str(value).lower() in facts.lower), None)
    stated = facts.stated(name)
    if kind in ("integer", "number"):
        number = stated if isinstance(stated, float) else (facts.numbers[0] if required and facts.numbers else None)
        return None if number is None else int(number) if kind == "integer" else number
    if kind == "boolean":
        return True if required else None
    if kind not in ("string", None):
        return None
    if "url" in name.lower() or shape.get("format") == "uri":
        return facts.urls[0] if facts.urls else None
    if isinstance(stated, str):
        return stated
    if not required:
        return None
    if facts.quoted:
        return facts.quoted[0]
    named = re.search(rf"\b{re.escape(name)}\s+([A-Z][\w-]*)", facts.text)
    proper = re.findall(r"\b(?:of|for|in|about|to|from)\s+([A-Z][\w-]+(?: [A-Z][\w-]+)*)", facts.text)
    return named.group(1) if named else proper[0] if proper else None


def _prose(asked: str, results: list[str], facts: Facts) -> str:
    classes = _CLASSES.search(asked)
    if classes is not None:
        labels = [part.strip(" '\"`.") for part in re.split(r",|/|\bor\b|\band\b|\n", classes.group(1))]
        labels = [label for label in labels if 0 < len(label) <= 40]
        if len(labels) > 1:
            rest = read_facts(asked.replace(classes.group(0), " ") + "\n" + "\n".join(results))
            label, why = choose(labels, rest)
            return f"{label}. {why} Answered by {SIGNATURE}."
    source = "From the tool's answer: " if results else ""
    told = read_facts("\n".join(results)) if results else facts
    return f"{source}{told.summary()} Answered by {SIGNATURE}."
