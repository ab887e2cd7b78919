"""The ASGI apps behind /hooks and /hooks-test: from a call to a stored delivery, from its execution to a response."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from aicflow import (
    AICFlowError,
    Binding,
    Conflict,
    Fired,
    NotFound,
    Problem,
    Runtime,
    StoreUnavailable,
    TriggerRuntime,
    limiter_of,
    problem_of,
)
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from aicflow_trigger.calls import Call
from aicflow_trigger.calls import receive as receive_call
from aicflow_trigger.errors import BodyRejected, SignatureRejected
from aicflow_trigger.respond import NO_BODY, RespondOutput, RespondParams
from aicflow_trigger.watching import Watch
from aicflow_trigger.webhook import RESERVED, Hook, WebhookTrigger
from aicflow_trigger.webhook_params import CrossOrigin, RespondAtOnce, RespondFromNode, RespondWithOutput, WebhookParams


async def response_to(
    runtime: TriggerRuntime, respond: RespondAtOnce | RespondWithOutput | RespondFromNode, fired: Fired
) -> Response:
    """The response to a call that was stored. Raises Problem when there is none."""
    execution_id = fired.execution_id
    if execution_id is None:
        raise Problem(
            "limit-reached", "The workflow's concurrency limit is full; the call was kept and started nothing."
        )
    if isinstance(respond, RespondWithOutput):
        return await _with_output(runtime, execution_id, respond.timeout)
    if isinstance(respond, RespondFromNode):
        return await _from_node(runtime, execution_id, respond.nodes, respond.timeout)
    return accepted(execution_id, duplicate=fired.duplicate)


def accepted(execution_id: str, *, duplicate: bool = False) -> Response:
    """The execution goes on; the caller need not wait. 200 when the same delivery had come before."""
    headers = {"location": f"/api/v1/executions/{execution_id}"}
    if duplicate:
        return JSONResponse({"execution_id": execution_id, "duplicate": True}, 200, headers)
    return JSONResponse({"execution_id": execution_id}, 202, headers)


async def _with_output(runtime: TriggerRuntime, execution_id: str, timeout: float) -> Response:
    """The execution's output, or 202 when it takes longer than the timeout."""
    execution = await runtime.wait(execution_id, timeout)
    if execution is None:
        return accepted(execution_id)
    if execution.status == "succeeded":
        return _json(execution.output)
    raise Problem("execution-failed", f"The execution has {execution.status}.", execution_id=execution_id)


async def _from_node(runtime: TriggerRuntime, execution_id: str, nodes: Sequence[str], timeout: float) -> Response:
    """What the first of the nodes to succeed returned; 202 when that takes longer than the timeout."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    step = await runtime.wait_step(execution_id, nodes, timeout)
    if step is None:
        # the execution has ended without it, or the time is up
        execution = await runtime.wait(execution_id, max(end - loop.time(), 0.001))
        if execution is None:
            return accepted(execution_id)
        what = f"The execution has {execution.status} without a step of {_named(nodes)}."
        raise Problem("no-answer", what, execution_id=execution_id)
    if step.status == "succeeded":
        return await _of_file(runtime, step.output) or from_output(step.output)
    what = f"None of {_named(nodes)} answered: {step.node_id!r} has {_became(step.status)}."
    if len(nodes) == 1:
        what = f"The node {step.node_id!r} that answers has {_became(step.status)}."
    raise Problem("no-answer", what, execution_id=execution_id)


def _named(nodes: Sequence[str]) -> str:
    return f"its node{'s' if len(nodes) > 1 else ''} {', '.join(map(repr, nodes))}"


def _became(status: str) -> str:
    return {"skipped": "been skipped", "cancelled": "been cancelled"}.get(status, status)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(text, status, headers=headers, media_type="application/json")


async def _of_file(runtime: TriggerRuntime, output: Any) -> Response | None:
    """The response of a `webhook.respond` node whose body is a file, in pieces; None when it is none. Raises Problem
    when the file is not there any more."""
    given = _described(output)
    if given is None or given.file is None or given.status in NO_BODY:
        return None
    try:
        file, content = await runtime.read_file(given.file)
    except NotFound:
        raise Problem("no-answer", "The file that is the answer is not there any more.") from None
    headers = {name.lower(): value for name, value in given.headers.items()}
    headers["content-length"] = str(file.size)
    headers.setdefault("content-type", file.type)
    if file.name is not None:
        headers.setdefault("content-disposition", f"attachment; filename*=UTF-8''{quote(file.name, safe='')}")
    return StreamingResponse(content, given.status, headers)


def _described(output: Any) -> RespondParams | None:
    """What a `webhook.respond` node describes."""
    if not isinstance(output, dict) or output.keys() != RespondOutput.model_fields.keys():
        return None
    try:
        return RespondParams.model_validate(output)
    except ValidationError:
        return None


def from_output(output: Any) -> Response:
    """The response that a `webhook.respond` node describes; the output of another node as JSON."""
    given = _described(output)
    if given is None:
        return _json(output)
    status, headers, body = given.status, dict(given.headers), given.body
    if status in NO_BODY or body is None:
        return Response(status_code=status, headers=headers)
    typed = any(name.lower() == "content-type" for name in headers)
    if given.encoded is not None:
        media_type = None if typed else given.encoded.content_type
        return Response(base64.b64decode(given.encoded.base64), status, headers, media_type)
    if isinstance(body, str):
        return Response(body.encode("utf-8", "replace"), status, headers, None if typed else "text/plain")
    return _json(body, status, headers)


async def guarded(answer: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an HTTP request; what was refused on purpose becomes a problem document. Other protocols are turned
    away."""
    if scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1008})
        return
    request = Request(scope, receive)
    try:
        response = await answer(request)
    except ClientDisconnect:
        return
    except (AICFlowError, BodyRejected, Problem, SignatureRejected) as error:
        response = refusal(error).response(scope)
    await response(scope, receive, send)


