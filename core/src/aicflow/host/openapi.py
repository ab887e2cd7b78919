"""The OpenAPI 3.1 document of the API. `aicflow openapi` prints it."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from aicflow import __version__
from aicflow.host import requests, schemas
from aicflow.kernel.document import WorkflowDocument

_READ_BY_ROUTES: Final = (
    requests.StartExecution,
    requests.PatchWorkflow,
    requests.PreviewExpression,
    requests.ResumeExecution,
    requests.RerunExecution,
    requests.BulkRequest,
    requests.PatchNodeType,
    requests.FireTrigger,
    requests.SendEvent,
    requests.CreateApiKey,
    requests.RotateApiKey,
    requests.PutState,
    WorkflowDocument,
)
_DESCRIPTION: Final = """\
Workflows are saved, validated and started; executions are followed over WebSocket or server-sent events.

Every call but health needs an API key: `Authorization: Bearer aicf_…` or `X-API-Key: aicf_…`. Errors are
`application/problem+json` with a stable `type`, the request id and pointers to what is wrong. Lists take `limit` and
`cursor`. Unknown query parameters and unknown keys in bodies are errors.

A request that fits its schema is refused with 422 nevertheless when a cursor is none of the list, a workflow document
has errors that validation finds, an input or an answer does not fit the schema that the workflow declares, default
params are none of the node type, a bulk call has no condition, an API key would end in the past, a value is too large
to be kept, or an idempotency key was used for another request.

Calls that make something take an `Idempotency-Key`: the same request with the same key finds what the first one made
and makes nothing.
"""


def document(app: FastAPI) -> dict[str, Any]:
    """The document; made once for an app."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    out = get_openapi(
        title=app.title, version=__version__, summary=app.summary, description=_DESCRIPTION, routes=app.routes
    )
    components = out.setdefault("components", {})
    known = components.setdefault("schemas", {})
    _, requests = models_json_schema(
        [(model, "validation") for model in _READ_BY_ROUTES], ref_template="#/components/schemas/{model}"
    )
    for definitions in (requests["$defs"], schemas.response_schemas()):
        for name, schema in definitions.items():
            known.setdefault(name, schema)
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    components["schemas"] = dict(sorted(known.items()))
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, aicf_…"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in out["paths"].items():
        if path.startswith("/api/") or path == "/metrics":
            for operation in operations.values():
                operation["security"] = [{"bearer": []}, {"header": []}]
    app.openapi_schema = out
    return out


def text(app: FastAPI) -> str:
    """The document of this version as it is in docs/openapi/openapi.json."""
    return json.dumps(document(app), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
