"""Around every app of webhooks: from errors to answers, and the request's parts that all of them read."""

from collections.abc import Awaitable, Callable, Sequence

from aicflow import AICFlowError, Conflict, NotFound, Problem, StoreUnavailable, problem_of
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

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
