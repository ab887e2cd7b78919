"""The OpenAPI 3.1 document of the API. `aicflow openapi` prints it."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from aicflow import __version__
from aicflow.host import requests, schemas
from aicflow.host.routes.common import problems
from aicflow.kernel.document import WorkflowDocument
from aicflow.problems import MEDIA_TYPE, TITLES

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
    requests.PutLayout,
    requests.PutSecret,
    requests.PutState,
    requests.FindSubject,
    requests.EraseSubject,
    WorkflowDocument,
)
_DESCRIPTION: Final = """\
Workflows are saved, validated and started; executions are followed over WebSocket or server-sent events.

Every call but health needs an API key, or the token (JWT) of an issuer that the operator trusts:
`Authorization: Bearer aicf_…` or `X-API-Key: aicf_…`; a browser that signed in has a session's cookie. Errors are
`application/problem+json` with a stable `type`, the request id and pointers to what is wrong. Lists take `limit` and
`cursor`. Unknown query parameters and unknown keys in bodies are errors. Whatever the call, a method that a path does
not have is answered with 405 and `Allow`, a request that does not arrive with 408, headers that are too large with
431, and a defect of ours with 500, all as problems too.

Requests are counted, for each key and each address: answers say what is left by `RateLimit`, and 429 when to come back
by `Retry-After`.

A request that fits its schema is refused with 422 nevertheless when a cursor is none of the list, a workflow document
has errors that validation finds, an input or an answer does not fit the schema that the workflow declares, default
params are none of the node type, a bulk call has no condition, an API key would end in the past, a value is too large
to be kept, or an idempotency key was used for another request.

Calls that make something take an `Idempotency-Key`: the same request with the same key finds what the first one made
and makes nothing.
"""


_TAGS: Final = {
    "api-keys": "Who may call",
    "audit": "Who changed what, and what was refused",
    "catalogue": "What is installed: node types, trigger types, plugins",
    "events": "What is sent to waiting steps and to triggers",
    "executions": "Starting, following and steering executions",
    "files": "Contents that nodes read and write",
    "health": "Whether the process lives, and its figures",
    "secrets": "Values that workflows use and nobody reads back",
    "state": "What a workflow keeps between its executions",
    "streams": "What happens, as it happens",
    "subjects": "What is kept about a person",
    "triggers": "What starts executions, and what arrived",
    "workflows": "Saving and reading workflows",
}
_PROBLEMS: Final = {status: code for code, (status, _) in reversed(list(TITLES.items()))}
"""The most general code of each status."""


def document(app: FastAPI) -> dict[str, Any]:
    """The document; made once for an app."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    out = get_openapi(
        title=app.title,
        version=__version__,
        summary=app.summary,
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": "/", "description": "The server that shows this document"}],
        contact={"name": "The AIC Flow maintainers"},
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
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
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, aicf_…, or a token"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    components["responses"] = responses = {}
    tags: set[str] = set()
    for path, operations in out["paths"].items():
        for operation in operations.values():
            asks = path.startswith("/api/") or path == "/metrics"
            operation["security"] = [{"bearer": []}, {"header": []}] if asks else []
            tags.update(operation["tags"])
            for status, response in operation["responses"].items():
                if response == _problem(int(status)):
                    name = "".join(part.capitalize() for part in _PROBLEMS[int(status)].split("-"))
                    responses[name] = _with_example(int(status))
                    operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    out["tags"] = [{"name": tag, "description": _TAGS.get(tag, "")} for tag in sorted(tags)]
    app.openapi_schema = out
    return out


def _problem(status: int) -> dict[str, Any] | None:
    """The documentation of a problem as routes have it; None for a status that no problem has."""
    return problems(status)[status] if status in _PROBLEMS else None


def _with_example(status: int) -> dict[str, Any]:
    """The same with an example, for all routes together."""
    code = _PROBLEMS[status]
    example = {
        "type": f"urn:aicflow:problem:{code}",
        "title": TITLES[code][1],
        "status": status,
        "detail": "What is wrong with this request, and where.",
        "request_id": "rq_01m83kqrms6mtd45twwqxz640g",
        "errors": [],
    }
    out = deepcopy(problems(status)[status])
    out["content"][MEDIA_TYPE]["examples"] = {code: {"value": example}}
    return out


def text(app: FastAPI) -> str:
    """The document of this version as it is in docs/openapi/openapi.json."""
    return json.dumps(document(app), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
