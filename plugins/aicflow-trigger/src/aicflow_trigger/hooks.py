"""The ASGI app behind /hooks: from a call to a stored delivery, and from its execution to the answer."""

from functools import partial

from aicflow import Problem, Runtime
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from aicflow_trigger.calls import receive as receive_call
from aicflow_trigger.drafts import Drafts
from aicflow_trigger.refusals import guarded, other_method, path_below
from aicflow_trigger.responses import response_to
from aicflow_trigger.webhook import RESERVED, WebhookTrigger
from aicflow_trigger.webhook_params import CrossOrigin, WebhookParams


class HooksApp:
    """Answers calls of webhooks. What a sender did wrong is a 4xx with a sentence."""

    def __init__(self, runtime: Runtime, drafts: Drafts) -> None:
        self._host = runtime
        self._drafts = drafts

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
        if binding.paused:
            raise Problem("paused", "This webhook is paused.", headers={"Retry-After": "60"})
        runtime = trigger.runtime
        call = await receive_call(params, path, found.path_params, request, runtime.clock.now())
        fired = await runtime.fire(binding, call.payload, key=call.key, traceparent=request.headers.get("traceparent"))
        return await response_to(runtime, params.respond, fired)
