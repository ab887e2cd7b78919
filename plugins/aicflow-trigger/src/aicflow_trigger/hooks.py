"""The ASGI app behind /hooks: from a call to a stored delivery, and from its execution to the answer."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aicflow import AICFlowError, Fired, Runtime, TriggerRuntime
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from aicflow_trigger.answers import answer_from_node, answer_with_output, problem
from aicflow_trigger.bodies import BodyLimits, DecodedBody, decode_body
from aicflow_trigger.credentials import verify_api_key, verify_basic
from aicflow_trigger.errors import BodyRejected, SignatureRejected, SignatureSettingsError
from aicflow_trigger.signatures import verify
from aicflow_trigger.webhook import Hook, WebhookTrigger
from aicflow_trigger.webhook_params import ApiKeyAuth, BasicAuth, HmacAuth, RespondFromNode, RespondWithOutput

_log = logging.getLogger("aicflow.triggers.webhook")
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_LONGEST_ID = 256
_STATUS = {"NotFound": 404, "InputInvalid": 422, "ReferenceFailed": 422, "Conflict": 409, "StoreUnavailable": 503}


class HooksApp:
    """Answers calls of webhooks. What a sender did wrong is a 4xx with a sentence."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except BodyRejected as error:
            response = problem(error.status, "body-rejected", error.message)
        except SignatureRejected as error:
            response = problem(401, "signature-rejected", error.reason)
        except ClientDisconnect:
            return
        except AICFlowError as error:
            response = _refusal(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
        path = _path_below(request.scope)
        found = trigger.find(path, request.method)
        if found is None:
            return problem(404, "not-found", "No webhook is live at this path.")
        if found.hook is None:
            allow = ", ".join(found.methods)
            return problem(405, "method-not-allowed", f"This webhook takes {allow}.", headers={"Allow": allow})
        if found.hook.binding.paused:
            return problem(503, "paused", "This webhook is paused.", headers={"Retry-After": "60"})
        return await answer_call(trigger.runtime, found.hook, path, found.path_params, request)


class TestHooksApp:
    """Answers calls of `/hooks-test/{workflow_id}/{trigger_id}`: the newest draft runs, also when it is not live."""

    def __init__(self, runtime: Runtime) -> None:
        self._host = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            parts = _path_below(scope).strip("/").split("/")
            if len(parts) < 2:
                raise BodyRejected(404, "Call /hooks-test/{workflow_id}/{trigger_id}.")
            trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
            draft = await self._host.draft_trigger(parts[0], parts[1], WebhookTrigger.type_id)
            hook = Hook.of(draft.binding, draft.params)
            rest = "/".join(parts[2:])
            response = await answer_call(
                trigger.runtime, hook, rest, hook.pattern.match(rest) or {}, request, version=draft.version
            )
        except BodyRejected as error:
            response = problem(error.status, "body-rejected", error.message)
        except SignatureRejected as error:
            response = problem(401, "signature-rejected", error.reason)
        except ClientDisconnect:
            return
        except AICFlowError as error:
            response = _refusal(error)
        await response(scope, receive, send)


async def answer_call(
    runtime: TriggerRuntime,
    hook: Hook,
    path: str,
    path_params: Mapping[str, str],
    request: Request,
    *,
    version: int | None = None,
) -> Response:
    """Check a call, store it, start its execution, answer. Raises BodyRejected, SignatureRejected, AICFlowError."""
    raw = await _read(request, hook.params.max_body_bytes)
    delivery_id = _authenticate(hook, request.headers, raw, runtime.clock.now())
    decoded = decode_body(
        request.headers.get("content-type"),
        raw,
        BodyLimits(max_bytes=hook.params.max_body_bytes),
        content_encoding=request.headers.get("content-encoding"),
        accept=hook.params.accept,
    )
    payload = _payload(hook, path, path_params, request, decoded, delivery_id, runtime.clock.now())
    fired = await runtime.fire(hook.binding, payload, key=delivery_id if version is None else None, version=version)
    return await _respond(runtime, hook, fired)


async def _respond(runtime: TriggerRuntime, hook: Hook, fired: Fired) -> Response:
    execution_id, respond = fired.execution_id, hook.params.respond
    if execution_id is None:
        message = "The workflow runs as often as it may; this call was kept and started nothing."
        return problem(409, "limit-reached", message)
    if isinstance(respond, RespondWithOutput):
        return await answer_with_output(runtime, execution_id, respond.timeout)
    if isinstance(respond, RespondFromNode):
        return await answer_from_node(runtime, execution_id, respond.node, respond.timeout)
    body = {"execution_id": execution_id, **({"duplicate": True} if fired.duplicate else {})}
    return JSONResponse(body, status_code=200 if fired.duplicate else 202)


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyRejected(413, f"the body is larger than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _authenticate(hook: Hook, headers: Headers, body: bytes, now: float) -> str | None:
    """Who calls, by the hook's rule; gives the sender's id of the delivery. Raises SignatureRejected."""
    auth = hook.params.auth
    delivery_id: str | None = None
    try:
        if isinstance(auth, HmacAuth):
            known = verify(auth.preset, auth.secrets, headers, body, now, window=auth.window, plain=auth.plain)
            delivery_id = known.delivery_id
        elif isinstance(auth, BasicAuth):
            verify_basic(auth.username, auth.passwords, headers)
        elif isinstance(auth, ApiKeyAuth):
            verify_api_key(auth.header, auth.keys, headers, auth.prefix)
    except SignatureSettingsError as error:
        _log.error("Webhook %s cannot check signatures: %s", hook.binding.id, error)
        raise SignatureRejected("this webhook is set up wrongly and takes nothing") from None
    if hook.params.delivery_header is not None:
        given = headers.get(hook.params.delivery_header)
        if given is not None and len(given) > _LONGEST_ID:
            raise BodyRejected(400, f"the header {hook.params.delivery_header} is longer than {_LONGEST_ID} characters")
        delivery_id = given or delivery_id
    return delivery_id


def _payload(
    hook: Hook,
    path: str,
    path_params: Mapping[str, str],
    request: Request,
    decoded: DecodedBody,
    delivery_id: str | None,
    now: float,
) -> dict[str, Any]:
    auth = hook.params.auth
    hidden = _CREDENTIALS | ({auth.header.lower()} if isinstance(auth, ApiKeyAuth | HmacAuth) else frozenset())
    return {
        "method": request.method,
        "path": path.strip("/"),
        "path_params": dict(path_params),
        "query": _query(request.query_params),
        "headers": {
            name: ", ".join(request.headers.getlist(name)) for name in request.headers if name.lower() not in hidden
        },
        "body": decoded.value,
        "content_type": decoded.content_type,
        "files": decoded.files_as_json(),
        "delivery_id": delivery_id,
        "received_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _query(query: QueryParams) -> dict[str, str | list[str]]:
    out: dict[str, str | list[str]] = {}
    for name in query:
        values = query.getlist(name)
        out[name] = values[0] if len(values) == 1 else values
    return out


def _path_below(scope: Scope) -> str:
    """The path after the mount point, still percent-encoded, so that an encoded slash stays in its segment."""
    root = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if isinstance(raw, bytes) else scope["path"]
    path = path.partition("?")[0]
    return path.removeprefix(root) if root else path


def _refusal(error: AICFlowError) -> Response:
    status = next((_STATUS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _STATUS), None)
    if status is None:
        raise error
    code = getattr(error, "code", None) or {404: "not-found", 422: "input-invalid", 503: "unavailable"}[status]
    headers = {"Retry-After": "5"} if status == 503 else None
    return problem(status, code, error.message, headers=headers)
