"""The fixed rules behind the model name `local-rules`: they read words and numbers in a prompt and understand nothing.

A prompt that mentions an offered tool gets a tool call, one that asks for a shape gets an object of that shape, one
that names classes gets one of them, anything else a summary of its numbers. Same request, same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aicflow.testing.chat_replies import Answer, Call

MODEL_NAME = "local-rules"
_SIGNATURE = f"Answered by {MODEL_NAME} (fixed rules, not a language model)."
_LONGEST = 500
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_NAMED = re.compile(r"\"?([A-Za-z]\w{0,40})\"?\s*[:=]\s*(?:\"([^\"\n]{1,200})\"|([^\s,;{}\[\]\"]{1,200}))")
_CLASSES = re.compile(
    r"\b(?:classify|label|decide|answer|choose)\b[^.:\n?]*?\b(?:as|into|between|with|from|one of)\b\s*:?\s*"
    r"([^.:\n?]{3,200})",
    re.IGNORECASE,
)
# Words that speak for a label, beside the label itself.
_SIGNS = (
    (
        {"high", "urgent", "critical", "bad", "negative", "reject", "yes", "true"},
        {"broke", "broken", "danger", "error", "fail", "failed", "flooded", "high", "outage", "refund", "severe"}
        | {"terrible", "warning", "wrong"},
    ),
    (
        {"low", "normal", "ok", "good", "positive", "accept", "no", "false"},
        {"calm", "excellent", "fine", "great", "happy", "love", "ordinary", "perfect", "quiet", "routine", "stable"}
        | {"thank", "thanks", "usual", "well"},
    ),
)


def answer_by_rules(body: Mapping[str, Any]) -> Answer:
    """The answer to the body of a chat completion request."""
    messages = body["messages"]
    asked = "\n".join(_text(m) for m in messages if m.get("role") == "user")
    results = "\n".join(_text(m) for m in messages if m.get("role") == "tool")
    tools = [tool["function"] for tool in body.get("tools") or ()]
    forced = _forced_tool(body.get("tool_choice"), tools)
    last_role = next((m["role"] for m in reversed(messages) if m.get("role") in ("user", "tool")), None)
    if last_role == "user":  # each question gets one tool call at most
        call = _wanted_call(asked, [tool for tool in tools if tool is not forced])
        if call is not None:
            return Answer(calls=(call,))
    text = f"{asked}\n{results}"
    if forced is not None:
        return Answer(calls=(Call(forced["name"], _fill(forced.get("parameters") or {}, text)),))
    response_format = body.get("response_format") or {}
    if response_format.get("type") in ("json_object", "json_schema"):
        schema = (response_format.get("json_schema") or {}).get("schema") or {"type": "object"}
        return Answer(json.dumps(_fill(schema, text), ensure_ascii=False))
    classes = _CLASSES.search(asked)
    if classes is not None:
        labels = [part.strip(" '\"`.") for part in re.split(r",|/|\bor\b|\band\b", classes[1])]
        return Answer(f"{_choose([label for label in labels if label], text.replace(classes[0], ' '))}. {_SIGNATURE}")
    return Answer(f"{_summary(results or asked)} {_SIGNATURE}")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _words(text: str) -> set[str]:
    """Words of at least four letters, without the ending of a plural; short ones say too little to choose by."""
    return {word.removesuffix("s") for word in re.findall(r"[a-z]{4,}", text.lower().replace("_", " "))}


def _named(text: str) -> dict[str, str | float]:
    """Values written as `name: value` or `name = value`; the last of a name counts."""
    pairs = [(name, quoted or plain.rstrip(".%")) for name, quoted, plain in _NAMED.findall(text)]
    return {name: float(value) if _NUMBER.fullmatch(value) else value for name, value in pairs}


def _summary(text: str) -> str:
    """Named numbers; without any, the first sentences."""
    values = [f"{name} {value:g}" for name, value in _named(text).items() if isinstance(value, float)]
    if values:
        return f"Values: {', '.join(values[:8])}."
    return " ".join(_sentences(text)[:2]) or "The text says nothing that a rule can read."


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text) if len(part.strip()) > 3]


def _choose(labels: Sequence[str], text: str) -> str:
    """The label that most words of the text speak for; the first on a tie."""
    spoken = re.findall(r"[a-z]+", text.lower())

    def score(label: str) -> int:
        signs = [signs for names, signs in _SIGNS if label.lower() in names]
        return sum((word == label.lower()) + any(word in known for known in signs) for word in spoken)

    return max(labels, key=score)


def _forced_tool(choice: Any, tools: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The tool that must be called: the one named, or the last where any is demanded."""
    if isinstance(choice, Mapping):
        return next((tool for tool in tools if tool["name"] == choice["function"]["name"]), None)
    return tools[-1] if choice in ("required", "any") and tools else None


