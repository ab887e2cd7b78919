"""The ASGI app behind /hooks: from a call to a stored delivery, and from its execution to the answer."""

from aicflow import Runtime
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aicflow_trigger.answers import answer, problem
from aicflow_trigger.calls import receive as receive_call
from aicflow_trigger.drafts import Drafts
from aicflow_trigger.refusals import guarded, other_method, path_below
from aicflow_trigger.webhook import RESERVED, WebhookTrigger


class HooksApp:
    """Answers calls of webhooks. What a sender did wrong is a 4xx with a sentence."""

    def __init__(self, runtime: Runtime, drafts: Drafts) -> None:
        self._host = runtime
        self._drafts = drafts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        await guarded(self._answer, scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = path_below(request.scope)
        if path.strip("/").partition("/")[0] == RESERVED:
            return await self._drafts.answer_address(request, path)
        trigger: WebhookTrigger = self._host.trigger_type(WebhookTrigger.type_id)
        found = trigger.find(path, request.method)
        if found is None:
            return problem(404, "not-found", "No webhook is live at this path.")
        if found.hook is None:
            return other_method(request, found.methods)
        binding, params = found.hook.binding, found.hook.params
        if params is None:
            message = "This webhook cannot be served now; its operator finds the reason in the trigger's status."
            return problem(503, "unavailable", message, headers={"Retry-After": "60"})
        if binding.paused:
            return problem(503, "paused", "This webhook is paused.", headers={"Retry-After": "60"})
        runtime = trigger.runtime
        call = await receive_call(params, path, found.path_params, request, runtime.clock.now())
        fired = await runtime.fire(binding, call.payload, key=call.delivery_id)
        return await answer(runtime, params.respond, fired)
