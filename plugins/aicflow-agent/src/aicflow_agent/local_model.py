"""A local server that speaks OpenAI's chat completions. `LocalModelServer` answers by fixed rules (it is not a language
model), `ScriptedModelServer` by a script. Run it with `python -m aicflow_agent.local_model --port 8765`."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from aicflow_agent.local_http import HttpServer, Request, Response
from aicflow_agent.local_replies import Answer, CutStream, Hang, HttpError, MalformedJson, Reply
from aicflow_agent.local_rules import answer_by_rules

__all__ = ["MODEL_NAME", "LocalModelServer", "ScriptedModelServer"]

MODEL_NAME = "local-rules"


class LocalModelServer(HttpServer):
    """Serves `POST /v1/chat/completions` and `GET /v1/models` on loopback while entered.

    `answer` gives the reply to a request body; by default the rules of `local_rules`.
    """

    def __init__(
        self,
        answer: Callable[[Mapping[str, Any]], Reply] = answer_by_rules,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host, port)
        self._answer = answer
        self._ids = itertools.count(1)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL, once entered."""
        return f"{self.address}/v1"

    async def respond(self, request: Request) -> Response:
        """Answer one request."""
        if (request.method, request.path) == ("GET", "/v1/models"):
            model = {"id": MODEL_NAME, "object": "model", "created": 0, "owned_by": "aicflow"}
            return Response.json(200, {"object": "list", "data": [model]})
        if request.path != "/v1/chat/completions":
            return _error(404, f"There is no {request.path} here; the model answers at /v1/chat/completions.")
        if request.method != "POST":
            return _error(405, "Chat completions take POST.")
        try:
            body = json.loads(request.body)
        except ValueError:
            return _error(400, "The request body is not JSON.")
        messages = body.get("messages") if isinstance(body, dict) else None
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            return _error(400, "`messages` must be a list of at least one message.")
        try:
            reply = self._answer(body)
        except Exception as error:  # schemas of any shape come in
            return _error(500, f"The rules cannot read this request: {type(error).__name__}: {error}")
        return self._reply(body, reply)

    def _reply(self, body: Mapping[str, Any], reply: Reply) -> Response:
        if isinstance(reply, HttpError):
            return _error(reply.status, reply.message, reply.code, reply.headers)
        streamed = bool(body.get("stream"))
        if isinstance(reply, MalformedJson):
            text = b'data: {"id": "x", "choices": [\n\n' if streamed else b'{"id": "x", "choices": ['
            return Response(200, text, "text/event-stream" if streamed else "application/json")
        base = {
            "id": f"chatcmpl-local-{next(self._ids)}",
            "created": int(time.time()),
            "model": str(body.get("model") or MODEL_NAME),
        }
        if streamed:
            complete = not (isinstance(reply, CutStream) and not reply.cleanly)
            events = _events(base, body, reply)
            return Response(200, content_type="text/event-stream", stream=events, complete=complete)
        if isinstance(reply, Answer):
            return Response.json(200, _completion(base, body, reply))
        return Response(200, stream=_unfinished(reply), complete=False)


class ScriptedModelServer(LocalModelServer):
    """Answers with the replies of `script` in turn, or with what a function gives for each request body.

    `requests` are the bodies received, `keys` the bearer tokens. A script that has run out answers 500.
    """

    def __init__(self, script: Iterable[Reply] | Callable[[Mapping[str, Any]], Reply], *, port: int = 0) -> None:
        super().__init__(self._next, port=port)
        self.requests: list[Mapping[str, Any]] = []
        self.keys: list[str] = []
        self.asked = asyncio.Event()
        self._function = script if callable(script) else None
        self._script = iter(()) if callable(script) else iter(script)

    async def respond(self, request: Request) -> Response:
        """Answer one request and remember it."""
        self.keys.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        return await super().respond(request)

    def _next(self, body: Mapping[str, Any]) -> Reply:
        self.requests.append(body)
        self.asked.set()
        if self._function is not None:
            return self._function(body)
        return next(self._script, HttpError(500, "the script has run out"))


def _error(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return Response.json(status, {"error": {"message": message, "type": kind, "code": code}}, headers)


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.calls else "stop")


def _tool_calls(base: Mapping[str, Any], answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call-{base['id']}-{index}",
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments),
            },
        }
        for index, call in enumerate(answer.calls)
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
    out = {**base, "object": "chat.completion", "choices": [choice]}
    if answer.report_usage:
        out["usage"] = _usage(body, answer)
    return out


async def _unfinished(reply: CutStream | Hang) -> AsyncIterator[bytes]:
    yield b'{"id": "x", '
    if isinstance(reply, Hang):
        await asyncio.Event().wait()


async def _events(
    base: Mapping[str, Any], body: Mapping[str, Any], reply: Answer | CutStream | Hang
) -> AsyncIterator[bytes]:
    def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _sse({**base, "object": "chat.completion.chunk", "choices": [choice]})

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
        arguments = call["function"]["arguments"]
        head = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield event({"tool_calls": [head]})
        for start in range(0, len(arguments), reply.piece):
            part = {"index": index, "function": {"arguments": arguments[start : start + reply.piece]}}
            yield event({"tool_calls": [part]})
    yield event({}, _finish_reason(reply))
    if reply.report_usage and (body.get("stream_options") or {}).get("include_usage"):
        yield _sse({**base, "object": "chat.completion.chunk", "choices": [], "usage": _usage(body, reply)})
    yield b"data: [DONE]\n\n"


def _sse(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


async def _serve(port: int) -> None:
    async with LocalModelServer(port=port) as server:
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
