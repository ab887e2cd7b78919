"""Mending the chunks of a streamed chat completion: servers that are called compatible differ in what they repeat,
leave out and tear apart. One `Chunks` reads one answer; knows nothing of LangChain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

_OPEN, _CLOSE = "<think>", "</think>"


class _Text:
    """Text in pieces. Half of a surrogate pair waits for its other half; alone it becomes U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str, *, last: bool = False) -> str:
        text, self._half = self._half + piece, ""
        if text and not last and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Thoughts:
    """Divides text in pieces into what stands in `<think>…</think>` at its beginning, and the rest."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "before"

    def add(self, piece: str, *, last: bool = False) -> tuple[str, str]:
        """The thoughts and the text that are now certain."""
        text, self._held = self._held + piece, ""
        thoughts = ""
        if self._state == "before":
            begun = text.lstrip()
            if begun.startswith(_OPEN):
                self._state, text = "inside", begun.removeprefix(_OPEN)
            elif _OPEN.startswith(begun) and not last:
                self._held = text
                return "", ""
            else:
                self._state = "after"
        if self._state == "inside":
            thoughts, closed, text = text.partition(_CLOSE)
            if closed:
                self._state, text = "closed", text
            elif not last:
                kept = next((n for n in range(len(_CLOSE) - 1, 0, -1) if thoughts.endswith(_CLOSE[:n])), 0)
                thoughts, self._held = thoughts[: len(thoughts) - kept], thoughts[len(thoughts) - kept :]
        if self._state == "closed":
            text = text.lstrip()
            self._state = "after" if text else "closed"
        return thoughts, text


@dataclass(slots=True)
class _Call:
    """A tool call as it is passed on: `index` and `id` are ours where the server's cannot be used."""

    index: int
    id: str
    theirs: tuple[Any, Any]  # index and id
    written: str = ""
    text: _Text = field(default_factory=_Text)


class Chunks:
    """The chunks of one answer. `ids`: those of all tool calls of the conversation so far."""

    def __init__(self, ids: set[str]) -> None:
        self._ids = ids
        self._calls: list[_Call] = []
        self._usage: Mapping[str, Any] = {}
        self._text, self._refusal, self._reasoning, self._thoughts = _Text(), _Text(), _Text(), _Thoughts()

    def mended(self, chunk: Mapping[str, Any]) -> dict[str, Any]:
        """The chunk with its usage as the difference to the last one, which is what adders of chunks expect, with whole
        characters, and with thoughts in the delta's `reasoning`."""
        out = dict(chunk)
        usage = chunk.get("usage")
        if isinstance(usage, Mapping) and any(isinstance(count, int) and count for count in usage.values()):
            out["usage"] = _difference(usage, self._usage)
            self._usage = usage
        else:
            out["usage"] = None
        choices = chunk.get("choices") or []
        if choices and isinstance(choices[0].get("delta"), Mapping):
            last = bool(choices[0].get("finish_reason"))
            out["choices"] = [{**choices[0], "delta": self._delta(choices[0]["delta"], last)}]
        return out

    def _delta(self, delta: Mapping[str, Any], last: bool) -> dict[str, Any]:
        thoughts, text = self._thoughts.add(self._text.add(_string(delta.get("content")), last=last), last=last)
        thought = _string(delta.get("reasoning_content")) or _string(delta.get("reasoning"))
        out = {**delta, "content": text}
        out["reasoning"] = self._reasoning.add(thought, last=last) + thoughts
        out["refusal"] = self._refusal.add(_string(delta.get("refusal")), last=last)
        calls = [call for call in delta.get("tool_calls") or [] if isinstance(call, Mapping)]
        out["tool_calls"] = [self._call(call) for call in calls]
        if last:
            rest = [(call, call.text.add("", last=True)) for call in self._calls]
            out["tool_calls"] += [_piece(call, None, None, text) for call, text in rest if text]
        return out

    def _call(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        name, written = function.get("name"), function.get("arguments")
        if isinstance(written, Mapping):  # some servers send the object itself
            written = json.dumps(written)
        index, id = piece.get("index"), piece.get("id") or None
        call = self._going_on(index, id, bool(name and written))
        begins = call is None
        if call is None:
            ours = id if isinstance(id, str) and id not in self._ids else f"call_{uuid4().hex}"
            call = _Call(len(self._calls), ours, (index, id))
            self._ids.add(call.id)
            self._calls.append(call)
        text = call.text.add(_string(written))
        call.written += text
        return _piece(call, call.id if begins else None, name if begins else None, text)

    def _going_on(self, index: Any, id: Any, named: bool) -> _Call | None:
        """The call that a piece belongs to, None when it begins another one. `named`: it has a name and arguments,
        which after arguments that are whole can only be another call's."""
        if not self._calls:
            return None
        if index is None:
            call = next((call for call in reversed(self._calls) if id is not None and call.theirs[1] == id), None)
            call = call or (self._calls[-1] if id is None else None)
        else:
            call = next((call for call in reversed(self._calls) if call.theirs[0] == index), None)
            if call is not None and id is not None and call.theirs[1] is not None and id != call.theirs[1]:
                return None
        return None if call is not None and named and _is_whole(call.written) else call


def _piece(call: _Call, id: str | None, name: str | None, text: str) -> dict[str, Any]:
    return {"index": call.index, "id": id, "type": "function", "function": {"name": name, "arguments": text}}


def _is_whole(written: str) -> bool:
    try:
        return isinstance(json.loads(written), dict)
    except ValueError:
        return False


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _difference(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping):
            out[key] = _difference(value, before if isinstance(before, Mapping) else {})
        elif isinstance(value, int) and not isinstance(value, bool):
            out[key] = value - (before if isinstance(before, int) else 0)
        else:
            out[key] = value
    return out
