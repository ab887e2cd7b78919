"""A chat-completions server on loopback for tests and demonstrations, as a script or fixed rules tell it to reply.
Needs the `server` extra. `python -m aicflow.testing.chat_server --port 8765` serves the fixed rules."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Send

from aicflow.testing.chat_replies import Answer, CutStream, Hang, HttpError, MalformedJson
from aicflow.testing.chat_rules import MODEL_NAME, answer_by_rules

type Reply = Answer | HttpError | MalformedJson | CutStream | Hang | Response


class ChatServer:
    """Serves `POST /v1/chat/completions` and `GET /v1/models` while entered: `async with ChatServer([...]) as server`.

    It replies with the items of `script` in turn (when they run out, with status 500), or with what a function returns
    for each request body; by default the fixed rules of the model `local-rules`. A Starlette response is sent as it is.
    `requests` holds the bodies received, `keys` their bearer tokens; `disconnects` counts clients that left a stream
    before its end, and `disconnected` is set at the first.
    """

    def __init__(
        self, script: Iterable[Reply] | Callable[[dict[str, Any]], Reply] = answer_by_rules, *, port: int = 0
    ) -> None:
        replies = iter(()) if callable(script) else iter(script)
        self._reply_to = script if callable(script) else lambda _: next(replies, HttpError(500, "the script ran out"))
        self._port = port
        self._ids = itertools.count(1)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.disconnects = 0
        self.disconnected = asyncio.Event()
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", ws="none")
        self._uvicorn = uvicorn.Server(config)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL, once entered."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        server, listener = self._uvicorn, socket.create_server(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listener])  # not serve(), which would take over the process's signals
        return self

    async def __aexit__(self, *_: object) -> None:
        for listener in self._uvicorn.servers:
            listener.close()
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()
        await asyncio.gather(*self._uvicorn.server_state.tasks)

    async def _models(self, _: Request) -> Response:
        model = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "aicflow"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _complete(self, request: Request) -> Response:
        try:
            body = await request.json()
        except ValueError:
            return _error(400, "The request body is not JSON.")
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            return _error(400, "`messages` must be a list of at least one message.")
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        try:
            return self._response(body, self._reply_to(body))
        except Exception as error:  # the rules meet schemas of any shape
            return _error(500, f"There is no reply to this request: {type(error).__name__}: {error}")

    def _response(self, body: Mapping[str, Any], reply: Reply) -> Response:
        if isinstance(reply, Response):
            return reply
        if isinstance(reply, HttpError):
            return _error(reply.status, reply.message, reply.code, reply.headers)
        streamed = bool(body.get("stream"))
        media = "text/event-stream" if streamed else "application/json"
        if isinstance(reply, MalformedJson):
            return Response('data: {"id": "x", "choices": [\n\n' if streamed else '{"id": "x", ', media_type=media)
        base = {
            "id": f"chatcmpl-local-{next(self._ids)}",
            "created": int(time.time()),
            "model": str(body.get("model") or MODEL_NAME),
        }
        if not streamed and isinstance(reply, Answer):
            return JSONResponse(_completion(base, body, reply))
        pieces = self._watched(_events(base, body, reply) if streamed else _unfinished(reply))
        cut = isinstance(reply, CutStream) and not reply.cleanly
        return (_CutResponse if cut else StreamingResponse)(pieces, media_type=media)

    async def _watched(self, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
        complete = False
        try:
            async for piece in pieces:
                yield piece
            complete = True
        finally:
            if not complete:
                self.disconnects += 1
                self.disconnected.set()


class _CutResponse(StreamingResponse):
    """A response without its end: the server closes the connection in the middle of the transfer."""

    async def stream_response(self, send: Send) -> None:
        async def send_all_but_the_end(message: Message) -> None:
            if message["type"] != "http.response.body" or message["more_body"]:
                await send(message)

        await super().stream_response(send_all_but_the_end)


def _error(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "code": code}}, status, headers)


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.calls else "stop")


def _tool_calls(base: Mapping[str, Any], answer: Answer) -> list[dict[str, Any]]:
    texts = [call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments) for call in answer.calls]
    return [
        {"id": f"call-{base['id']}-{i}", "type": "function", "function": {"name": call.name, "arguments": text}}
        for i, (call, text) in enumerate(zip(answer.calls, texts, strict=True))
    ]


def _usage(body: Mapping[str, Any], answer: Answer) -> dict[str, int]:
    if answer.usage is not None:
        sent, written = answer.usage
    else:  # words stand for tokens: there is no tokenizer here
        sent = len(json.dumps(body["messages"]).split())
        written = max(1, len(answer.text.split()) + sum(len(str(call.arguments).split()) for call in answer.calls))
    return {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written}


def _completion(base: Mapping[str, Any], body: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = _tool_calls(base, answer)
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(answer), "logprobs": None}
    usage = {"usage": _usage(body, answer)} if answer.report_usage else {}
    return {**base, "object": "chat.completion", "choices": [choice], **usage}


async def _unfinished(reply: Answer | CutStream | Hang) -> AsyncIterator[str]:
    yield '{"id": "x", '
    if isinstance(reply, Hang):
        await asyncio.Event().wait()


async def _events(
    base: Mapping[str, Any], body: Mapping[str, Any], reply: Answer | CutStream | Hang
) -> AsyncIterator[str]:
    def event(delta: Mapping[str, Any] | None, finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        choices = [] if delta is None else [choice]
        return f"data: {json.dumps({**base, 'object': 'chat.completion.chunk', 'choices': choices, **more})}\n\n"

    yield event({"role": "assistant", "content": ""})
    if not isinstance(reply, Answer):
        yield event({"content": reply.text})
        if isinstance(reply, Hang):
            await asyncio.Event().wait()
        return
    for start in range(0, len(reply.text), reply.piece):
        if reply.delay:
            await asyncio.sleep(reply.delay)
        yield event({"content": reply.text[start : start + reply.piece]})
    for index, call in enumerate(_tool_calls(base, reply)):
        arguments = call["function"].pop("arguments")
        yield event({"tool_calls": [{**call, "index": index, "function": {**call["function"], "arguments": ""}}]})
        for start in range(0, len(arguments), reply.piece):
            part = {"arguments": arguments[start : start + reply.piece]}
            yield event({"tool_calls": [{"index": index, "function": part}]})
    yield event({}, _finish_reason(reply))
    if reply.report_usage and (body.get("stream_options") or {}).get("include_usage"):
        yield event(None, usage=_usage(body, reply))
    yield "data: [DONE]\n\n"


async def _serve(port: int) -> None:
    async with ChatServer(port=port) as server:
        print(f"{MODEL_NAME} answers at {server.base_url} (fixed rules, not a language model)", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Answer OpenAI chat completions on loopback by fixed rules.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    port = parser.parse_args().port
    try:
        asyncio.run(_serve(port))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
