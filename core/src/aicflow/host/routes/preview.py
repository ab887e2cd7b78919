"""/workflows/{id}/preview-expression: trying an expression out before it is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import Request
from starlette.responses import Response

from aicflow.engine.preview import preview_expression, preview_scope
from aicflow.host import requests
from aicflow.host.bodies import json_body
from aicflow.host.pages import json_response
from aicflow.host.problems import request_invalid
from aicflow.host.reach import reach_of
from aicflow.host.routes.common import Id, NoQuery, body_of, call, router, runtime_of
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import Step
from aicflow.removal import check_kept

routes = router("workflows")


@routes.post(
    "/workflows/{workflow_id}/preview-expression",
    operation_id="preview_expression",
    summary="Evaluate an expression against an execution's data",
    openapi_extra=body_of(requests.PreviewExpression),
    **call("read", "ExpressionPreview", 400, 404, 410, 413, 415),
)
async def preview(request: Request, workflow_id: Id, query: NoQuery) -> Response:
    """Nothing is stored and nothing runs. An expression that fails is an answer like any other; secrets are never
    revealed."""
    runtime = runtime_of(request)
    body = await json_body(request, runtime.settings, requests.PreviewExpression)
    record = await runtime.store.workflows.get(workflow_id)
    document, execution = record.document, None
    steps: Sequence[Step] = ()
    if body.execution_id is not None:
        await reach_of(request).execution(body.execution_id)
        execution = await runtime.executions.get(body.execution_id)
        if execution.workflow_id != workflow_id:
            message = f"The execution {body.execution_id} is one of another workflow, {execution.workflow_id}."
            raise request_invalid("invalid", message, name="execution_id", where="body")
        check_kept(execution.id, execution.removed, "events", "payloads")
        mask = runtime.secrets.mask  # before the expression is evaluated: it could cut a secret into pieces
        execution.input = mask.value(execution.input)
        execution.trigger.payload = mask.value(execution.trigger.payload)
        document = (await runtime.store.workflows.version(workflow_id, execution.version)).document
        steps = await runtime.executions.steps(body.execution_id)
    try:
        scope = preview_scope(
            document, execution, steps, body.node_id, {str(name): value for name, value in (body.scope or {}).items()}
        )
    except NotFound as error:
        raise request_invalid("invalid", error.message, name="node_id", where="body", hint=error.hint) from None
    found = await asyncio.to_thread(preview_expression, body.expression, scope)
    return json_response(found.to_dict())