def _wanted_call(asked: str, tools: list[dict[str, Any]]) -> Call | None:
    """A call of the first tool that shares a word with the prompt and finds its required arguments there."""
    for tool in tools:
        if _words(asked) & _words(f"{tool['name']} {tool.get('description', '')}"):
            schema = tool.get("parameters") or {}
            found = {name: _argument(name, asked) for name in schema.get("required") or ()}
            if None not in found.values():
                return Call(tool["name"], found)
    return None


def _argument(name: str, asked: str) -> str | float | None:
    """A named value, a link for a url, else a proper name that follows a preposition."""
    if "url" in name:
        link = re.search(r"https?://[^\s\"'<>)\]]+", asked)
        return link[0] if link else None
    proper = re.search(r"\b(?:of|for|in|about|to|from)\s+([A-Z][\w-]+)", asked)
    return _named(asked).get(name) or (proper[1] if proper else None)


def _fill(schema: Mapping[str, Any], text: str) -> Any:
    """A value that fits the usual schemas: type, enum, const, properties, items, limits, local references."""
    named, numbers = _named(text), [float(number) for number in _NUMBER.findall(text)] or [0.0]

    def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Any = schema
        for key in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
            found = found[key]
        return found if "$ref" in part else part

    def value(part: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
        part = resolved(part)
        if depth > 8:
            return None
        if "const" in part or "enum" in part:
            options = part.get("enum") or [part["const"]]
            chosen = _choose([str(option) for option in options], text)
            return next(option for option in options if str(option) == chosen)
        for key in ("anyOf", "oneOf"):
            if part.get(key):
                return value(part[key][0], name, depth + 1)
        types = part.get("type")
        kind = types[0] if isinstance(types, list) else types
        if kind == "object" or "properties" in part:
            return {key: value(child, key, depth + 1) for key, child in (part.get("properties") or {}).items()}
        if kind == "array":
            items, least, most = part.get("items") or {}, _limit(part, "minItems", 1), _limit(part, "maxItems", 5)
            texts = _sentences(text)[:most] if resolved(items).get("type") == "string" else []
            found = [sentence[: _limit(items, "maxLength", 200)] for sentence in texts]
            found += [value(items, name, depth + 1)] * max(0, least - len(found))
            return found[:most]
        if kind in ("number", "integer"):
            stated = named.get(name)
            number = stated if isinstance(stated, float) else numbers[0]
            number = min(max(number, part.get("minimum", number)), part.get("maximum", number))
            return round(number) if kind == "integer" else float(number)
        if kind in ("boolean", "null"):
            return _choose(["no", "yes"], text) == "yes" if kind == "boolean" else None
        words = str(named.get(name) or _summary(text))[: _limit(part, "maxLength", _LONGEST)]
        return words.ljust(_limit(part, "minLength", 0), ".")

    return value(schema)


def _limit(part: Mapping[str, Any], word: str, default: int) -> int:
    """A length that a schema asks for, within what is worth making up."""
    return min(int(part.get(word, default)), 10_000)
