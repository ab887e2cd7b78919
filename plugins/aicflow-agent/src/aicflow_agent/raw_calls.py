"""The arguments of tool calls exactly as the model wrote them, because LangChain completes broken JSON silently."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from aicflow import PermanentError
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk

__all__ = ["LONGEST_ANSWER", "RawCalls"]

LONGEST_ANSWER = 4_000_000


class RawCalls(AsyncCallbackHandler):
    """Collects the pieces of one model call after another; `clear` before each."""

    run_inline = True
    raise_error = True

    def __init__(self) -> None:
        self._length = 0
        self._calls: dict[int | str, tuple[str, str]] = {}

    def clear(self) -> None:
        """Forget the last model call."""
        self._calls.clear()
        self._length = 0

    async def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take up one streamed piece. Raises PermanentError when the answer outgrows what may be kept in memory."""
        if not isinstance(chunk, ChatGenerationChunk) or not isinstance(chunk.message, AIMessageChunk):
            return
        beside = sum(len(text) for text in chunk.message.additional_kwargs.values() if isinstance(text, str))
        arguments = sum(len(piece["args"] or "") for piece in chunk.message.tool_call_chunks)
        self._length += len(chunk.text) + beside + arguments
        if self._length > LONGEST_ANSWER:
            raise PermanentError(
                f"The model's answer is longer than {LONGEST_ANSWER} characters.", code="answer-too-long"
            )
        for piece in chunk.message.tool_call_chunks:
            index = piece["index"]
            key = index if index is not None else str(piece["id"])
            name, written = self._calls.get(key, ("", ""))
            self._calls[key] = (name or piece["name"] or "", written + (piece["args"] or ""))

    def broken(self) -> str | None:
        """The name of a tool whose arguments are not a JSON object; None when there is none."""
        for name, written in self._calls.values():
            try:
                whole = not written or isinstance(json.loads(written), dict)
            except ValueError:
                whole = False
            if not whole:
                return name or "a tool"
        return None
