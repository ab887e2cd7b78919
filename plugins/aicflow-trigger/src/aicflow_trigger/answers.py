"""What the caller of a webhook is answered, once there is an execution."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aicflow import TriggerRuntime
from starlette.responses import JSONResponse, Response

_NO_BODY = frozenset({204, 205, 304})


def problem(status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """A problem document (RFC 9457)."""
    body = {"type": f"urn:aicflow:problem:{code}", "title": code.replace("-", " "), "status": status, "detail": detail}
    return JSONResponse(body | more, status, headers=headers, media_type="application/problem+json")


def accepted(execution_id: str) -> Response:
    """The execution goes on; the caller need not wait."""
    return JSONResponse({"execution_id": execution_id}, 202)


async def answer_with_output(runtime: TriggerRuntime, execution_id: str, timeout: float) -> Response:
    """The execution's output, or 202 when it takes longer than the timeout."""
    execution = await runtime.wait(execution_id, timeout)
    if execution is None:
        return accepted(execution_id)
    if execution.status == "succeeded":
        return JSONResponse(execution.output)
    return problem(502, "execution-failed", f"The execution has {execution.status}.", execution_id=execution_id)


async def answer_from_node(runtime: TriggerRuntime, execution_id: str, node_id: str, timeout: float) -> Response:
    """What the `webhook.respond` node gave, as soon as it has; 202 when that takes longer than the timeout."""
    step = await runtime.wait_step(execution_id, node_id, timeout)
    if step is not None and step.status == "succeeded":
        return from_output(step.output)
    execution = await runtime.wait(execution_id, 0.05 if step is None else timeout)
    if execution is None:
        return accepted(execution_id)
    detail = f"The execution has {execution.status} and its node {node_id} gave no answer."
    return problem(502, "no-answer", detail, execution_id=execution_id)


def from_output(output: Any) -> Response:
    """The answer that a `webhook.respond` node describes."""
    answer = output if isinstance(output, dict) else {"body": output}
    status = int(answer.get("status", 200))
    headers = dict(answer.get("headers") or {})
    body = answer.get("body")
    if status in _NO_BODY or body is None:
        return Response(status_code=status, headers=headers)
    if isinstance(body, dict) and set(body) >= {"base64", "content_type"}:
        try:
            content = base64.b64decode(body["base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            content = b""
        return Response(content, status, headers=headers, media_type=str(body["content_type"]))
    if isinstance(body, str):
        media_type = None if any(name.lower() == "content-type" for name in headers) else "text/plain"
        return Response(body, status, headers=headers, media_type=media_type)
    return JSONResponse(body, status, headers=headers)
