"""Trying a webhook before it is live: /hooks-test, and the passing address that real senders can use meanwhile."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow import AICFlowError, Problem, Runtime
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from aicflow_trigger.calls import receive as receive_call
from aicflow_trigger.errors import BodyRejected, SignatureRejected
from aicflow_trigger.refusals import guarded, other_method, path_below, refusal
from aicflow_trigger.responses import response_to
from aicflow_trigger.webhook import RESERVED, Hook, WebhookTrigger

_KEEP_ALIVE: Final = 15.0
_LONGEST: Final = 3_600.0
_MOST_WAITING: Final = 100
_MOST_LISTENERS: Final = 100


@dataclass(slots=True, eq=False)
class _Listener:
    """Someone who watches what arrives for a draft. `token` makes the address that works as long as they do."""

    workflow_id: str
    trigger_id: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    events: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(_MOST_WAITING))


class Drafts:
    """`/hooks-test/{workflow}/{trigger}` runs the newest version of a workflow, whether it is live or not; the host
    asks for an API key. Asked for an event stream, it shows what arrives and opens `/hooks/~test/{token}` as long as
    someone looks: the same, for senders that cannot be given a key."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime
        self._listeners: dict[str, _Listener] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call of a test URL."""
        await guarded(self._answer_test, scope, receive, send)

    async def _answer_test(self, request: Request) -> Response:
        workflow_id, _, rest = path_below(request.scope).strip("/").partition("/")
        trigger_id, _, rest = rest.partition("/")
        if not trigger_id:
            raise Problem("not-found", "Call /hooks-test/{workflow_id}/{trigger_id}.")
        if request.method == "GET" and not rest and "text/event-stream" in request.headers.get("accept", ""):
            return await self._listen(request, workflow_id, trigger_id)
        return await self._deliver(request, workflow_id, trigger_id, rest)

    async def answer_address(self, request: Request, path: str) -> Response:
        """One call of a passing address; `path` is the one below /hooks."""
        token, _, rest = path.strip("/").removeprefix(RESERVED).lstrip("/").partition("/")
        listener = self._listeners.get(token)
        if listener is None:
            raise Problem("not-found", "No test stream is open at this address.")
        return await self._deliver(request, listener.workflow_id, listener.trigger_id, rest)

    async def _deliver(self, request: Request, workflow_id: str, trigger_id: str, rest: str) -> Response:
        trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
        draft = await self._host.draft_trigger(workflow_id, trigger_id, WebhookTrigger.type_id)
        hook = Hook.of(draft.binding, draft.params)
        if ("GET" if request.method == "HEAD" and "HEAD" not in hook.methods else request.method) not in hook.methods:
            return other_method(request, hook.methods)
        # the path may be left out when nothing in it varies
        path_params = hook.pattern.match(rest or hook.pattern.text) if rest or not hook.pattern.parameters else None
        if path_params is None:
            raise BodyRejected(404, f"what follows the trigger in the URL must fit its path {hook.pattern.text!r}")
        runtime = trigger.runtime
        shown: dict[str, Any] = {"version": draft.version, "method": request.method}
        try:
            call = await receive_call(
                draft.params, rest or hook.pattern.text, path_params, request, runtime.clock.now()
            )
            shown["payload"] = call.payload
            trace = request.headers.get("traceparent")
            fired = await runtime.fire(hook.binding, call.payload, version=draft.version, traceparent=trace)
        except (AICFlowError, BodyRejected, SignatureRejected) as error:
            problem = refusal(error)
            shown |= {"status": problem.status, "detail": problem.detail}
            self._publish(workflow_id, trigger_id, "refused", shown)
            raise problem from None
        self._publish(workflow_id, trigger_id, "delivery", shown | {"execution_id": fired.execution_id})
        return await response_to(runtime, draft.params.respond, fired)

    def _publish(self, workflow_id: str, trigger_id: str, event: str, data: Mapping[str, Any]) -> None:
        for listener in self._listeners.values():
            if (listener.workflow_id, listener.trigger_id) == (workflow_id, trigger_id):
                with suppress(asyncio.QueueFull):  # who does not read loses the newest, never the caller's time
                    listener.events.put_nowait(_event(event, data))

    async def _listen(self, request: Request, workflow_id: str, trigger_id: str) -> Response:
        draft = await self._host.draft_trigger(workflow_id, trigger_id, WebhookTrigger.type_id)
        if len(self._listeners) >= _MOST_LISTENERS:
            raise Problem("unavailable", "Too many test streams are open.", headers={"Retry-After": "60"})
        listener = _Listener(workflow_id, trigger_id)
        ready = {"url": f"/hooks/{RESERVED}/{listener.token}", "version": draft.version, "path": draft.params.path}
        return StreamingResponse(
            self._events(listener, ready), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _events(self, listener: _Listener, ready: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The stream, until the client goes, the host stops or an hour has passed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        stopping = loop.create_task(self._host.stopping())
        self._listeners[listener.token] = listener
        try:
            yield _event("ready", ready)
            while loop.time() < end:
                taking = loop.create_task(listener.events.get())
                try:
                    await asyncio.wait((taking, stopping), timeout=_KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
                    if taking.done():
                        yield taking.result()
                    elif stopping.done():
                        return
                    else:
                        yield b": still here\n\n"
                finally:
                    taking.cancel()
        finally:
            del self._listeners[listener.token]
            stopping.cancel()


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
