"""Streams of events, over WebSocket and as server-sent events on the same paths.

A stream sends what `Executions.watch` yields: a slow reader holds back only its own iterator, never the engine, and at
most one batch waits beyond it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, Final, cast

from fastapi import Request
from pydantic import ValidationError
from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from aicflow.events import event_type
from aicflow.host.gate import caller_of
from aicflow.host.keys import Caller
from aicflow.host.problems import Problem, of_validation, request_invalid
from aicflow.host.reach import need, reach_of
from aicflow.host.routes.common import problems, router, runtime_of, scoped
from aicflow.host.routes.executions import STATUSES_PATTERN, ListQuery
from aicflow.host.runtime import HostRuntime
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution
from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.texts import cut

routes = router("streams")

PROTOCOL: Final = "aicflow.v1"
_FRAME_BYTES: Final = 256 * 1024  # clients commonly refuse frames over 1 MiB
_KEEP_ALIVE: Final = 15.0
_SEQ: Final = re.compile(rb'\{"seq":(\d+),')
_AFTER: Final = re.compile(r"\d{1,15}\Z")

type Batches = AsyncGenerator[Sequence[bytes]]
type Query = list[tuple[str, str]]


def _after(pairs: Query, fallback: str | None = None) -> int:
    """The `after` of the query, else of the header. Raises Problem for anything else in the query."""
    text = fallback or "0"
    for name, value in pairs:
        if name != "after":
            raise request_invalid(
                "unknown", f"query /{cut(name, 80)}: is not known here", name=cut(name, 80), where="query"
            )
        text = value
    if _AFTER.match(text) is None:
        raise request_invalid(
            "invalid", f"it must be a seq, a whole number from 0, not {cut(text, 40)!r}", name="after", where="query"
        )
    return int(text)


def _where(pairs: Query) -> ExecutionFilter:
    """The filter of the firehose. Raises Problem."""
    for name, _ in pairs:
        if name not in ("workflow_id", "status"):
            raise request_invalid(
                "unknown", f"query /{cut(name, 80)}: is not known here", name=cut(name, 80), where="query"
            )
    try:
        return ListQuery.model_validate(dict(pairs)).filter()
    except ValidationError as error:
        raise of_validation(error.errors(include_url=False, include_input=False), "query") from None


def _frames(batch: Sequence[bytes]) -> Iterator[str]:
    """The batch as lines of JSON in frames of bounded size; an event larger than that has a frame of its own."""
    lines: list[bytes] = []
    size = 0
    for event in batch:
        if lines and size + len(event) > _FRAME_BYTES:
            yield b"\n".join(lines).decode()
            lines, size = [], 0
        lines.append(event)
        size += len(event) + 1
    if lines:
        yield b"\n".join(lines).decode()


def _generator(batches: AsyncIterator[Sequence[bytes]]) -> Batches:
    """The iterator as what it is: a generator, whose closing lets go of its watch."""
    return cast(Batches, batches)


async def _until_closing(runtime: HostRuntime, caller: Caller, batches: Batches) -> Batches:
    """The batches, until the host stops or the key no longer counts, whichever comes first, also while nothing
    happens."""
    closing = asyncio.ensure_future(runtime.closing.wait())
    upcoming: asyncio.Future[Any] | None = None
    try:
        with runtime.keys.watched(caller) as ended:
            while True:
                upcoming = asyncio.ensure_future(batches.__anext__())
                await asyncio.wait((upcoming, closing, ended), return_when=asyncio.FIRST_COMPLETED)
                if not caller.is_active(runtime.clock.now()):
                    raise _Revoked
                if not upcoming.done():
                    raise _Closing
                try:
                    batch = upcoming.result()
                except StopAsyncIteration:
                    return
                yield batch
    finally:
        closing.cancel()
        if upcoming is not None and not upcoming.done():
            upcoming.cancel()
            await asyncio.wait((upcoming,))
        await batches.aclose()


class _Closing(Exception):
    """The host stops."""


class _Revoked(Exception):
    """The key was revoked or has expired."""


async def _first(runtime: HostRuntime, execution_id: str, after: int) -> Execution:
    """The execution. Raises NotFound, Conflict and EventsDamaged before anything is accepted."""
    execution = await runtime.executions.get(execution_id)
    await runtime.store.executions.events(execution_id, after=after, limit=200)
    return execution


async def _serve_socket(socket: WebSocket, batches: Batches) -> None:
    """Send the batches; close with 1000 after the last. A reader that goes away is noticed also while nothing is
    sent."""
    with _place(runtime_of(socket), caller_of(socket.scope)):
        await _serve_within(socket, batches)


@contextmanager
def _place(runtime: HostRuntime, caller: Caller) -> Iterator[None]:
    """One of the streams that a key may hold open. Raises Problem `rate-limited` when it holds them all."""
    most = runtime.settings.max_streams_per_key
    if runtime.open_streams[caller.key_id] >= most:
        hint = "Close one that is not needed, or have the operator raise AICFLOW_MAX_STREAMS_PER_KEY."
        message = f"The API key {caller.name!r} holds {most} streams open, which is the most."
        raise Problem("rate-limited", message, hint=hint, headers={"retry-after": "5"})
    runtime.open_streams[caller.key_id] += 1
    try:
        yield
    finally:
        runtime.open_streams[caller.key_id] -= 1
        if not runtime.open_streams[caller.key_id]:
            del runtime.open_streams[caller.key_id]


async def _serve_within(socket: WebSocket, batches: Batches) -> None:
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    runtime = runtime_of(socket)
    sender = asyncio.ensure_future(_send_all(socket, runtime, batches))
    listener = asyncio.ensure_future(_listen(socket))
    try:
        await asyncio.wait((sender, listener), return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            code, reason = sender.result()
        elif not listener.result():
            return
        else:
            code, reason = 1003, "a stream takes no messages"
        await socket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError):
        return  # it went away while we were closing
    finally:
        for task in (sender, listener):
            task.cancel()
        await asyncio.wait((sender, listener))
        for task in (sender, listener):
            if not task.cancelled():
                task.exception()


async def _send_all(socket: WebSocket, runtime: HostRuntime, batches: Batches) -> tuple[int, str]:
    """Send everything; returns the close code and reason."""
    try:
        async with aclosing(_until_closing(runtime, caller_of(socket.scope), batches)) as bounded:
            async for batch in bounded:
                for frame in _frames(batch):
                    await socket.send_text(frame)
    except _Closing:
        return 1012, "the server stops; come back with after=SEQ"
    except _Revoked:
        return 1008, "the API key is no longer valid"
    except AICFlowError as error:
        return 1011, cut(error.message, 118)
    return 1000, ""


async def _listen(socket: WebSocket) -> bool:
    """Wait until the reader goes away, or sends something, which returns true."""
    message = await socket.receive()
    return bool(message["type"] != "websocket.disconnect")


def _everything(connection: HTTPConnection) -> Batches:
    """What happens from now on, as far as the caller reaches."""
    where, reach = _where(connection.query_params.multi_items()), reach_of(connection)
    admits = reach.admits if reach.within is not None else None
    return _generator(runtime_of(connection).executions.watch_all(where, admits))


async def _execution_socket(socket: WebSocket) -> None:
    runtime = runtime_of(socket)
    execution_id = socket.path_params["execution_id"]
    after = _after(socket.query_params.multi_items())
    await _first(runtime, execution_id, after)
    await _serve_socket(socket, _generator(runtime.executions.watch(execution_id, after=after)))


async def _firehose_socket(socket: WebSocket) -> None:
    await _serve_socket(socket, _everything(socket))


class SocketRoute(WebSocketRoute):
    """A WebSocket route that asks for a scope before it begins, as `call` does for the others."""

    def __init__(
        self, path: str, serve: Callable[[WebSocket], Awaitable[None]], check: Callable[[WebSocket], Awaitable[None]]
    ) -> None:
        async def endpoint(socket: WebSocket) -> None:
            await check(socket)
            await serve(socket)

        super().__init__(path, endpoint)
        self.check = check


def sockets() -> list[SocketRoute]:
    """The WebSocket routes."""
    return [
        SocketRoute("/api/v1/executions/stream", _firehose_socket, need("read", "filtered")),
        SocketRoute("/api/v1/executions/{execution_id}/stream", _execution_socket, need("read")),
    ]


def _server_sent(event: bytes) -> bytes:
    """One event in the format of server-sent events; a delta has no id."""
    found = _SEQ.match(event)
    head = b"id: %b\n" % found[1] if found else b""
    return head + b"event: %b\ndata: %b\n\n" % (event_type(event).encode(), event)


async def _server_sent_all(runtime: HostRuntime, caller: Caller, batches: Batches) -> AsyncIterator[bytes]:
    """The batches as server-sent events, with a comment now and then so that proxies keep the connection."""
    yield b": stream\n\n"
    bounded = _until_closing(runtime, caller, batches)
    upcoming: asyncio.Future[Any] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(bounded.__anext__())
            done, _ = await asyncio.wait((upcoming,), timeout=_KEEP_ALIVE)
            if not done:
                yield b": keep-alive\n\n"
                continue
            try:
                batch = upcoming.result()
            except (StopAsyncIteration, _Closing, _Revoked, AICFlowError):
                return  # a reader that reconnects with Last-Event-ID gets errors as a problem document
            upcoming = None
            yield b"".join([_server_sent(event) for event in batch])
    finally:
        if upcoming is not None:
            upcoming.cancel()
            await asyncio.wait((upcoming,))
            if not upcoming.cancelled():
                upcoming.exception()
        await bounded.aclose()


class _Stream(StreamingResponse):
    """Server-sent events that hold one of the key's places from before the answer begins until it has ended."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with _place(scope["app"].state.runtime, caller_of(scope)):
            await super().__call__(scope, receive, send)