def refusal(error: AICFlowError | BodyRejected | Problem | SignatureRejected) -> Problem:
    """The problem that a refused call is answered with. Raises the error again when no call can cause it."""
    match error:
        case BodyRejected():
            return Problem("body-rejected", _sentence(error.message), status=error.status)
        case SignatureRejected():
            headers = {"WWW-Authenticate": error.challenge} if error.challenge else None
            return Problem("signature-rejected", _sentence(error.reason), headers=headers)
        case Conflict(code="disabled"):
            # it was live when the call arrived
            return Problem("not-found", "No webhook is live at this path.")
        case Conflict():
            return Problem(error.code, error.message, status=409)
        case NotFound(kind="workflow" | "trigger"):
            pass
        case StoreUnavailable() | NotFound():
            message = "The call could not be stored; send it again later."
            return Problem("unavailable", message, headers={"Retry-After": "5"})
    if (problem := problem_of(error)) is None:
        raise error
    return problem


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def other_method(request: Request, methods: Sequence[str]) -> Response:
    """The answer to a method that the path does not take: OPTIONS asks which there are, anything else is wrong."""
    also = ["HEAD"] if "GET" in methods and "HEAD" not in methods else []
    allow = ", ".join([*methods, *also, "OPTIONS"])
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allow})
    raise Problem("method-not-allowed", f"This webhook takes {', '.join(methods)}.", headers={"Allow": allow})


def path_below(scope: Scope) -> str:
    """The path after the mount point, still percent-encoded, so that an encoded slash stays in its segment."""
    root: str = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path: str = raw.decode("latin-1") if isinstance(raw, bytes) else scope["path"]
    return path.partition("?")[0].removeprefix(root)


