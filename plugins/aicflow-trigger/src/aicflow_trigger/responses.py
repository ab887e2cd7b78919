"""The response to the caller of a webhook, once there is an execution."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aicflow import Fired, Problem, TriggerRuntime
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from aicflow_trigger.respond import NO_BODY, RespondOutput, RespondParams
from aicflow_trigger.webhook_params import RespondAtOnce, RespondFromNode, RespondWithOutput


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
        return from_output(step.output)
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


def from_output(output: Any) -> Response:
    """The response that a `webhook.respond` node describes; the output of another node as JSON."""
    if not isinstance(output, dict) or output.keys() != RespondOutput.model_fields.keys():
        return _json(output)
    try:
        given = RespondParams.model_validate(output)
    except ValidationError:
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
