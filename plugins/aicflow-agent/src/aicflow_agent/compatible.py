"""The chat model for OpenAI and for servers that speak its chat completions. Imports LangChain: load it in a thread."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Set
from contextvars import ContextVar
from typing import Any

import httpx2
from aicflow import NodeError, PermanentError, TransientError
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from openai import APIStatusError
from pydantic import PrivateAttr

from aicflow_agent.chunks import Chunks

_CHUNKS: ContextVar[Chunks] = ContextVar("chunks")  # of the answer that this task reads


class CompatibleChat(ChatOpenAI):
    """ChatOpenAI that mends what compatible servers send, and leaves out what they do not know: a server that refuses
    `stream_options`, or one name of the limit on tokens, is asked again without it, and not offered it again."""

    _left_out: set[str] = PrivateAttr(default_factory=set)

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    async def _astream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        earlier = [message for message in messages if isinstance(message, AIMessage)]
        ids = {str(call["id"]) for one in earlier for call in (*one.tool_calls, *one.invalid_tool_calls)}
        while True:
            _CHUNKS.set(Chunks(ids))
            left_out = frozenset(self._left_out)  # by this request: others may add to it meanwhile
            try:
                async for chunk in super()._astream(messages, *args, **kwargs):
                    yield chunk
                return
            except APIStatusError as error:
                unknown = self._unknown(error, left_out)
                if unknown is None:
                    raise
                self._left_out.add(unknown)

    def _get_request_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(*args, **kwargs)
        most = payload.pop("max_completion_tokens", None)
        if most is not None:
            payload[self._limit(self._left_out)] = most
        if "stream_options" in self._left_out:
            payload.pop("stream_options", None)
        return payload

    def _limit(self, left_out: Set[str]) -> str:
        """The older name for compatible servers, the newer for OpenAI; the other one where that was refused."""
        names = ["max_completion_tokens", "max_tokens"]
        if self.openai_api_base:
            names.reverse()
        return names[1] if names[0] in left_out else names[0]

    def _unknown(self, error: APIStatusError, left_out: Set[str]) -> str | None:
        """The option that the server refuses, when it can be left out or named otherwise."""
        if error.status_code not in (400, 422):
            return None
        said = f"{error} {error.body}"
        known = {"stream_options", self._limit(left_out)} - left_out
        if left_out & {"max_tokens", "max_completion_tokens"}:
            known.discard(self._limit(left_out))  # it knows neither
        return next((name for name in sorted(known) if re.search(rf"\b{name}\b", said)), None)

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        chunk = _CHUNKS.get().mended(chunk)
        out = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        choices = chunk.get("choices")
        delta = (choices[0].get("delta") if choices else None) or {}
        for name in ("reasoning", "refusal"):
            if out is not None and delta.get(name):
                out.message.additional_kwargs[name] = delta[name]
        return out


async def check_stream(response: httpx2.Response) -> None:
    """Raises NodeError for an answer of a good status that is no stream: a provider's error, a proxy's page. It quotes
    all of it: `as_node_error` takes the secrets out and cuts it."""
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.is_success or media == "text/event-stream":
        return
    size, kept = 0, b""
    async for data in response.aiter_bytes():
        kept, size = kept + data, size + len(data)
        if size > 1_000_000:
            break
    raise _no_stream(kept, media)


def _no_stream(content: bytes, media: str) -> NodeError:
    text = content.decode("utf-8", "replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, Mapping) else None
    if error:
        said: Any = error
        status: Any = None
        if isinstance(error, Mapping):
            said = error.get("message") or json.dumps(error)
            status = error.get("code") or error.get("status")
        message = f"The model answered with an error: {said}"
        if str(status).isdigit() and 400 <= int(status) < 500 and int(status) not in (408, 409, 425, 429):
            return PermanentError(message, code="model-refused")
        return TransientError(message, code="model-unavailable")
    if "<html" in text[:2000].lower() or media == "text/html":
        title = re.search(r"<title[^<>]*>([^<]+)", text, re.IGNORECASE)
        plain = title[1] if title else re.sub(r"<[^<>]*>", " ", text)
        return TransientError(
            f"The model's address answered with a web page: {plain}",
            code="model-reply",
            hint="Check base_url: it goes up to and with /v1, and a proxy or a login page may be in front of it.",
        )
    return TransientError(
        f"The model's answer is no stream of chat completions but {media or 'of no type'}: {text.strip() or '(empty)'}",
        code="model-reply",
    )
