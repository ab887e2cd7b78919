"""What every route file uses."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from aicflow.engine.starting import StartedBy
from aicflow.host.gate import caller_of
from aicflow.host.keys import Scope
from aicflow.host.pages import PageQuery, json_response
from aicflow.host.reach import Limited, need
from aicflow.host.views import execution_view
from aicflow.kernel.execution import Execution
from aicflow.problems import TITLES

if TYPE_CHECKING:
    from aicflow.host.runtime import HostRuntime

_TITLES: Final = dict(reversed(list(TITLES.values())))
"""The title of a status: the first in the table, which is its most general."""


class _NoQuery(BaseModel):
    """A call without query parameters: every name is an error."""

    model_config = ConfigDict(extra="forbid")


Id = Annotated[str, Path(max_length=200)]
Paging = Annotated[PageQuery, Query()]
NoQuery = Annotated[_NoQuery, Query()]


class PlainRoute(APIRoute):
    """A documented route whose endpoint is given the request alone, as quick as Starlette's: scopes are checked before,
    query and body by the endpoint itself."""

    def get_route_handler(self) -> Any:
        checks = [one.dependency for one in self.dependencies if one.dependency is not None]

        async def handle(request: Request) -> Any:
            for check in checks:
                await check(request)
            return await self.endpoint(request)

        return handle


def runtime_of(connection: HTTPConnection) -> HostRuntime:
    """The runtime of the app that serves this request."""
    runtime: HostRuntime = connection.app.state.runtime
    return runtime


def shown(connection: HTTPConnection, execution: Execution) -> dict[str, Any]:
    """The execution as this caller may see it: its values are only for keys that may read."""
    mask = runtime_of(connection).secrets.mask
    return execution_view(execution, values=caller_of(connection.scope).may("read"), mask=mask)


async def started(request: Request, execution_id: str, status: int = 200) -> Response:
    """The response that shows the execution which this request, or an earlier one, started. Raises NotFound."""
    execution = await runtime_of(request).executions.get(execution_id)
    return json_response(shown(request, execution), status, {"location": f"/api/v1/executions/{execution_id}"})


def started_by(connection: HTTPConnection) -> StartedBy:
    """The caller, as who starts executions."""
    runtime, caller = runtime_of(connection), caller_of(connection.scope)
    limit = runtime.settings.max_queued_per_key if caller.max_queued is None else caller.max_queued
    return StartedBy(runtime.auditor.actor_in_chain(caller.actor), limit)


def router(tag: str) -> APIRouter:
    """A router under the API's prefix. Operations are called like the functions behind them."""
    return APIRouter(prefix="/api/v1", tags=[tag], generate_unique_id_function=attrgetter("name"))


def scoped(scope: Scope, limited: Limited | None = None) -> Any:
    """The dependency that asks for a scope, for `dependencies=`. `limited`: see `reach`."""
    return [Depends(need(scope, limited))]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a call, for its documentation; every call can answer 401, 403, 422, 429 and 503."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    out: dict[int | str, dict[str, Any]] = {
        s: {"description": _TITLES[s], "content": content} for s in sorted({401, 403, 422, 429, 503, *statuses})
    }
    after = {"schema": {"type": "integer"}, "description": "Seconds until the request may be sent again"}
    out[503]["headers"] = {"Retry-After": after}
    out[429]["headers"] = {"Retry-After": after} | {
        name: {"schema": {"type": "string"}, "description": text}
        for name, text in (
            ("RateLimit-Policy", 'The rates that count for the request, such as `"key";q=600;w=60`'),
            ("RateLimit", 'What is left of each, such as `"key";r=42;t=13`'),
        )
    }
    return out


def shows(name: str, description: str) -> dict[str, Any]:
    """The documentation of a JSON response, by the name of its schema. The schemas themselves (`schemas.py`) are made
    when somebody asks for the document."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return {"description": description, "content": content}


def returns(
    name: str, *failures: int, status: int = 200, more: Mapping[int, dict[str, Any]] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The documentation of a call's responses: its usual one, the problems, and `more` about some of them."""
    out: dict[int | str, dict[str, Any]] = {status: shows(name, "Successful Response"), **problems(*failures)}
    for key, part in (more or {}).items():
        out[key] = out.get(key, {}) | part
    return out


def call(
    scope: Scope, name: str | None, *failures: int, status: int = 200, limited: Limited | None = None, **more: Any
) -> dict[str, Any]:
    """What a route is registered with beside its path and summary: who may call it, and what it returns."""
    responses = returns(name, *failures, status=status, **more) if name is not None else problems(*failures)
    return {"status_code": status, "responses": responses, "dependencies": scoped(scope, limited)}


def repeated(name: str) -> dict[str, Any]:
    """The documentation of the response to a request whose idempotency key was used before."""
    return shows(name, "The idempotency key was used before; this is what it made")


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The documentation of a JSON body that the route reads by itself."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