class Drafts:
    """`/hooks-test/{workflow}/{trigger}` runs the newest version of a workflow, whether it is live or not; the host
    asks for an API key. Asked for an event stream, it shows what arrives, for the live webhook too, and opens
    `/hooks/~test/{token}` as long as someone looks: the same, for senders that cannot be given a key."""

    def __init__(self, runtime: Runtime, watch: Watch) -> None:
        self._host = runtime
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call of a test URL."""
        await guarded(self._answer_test, scope, receive, send)

    async def _answer_test(self, request: Request) -> Response:
        workflow_id, _, rest = path_below(request.scope).strip("/").partition("/")
        trigger_id, _, rest = rest.partition("/")
        if not trigger_id:
            raise Problem("not-found", "Call /hooks-test/{workflow_id}/{trigger_id}.")
        if request.method == "GET" and not rest and "text/event-stream" in request.headers.get("accept", ""):
            draft = await self._host.draft_trigger(workflow_id, trigger_id, WebhookTrigger.type_id)
            return self._watch.stream(workflow_id, trigger_id, {"version": draft.version, "path": draft.params.path})
        return await self._deliver(request, workflow_id, trigger_id, rest)

    async def answer_address(self, request: Request, path: str) -> Response:
        """One call of a passing address; `path` is the one below /hooks."""
        token, _, rest = path.strip("/").removeprefix(RESERVED).lstrip("/").partition("/")
        watched = self._watch.watched_by(token)
        if watched is None:
            raise Problem("not-found", "No test stream is open at this address.")
        return await self._deliver(request, *watched, rest)

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
        told = partial(self._watch.tell, request, workflow_id, trigger_id, draft.version, live=False)
        try:
            most = draft.params.max_body_bytes
            call = await receive_call(draft.params, rest or hook.pattern.text, path_params, request, runtime, most)
            trace = request.headers.get("traceparent")
            fired = await runtime.fire(hook.binding, call.payload, version=draft.version, traceparent=trace)
        except (AICFlowError, BodyRejected, SignatureRejected) as error:
            problem = refusal(error)
            told(problem)
            raise problem from None
        told(call.payload, execution_id=fired.execution_id)
        return await response_to(runtime, draft.params.respond, fired)


class HooksApp:
    """Answers calls of webhooks. What a sender did wrong is a 4xx with a sentence."""

    def __init__(self, runtime: Runtime, drafts: Drafts, watch: Watch) -> None:
        self._host = runtime
        self._drafts = drafts
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        app: ASGIApp = partial(guarded, self._answer)
        if scope["type"] == "http" and (cors := self._cross_origin(Headers(scope=scope), scope)):
            params, rules = cors
            app = CORSMiddleware(
                app,
                allow_origins=rules.origins,
                allow_methods=params.methods,
                allow_headers=rules.headers or ["*"],
                expose_headers=["location"],
                max_age=rules.max_age,
            )
        await app(scope, receive, send)

    def _cross_origin(self, headers: Headers, scope: Scope) -> tuple[WebhookParams, CrossOrigin] | None:
        """What the webhook that a page of another origin calls, or asks about beforehand, says of origins."""
        if "origin" not in headers:
            return None
        trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
        method = headers.get("access-control-request-method") if scope["method"] == "OPTIONS" else scope["method"]
        found = trigger.find(path_below(scope), method or "")
        params = found.hook.params if found and found.hook else None
        return (params, params.cors) if params and params.cors else None

    async def _answer(self, request: Request) -> Response:
        path = path_below(request.scope)
        if path.strip("/").partition("/")[0] == RESERVED:
            return await self._drafts.answer_address(request, path)
        trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
        found = trigger.find(path, request.method)
        if found is None:
            raise Problem("not-found", "No webhook is live at this path.")
        if found.hook is None:
            return other_method(request, found.methods)
        binding, params = found.hook.binding, found.hook.params
        if params is None:
            message = "This webhook cannot be served now; its operator finds the reason in the trigger's status."
            raise Problem("unavailable", message, headers={"Retry-After": "60"})
        told = partial(self._watch.tell, request, binding.workflow_id, binding.trigger_id, binding.version, live=True)
        try:
            call, fired = await self._fire(trigger, binding, params, request, found.path_params)
        except (AICFlowError, BodyRejected, Problem, SignatureRejected) as error:
            problem = refusal(error)
            told(problem)
            raise problem from None
        told(call.payload, execution_id=fired.execution_id)
        return await response_to(trigger.runtime, params.respond, fired)

    async def _fire(
        self,
        trigger: WebhookTrigger,
        binding: Binding,
        params: WebhookParams,
        request: Request,
        path_params: Mapping[str, str],
    ) -> tuple[Call, Fired]:
        limiter = limiter_of(request.scope)
        if limiter is not None:
            await trigger.admission.admit(limiter, binding.id, params)
        if binding.paused:
            raise Problem("paused", "This webhook is paused.", headers={"Retry-After": "60"})
        runtime = trigger.runtime
        try:
            most = trigger.admission.most_bytes(params)
            call = await receive_call(params, path_below(request.scope), path_params, request, runtime, most)
        except SignatureRejected:
            if limiter is not None:
                await limiter.count_wrong(binding.id)
            raise
        trace = request.headers.get("traceparent")
        return call, await runtime.fire(binding, call.payload, key=call.key, traceparent=trace)
