"""The arguments of tool calls exactly as the model wrote them, because LangChain completes broken JSON silently."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk

__all__ = ["RawCalls"]


class RawCalls(AsyncCallbackHandler):
    """Collects the pieces of one model call after another; `clear` before each."""

    run_inline = True

    def __init__(self) -> None:
        self._calls: dict[int | str, tuple[str, str]] = {}

    def clear(self) -> None:
        """Forget the last model call."""
        self._calls.clear()

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
        """Take up one streamed piece."""
        if not isinstance(chunk, ChatGenerationChunk) or not isinstance(chunk.message, AIMessageChunk):
            return
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