def _event_stream(request: Request, batches: Batches) -> Response:
    runtime, caller = runtime_of(request), caller_of(request.scope)
    return _Stream(
        _server_sent_all(runtime, caller, batches),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


_TICKET: Final = {"ticket": ("One that `POST /tickets` made, instead of a key", {"type": "string"})}


def _documented(names: dict[str, tuple[str, dict[str, Any]]]) -> Callable[..., Any]:
    parameters = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
        for name, (text, schema) in (names | _TICKET).items()
    ]
    schema = {
        "type": "object",
        "description": "One event of the stream. A delta has no `id`; comments in between keep the connection",
        "required": ["event", "data"],
        "properties": {
            "id": {"type": "string", "description": "The event's seq"},
            "event": {"type": "string", "description": "The event's type"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/StreamEvent"},
            },
        },
    }
    content = {"text/event-stream": {"schema": schema}}
    return lambda **more: {
        "response_class": StreamingResponse,
        "openapi_extra": {"parameters": parameters},
        "responses": {
            200: {"description": "Events", "content": content},
            **more.pop("also", {}),
            **problems(*more.pop("missing", ())),
        },
        "dependencies": scoped("read", more.pop("limited", None)),
        **more,
    }


@routes.get(
    "/executions/stream",
    operation_id="stream_all",
    summary="Follow all executions",
    **_documented(
        {
            "workflow_id": ("Only this workflow", {"type": "string", "maxLength": 200}),
            "status": ("Only these statuses, with commas", {"type": "string", "pattern": STATUSES_PATTERN}),
        }
    )(limited="filtered"),
)
async def stream_all(request: Request) -> Response:
    """What happens from now on, as server-sent events; the same path takes a WebSocket. A reader that falls behind
    learns how much it lost."""
    return _event_stream(request, _everything(request))


@routes.get(
    "/executions/{execution_id}/stream",
    operation_id="stream_execution",
    summary="Follow an execution",
    **_documented(
        {"after": ("Only events with a greater seq", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1})}
    )(also={204: {"description": "It has ended and there is nothing more"}}, missing=(404, 410)),
)
async def stream_execution(request: Request, execution_id: str) -> Response:
    """Its events as server-sent events: stored ones after `after` (or Last-Event-ID), then live ones until the end;
    no gap and no repeat. The same path takes a WebSocket. 204 when it has ended and there is nothing more, which tells
    browsers not to come back."""
    runtime = runtime_of(request)
    after = _after(request.query_params.multi_items(), request.headers.get("last-event-id"))
    execution = await _first(runtime, execution_id, after)
    if execution.status in TERMINAL_STATUSES and after >= execution.last_seq:
        return Response(status_code=204)
    return _event_stream(request, _generator(runtime.executions.watch(execution_id, after=after)))
