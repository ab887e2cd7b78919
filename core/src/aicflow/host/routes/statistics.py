"""/statistics: how executions ended, by time and by workflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from aicflow.host import requests
from aicflow.host.pages import json_response
from aicflow.host.problems import Problem, request_invalid
from aicflow.host.reach import reach_of
from aicflow.host.routes.common import call, router, runtime_of
from aicflow.kernel.clock import iso
from aicflow.statistics import HOUR, Ended, KeepsStatistics, quantile

routes = router("executions")
_DAY: Final = 24 * HOUR
_STEPS: Final = (60, 300, 900, HOUR, 6 * HOUR, _DAY)
_MOST_STEPS: Final = 1500
_LAST: Final = 253_370_764_800  # the year 9999
_SHOWN: Final = 60
"""Steps in an answer, about, when the caller does not choose."""


class StatisticsQuery(BaseModel):
    """Of which time, and how finely."""

    model_config = ConfigDict(extra="forbid")

    since: requests.Instant | None = Field(default=None, description="24 hours before `until` when not given")
    until: requests.Instant | None = Field(default=None, description="Now when not given")
    step: int | None = Field(
        default=None,
        ge=60,
        le=366 * _DAY,
        multiple_of=60,
        description="Seconds between two points; whole hours for a time of more than a day",
    )
    workflow_id: str | None = Field(default=None, max_length=200)


@routes.get(
    "/statistics",
    summary="How executions ended, by time and by workflow",
    **call("read", "Statistics", 404, limited="filtered"),
)
async def get_statistics(request: Request, query: Annotated[StatisticsQuery, Query()]) -> Response:
    """Counts and durations of what ended from `since` to `until`, which are widened to whole steps. Hours that are over
    are counted once and remembered, so that a year costs little and what retention removed counts still. `p50` and
    `p95` are seconds from the start to the end of what succeeded, at most 19 % too high."""
    runtime = runtime_of(request)
    if not isinstance(runtime.store, KeepsStatistics):
        raise Problem("not-found", "This store does not count how executions ended.")
    since, until, step = _range(query, runtime.clock.now())
    found, reach = list(await runtime.store.statistics.ended(since, until, step)), reach_of(request)
    failures = list(await runtime.store.statistics.failures(since, until))
    names = {one.workflow_id for one in found} | {one.workflow_id for one in failures}
    wanted = {name for name in names if query.workflow_id in (None, name) and await reach.admits(name)}
    found = [one for one in found if one.workflow_id in wanted]
    by_start: dict[int, list[Ended]] = defaultdict(list)
    by_workflow: dict[str, list[Ended]] = defaultdict(list)
    for one in found:
        by_start[one.start].append(one)
        by_workflow[one.workflow_id].append(one)
    workflows = [{"workflow_id": name, **_figures(parts)} for name, parts in by_workflow.items()]
    return json_response(
        {
            "since": iso(since),
            "until": iso(until),
            "step": step,
            **_figures(found),
            "series": [
                {"start": iso(start), **_figures(by_start.get(start, ()))} for start in range(since, until, step)
            ],
            "workflows": sorted(workflows, key=lambda one: (-one["failed"], -one["succeeded"], one["workflow_id"])),
            "failures": [
                {
                    "workflow_id": one.workflow_id,
                    "node_id": one.node_id,
                    "code": one.code,
                    "count": one.count,
                    "last_execution_id": one.last_execution_id,
                }
                for one in failures
                if one.workflow_id in wanted
            ][:100],
        }
    )


def _range(query: StatisticsQuery, now: float) -> tuple[int, int, int]:
    """From when, until when, and how finely, in seconds. Raises Problem."""
    until = now if (given := requests.instant(query.until)) is None else given
    since = until - _DAY if (given := requests.instant(query.since)) is None else given
    if since >= until:
        raise request_invalid("invalid", "query /since: must be before until", name="since", where="query")
    length = until - since
    step = query.step or next((step for step in _STEPS if length / step <= _SHOWN and _fits(step, length)), None)
    if step is None:
        step = ceil(length / _SHOWN / _DAY) * _DAY
    if not _fits(step, length):
        message = "query /step: must be whole hours for a time of more than a day"
        raise request_invalid("invalid", message, name="step", where="query")
    first, last = int(since // step) * step, ceil(until / step) * step
    if first < 0 or last > _LAST:
        name = "since" if first < 0 else "until"
        message = f"query /{name}: must be between the years 1970 and 9998"
        raise request_invalid("invalid", message, name=name, where="query")
    if (last - first) // step > _MOST_STEPS:
        message = f"query /step: must leave at most {_MOST_STEPS} points; {ceil(length / _MOST_STEPS)} seconds or more"
        raise request_invalid("invalid", message, name="step", where="query")
    return first, last, step


def _fits(step: int, length: float) -> bool:
    return step % HOUR == 0 or length <= _DAY + HOUR  # a day that was widened to whole hours


def _figures(parts: Iterable[Ended]) -> dict[str, Any]:
    counts = dict.fromkeys(("succeeded", "failed", "cancelled"), 0)
    durations: dict[int, int] = {}
    for part in parts:
        counts[part.status] += part.count
        if part.status == "succeeded":
            for group, count in part.durations.items():
                durations[group] = durations.get(group, 0) + count
    return {**counts, **_quantiles(durations)}


def _quantiles(durations: Mapping[int, int]) -> dict[str, float | None]:
    return {"p50": quantile(durations, 0.5), "p95": quantile(durations, 0.95)}
