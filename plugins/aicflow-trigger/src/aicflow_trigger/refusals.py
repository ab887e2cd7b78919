"""Around every app of webhooks: from errors to answers, and the request's parts that all of them read."""

from collections.abc import Awaitable, Callable, Sequence

from aicflow import AICFlowError, Conflict, InputInvalid, NodeError, NotFound, StoreUnavailable
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aicflow_trigger.answers import problem
from aicflow_trigger.errors import BodyRejected, SignatureRejected


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
    except (AICFlowError, BodyRejected, SignatureRejected) as error:
        response = refusal(error)
    await response(scope, receive, send)


def refusal(error: AICFlowError | BodyRejected | SignatureRejected) -> Response:
    """The answer to a call that was refused. Raises the error again when it is none that a call can meet."""
    match error:
        case BodyRejected():
            return problem(error.status, "body-rejected", _sentence(error.message))
        case SignatureRejected():
            headers = {"WWW-Authenticate": error.challenge} if error.challenge else None
            return problem(401, "signature-rejected", _sentence(error.reason), headers=headers)
        case InputInvalid():
            errors = [{"code": "input.invalid", "pointer": at, "message": why} for at, why in error.violations]
            return problem(422, "input-invalid", error.message, errors=errors)
        case NodeError():
            # the trigger's `input` refers to something that this call does not have
            return problem(422, "input-invalid", error.message)
        case NotFound(kind="workflow" | "trigger"):
            return problem(404, "not-found", error.message)
        case Conflict(code="disabled"):
            # it was live when the call arrived
            return problem(404, "not-found", "No webhook is live at this path.")
        case Conflict():
            return problem(409, error.code, error.message)
        case StoreUnavailable() | NotFound():
            message = "The call could not be stored; send it again later."
            return problem(503, "unavailable", message, headers={"Retry-After": "5"})
    raise error


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def other_method(request: Request, methods: Sequence[str]) -> Response:
    """The answer to a method that the path does not take: OPTIONS asks which there are, anything else is wrong."""
    also = ["HEAD"] if "GET" in methods and "HEAD" not in methods else []
    allow = ", ".join([*methods, *also, "OPTIONS"])
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allow})
    return problem(405, "method-not-allowed", f"This webhook takes {', '.join(methods)}.", headers={"Allow": allow})


def path_below(scope: Scope) -> str:
    """The path after the mount point, still percent-encoded, so that an encoded slash stays in its segment."""
    root: str = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path: str = raw.decode("latin-1") if isinstance(raw, bytes) else scope["path"]
    return path.partition("?")[0].removeprefix(root)
