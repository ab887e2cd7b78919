"""/executions/{id}/steps: what the steps of an execution did, and the items and passes inside of them."""

from __future__ import annotations

from itertools import accumulate
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import Path, Query, Request
from pydantic import Field, field_validator
from starlette.responses import Response

from aicflow.engine.inside import ITEM_STATUSES
from aicflow.host.etag import BYTES_HEADERS, BYTES_PARAMETERS, bytes_response
from aicflow.host.pages import (
    PageQuery,
    json_response,
    known_statuses,
    no_cursor,
    statuses_pattern,
)
from aicflow.host.routes.common import Id, NoQuery, call, problems, router, runtime_of, scoped
from aicflow.host.views import item_view, step_view
from aicflow.kernel.errors import NotFound
from aicflow.kernel.execution import StepStatus
from aicflow.kernel.values import dumps, loads
from aicflow.removal import check_kept
from aicflow.texts import cut

routes = router("executions")
_STEP_STATUSES: Final[tuple[str, ...]] = get_args(StepStatus.__value__)
_OUTPUTS_ON_A_PAGE: Final = 8 * 1024 * 1024
_MOST_ITEMS: Final = 1_000_000

StepId = Annotated[str, Path(max_length=1000, description="Such as `get`, or inside of a map `each[17].get`")]


class StepsQuery(PageQuery):
    """Which steps, and how much of them."""

    parent: str = Field(
        default="",
        max_length=1000,
        description="Those directly inside of this step with a body, such as `each` (of all its items), or inside of "
        "one item, `each[17]`; without it the steps that are inside of none",
    )
    status: str | None = Field(
        default=None,
        max_length=200,
        description="Statuses, with commas",
        json_schema_extra={"pattern": statuses_pattern(_STEP_STATUSES)},
    )
    fields: Literal["output"] | None = Field(default=None, description="`output`: with what the steps returned")

    @field_validator("status")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return known_statuses(value, _STEP_STATUSES)


@routes.get(
    "/executions/{execution_id}/steps", summary="List the steps of an execution", **call("read", "Steps", 404, 410)
)
async def list_steps(request: Request, execution_id: Id, query: Annotated[StepsQuery, Query()]) -> Response:
    """In the order they began: the outer ones, or with `parent` those inside of a group or of one item; those inside of
    all items of a map, or passes of a repeat, by index. Without their outputs, unless `fields=output` asks for them: a
    page then ends early when its outputs are larger than 8 MiB."""
    runtime = runtime_of(request)
    execution = await runtime.executions.get(execution_id)
    if query.fields:
        check_kept(execution_id, execution.removed, "payloads")
    try:
        found = await runtime.executions.steps_page(
            execution_id,
            query.parent,
            after=query.cursor,
            limit=query.limit + 1,
            statuses=None if query.status is None else frozenset(query.status.split(",")),
        )
    except NotFound:
        raise no_cursor(f"{cut(query.cursor or '', 80)!r} is not a cursor of this list.") from None
    steps = found[: query.limit]
    cursor = steps[-1].node_id if len(found) > query.limit else None
    if query.fields:
        sizes = accumulate(step.stored for step in steps)
        fitting = max(sum(size <= _OUTPUTS_ON_A_PAGE for size in sizes), 1)
        if fitting < len(steps):
            steps, cursor = steps[:fitting], steps[fitting - 1].node_id
        if wanted := [step.node_id for step in steps if step.stored]:
            stored = await runtime.store.executions.outputs(execution_id, wanted)
            for step in steps:
                step.output = loads(stored[step.node_id]) if step.node_id in stored else step.output
    data = [step_view(step, output=query.fields is not None) for step in steps]
    return json_response({"data": data, "next_cursor": cursor})


@routes.get(
    "/executions/{execution_id}/steps/{node_id}/output",
    summary="Show what a step returned",
    responses={
        200: {"description": "The output", "headers": BYTES_HEADERS, "content": {"application/json": {"schema": {}}}},
        206: {"description": "The part that Range asks for", "headers": BYTES_HEADERS},
        304: {"description": "It is what If-None-Match names"},
        **problems(404, 410, 416),
    },
    dependencies=scoped("read"),
    openapi_extra={"parameters": BYTES_PARAMETERS},
)
async def get_step_output(request: Request, execution_id: Id, node_id: StepId, query: NoQuery) -> Response:
    """As JSON, whole or the bytes that `Range` names, so that a large one can be read in parts."""
    runtime = runtime_of(request)
    check_kept(execution_id, (await runtime.executions.get(execution_id)).removed, "events", "payloads")
    found = await runtime.executions.steps(execution_id, outputs=False, around=node_id)
    steps = {step.node_id: step for step in found}
    step, data = steps.get(node_id), None
    if step is not None and step.stored:
        data = (await runtime.store.executions.outputs(execution_id, [node_id])).get(node_id)
    elif step is not None and step.port is not None:
        data = dumps(step.output)
    if data is None:
        became = "has not begun" if step is None else f"is {step.status}"
        raise NotFound("output of step", node_id, hint=f"The step {became} in execution {execution_id}.")
    return await bytes_response(request, data)


class ItemsQuery(PageQuery):
    """Which items, and how much of them."""

    status: str | None = Field(
        default=None,
        max_length=200,
        description="Statuses, with commas",
        json_schema_extra={"pattern": statuses_pattern(sorted(ITEM_STATUSES))},
    )
    fields: Literal["output"] | None = Field(default=None, description="`output`: with what the items returned")

    @field_validator("status")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return known_statuses(value, ITEM_STATUSES)


@routes.get(
    "/executions/{execution_id}/steps/{node_id}/items",
    summary="List the items of a map, or the passes of a repeat",
    **call("read", "Items", 404, 410),
)
async def list_items(
    request: Request, execution_id: Id, node_id: StepId, query: Annotated[ItemsQuery, Query()]
) -> Response:
    """By index: those that have ended, and while the execution goes on those at work; an item that has not begun, or
    was stopped with its map, is not listed. What each returned only with `fields=output`: a page then ends early when
    its outputs are larger than 8 MiB."""
    runtime, after = runtime_of(request), -1
    if query.fields:
        check_kept(execution_id, (await runtime.executions.get(execution_id)).removed, "payloads")
    if query.cursor is not None:
        if not query.cursor.isdecimal() or not query.cursor.isascii() or len(query.cursor) > len(str(_MOST_ITEMS)):
            raise no_cursor(f"{cut(query.cursor, 80)!r} is not a cursor of this list.")
        after = int(query.cursor)
    statuses = ITEM_STATUSES if query.status is None else frozenset(query.status.split(","))
    items = await runtime.executions.items(execution_id, node_id, after=after, limit=query.limit + 1, statuses=statuses)
    fitting = query.limit
    if query.fields:
        sizes = accumulate(len(item.output or b"") for item in items)
        fitting = min(max(sum(size <= _OUTPUTS_ON_A_PAGE for size in sizes), 1), fitting)
    page: list[dict[str, Any]] = [item_view(node_id, item, output=query.fields is not None) for item in items[:fitting]]
    cursor = str(items[fitting - 1].index) if len(items) > fitting else None
    return json_response({"data": page, "next_cursor": cursor})
