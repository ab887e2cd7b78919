"""Lists of executions: filters as SQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from aicflow.ports import ACTIVE_STATUSES, ExecutionFilter, Labels, WorkflowLimit, micros, spellings

from aicflow_postgres.database import Connection, fetch_planned
from aicflow_postgres.values import ROW, bytes_of

LOOKED_AT: Final = 1_000
"""Executions that one page of a search looks at, most."""

_BYTES: Final = 16_384
"""Bytes of each value that a search looks at, most: the rest of a large one lies on pages of its own."""

_ORDER: Final = "ORDER BY e.created_at DESC, e.n DESC LIMIT"

type Query = tuple[str, list[Any]]


async def newest(
    connection: Connection, where: ExecutionFilter, limit: int, after: tuple[int, int] | None
) -> tuple[list[tuple[Any, ...]], tuple[int, int] | None]:
    """Places (created_at, n) and ROWs of the newest `limit` executions that fit, after a place; and a place
    behind which there may be more although fewer were found."""
    if not where.labels and where.text is None and where.within is None:
        sql, values = list_query(where, limit, after)
        return await fetch_planned(connection, sql, *values), None
    condition, values = _after(where, after)
    # what fits of the next LOOKED_AT that the rest of the filter lets through
    page = f"SELECT e.* FROM executions AS e WHERE {condition} {_ORDER} {LOOKED_AT}"  # noqa: S608
    search, searched = _search(where)
    sql = f"SELECT e.created_at, e.n, {ROW} FROM ({page}) AS e WHERE {search} {_ORDER} %b"  # noqa: S608
    found = await fetch_planned(connection, sql, *values, *searched, limit)
    end = f"SELECT created_at, n FROM ({page}) AS e {_ORDER} 1 OFFSET {LOOKED_AT - 1}"  # noqa: S608
    last = await fetch_planned(connection, end, *values)
    return found, (last[0][0], last[0][1]) if last else None


def list_query(where: ExecutionFilter, limit: int, after: tuple[int, int] | None) -> Query:
    """The query for a list that looks at no values and labels: the newest of each status, and of these the newest."""
    parts, values = list[str](), list[Any]()
    for status in (None,) if where.statuses is None else sorted(where.statuses):
        condition, given = _after(where, after, status)
        parts.append(f"(SELECT * FROM executions AS e WHERE {condition} {_ORDER} %b)")  # noqa: S608
        values += [*given, limit]
    found = " UNION ALL ".join(parts) or "SELECT * FROM executions WHERE false"
    return f"SELECT e.created_at, e.n, {ROW} FROM ({found}) AS e {_ORDER} %b", [*values, limit]  # noqa: S608


def _after(where: ExecutionFilter, after: tuple[int, int] | None, status: str | None = None) -> Query:
    condition, values = _condition(where if status is None else replace(where, statuses=frozenset({status})))
    if after is None:
        return condition, values
    return f"{condition} AND (e.created_at, e.n) < (%b, %b)", [*values, *after]


async def count(connection: Connection, where: ExecutionFilter) -> dict[str, int]:
    """How many there are by status."""
    condition, values = _condition(where)
    search, searched = _search(where)
    sql = f"SELECT e.status, count(*) FROM executions AS e WHERE {condition} AND {search} GROUP BY e.status"  # noqa: S608
    return {row[0]: row[1] for row in await fetch_planned(connection, sql, *values, *searched)}


def _condition(where: ExecutionFilter) -> Query:
    conditions, values = ["true"], list[Any]()
    for column, value in (
        ("parent_execution_id", where.parent_execution_id),
        ("rerun_of", where.rerun_of),
        ("binding_id", where.binding_id),
        ("workflow_id", where.workflow_id),
        ("trigger_kind", where.trigger_kind),
    ):
        if value is not None:
            conditions.append(f"e.{column} = %b")
            values.append(value)
    if where.trigger_kind is not None and where.trigger_kind != "api":
        conditions.append("e.trigger_kind <> 'api'")  # names the index
    if where.statuses is not None:
        only = len(where.statuses) == 1  # an index then gives them in order
        conditions.append("e.status = %b" if only else "e.status = ANY(%b::text[])")
        values.append(next(iter(where.statuses)) if only else sorted(where.statuses))
        if where.statuses <= ACTIVE_STATUSES:
            conditions.append("e.finished_at IS NULL")
        elif where.statuses <= {"failed", "cancelled"}:
            conditions.append("e.status IN ('failed', 'cancelled')")
    for comparison, instant in ((">=", where.created_after), ("<", where.created_before)):
        if instant is not None:
            conditions.append(f"e.created_at {comparison} %b")
            values.append(micros(instant))
    return " AND ".join(conditions), values


def has_labels(workflow: str, labels: Labels) -> Query:
    """Whether a workflow has all of these labels."""
    conditions, values = ["true"], list[Any]()
    for name, value in labels:
        same = "" if value is None else " AND l.value = %b"
        conditions.append(
            f"EXISTS (SELECT 1 FROM workflow_labels AS l WHERE l.workflow_id = {workflow} AND l.name = %b{same})"  # noqa: S608
        )
        values += [name] if value is None else [name, bytes_of(value)]
    return " AND ".join(conditions), values


def is_within(workflow: str, within: WorkflowLimit | None) -> Query:
    """Whether a workflow is within a limit, also when nothing is left of it but its executions."""
    if within is None:
        return "true", []
    condition, values = f"{workflow} = ANY(%b::text[])", list[Any]([sorted(within.ids)])
    if within.labels:
        labelled, wanted = has_labels(workflow, within.labels)
        condition, values = f"({condition} OR {labelled})", values + wanted
    return condition, values


def _search(where: ExecutionFilter) -> Query:
    condition, values = has_labels("e.workflow_id", where.labels)
    within, limited = is_within("e.workflow_id", where.within)
    condition, values = f"{condition} AND {within}", values + limited
    if where.text is not None:
        looks = []
        for text in spellings(where.text):
            looks += [_SAYS.format(f"e.{column}") for column in ("input", "output", "error")]
            looks += [_LARGE, _LABELLED]
            values += [bytes_of(text)] * 5
        condition += f" AND ({' OR '.join(looks)})"
    return condition, values


_SAYS: Final = f"says(substring({{}} FROM 1 FOR {_BYTES}), %b::bytea)"
_LARGE: Final = f"""(e.input IS NULL OR e.output IS NULL) AND EXISTS (
  SELECT 1 FROM stored AS s WHERE s.execution_id = e.id AND s.name IN ('$input', '$output')
    AND {_SAYS.format("s.body")})"""  # noqa: S608
_LABELLED: Final = f"""EXISTS (
  SELECT 1 FROM workflow_labels AS l WHERE l.workflow_id = e.workflow_id
    AND {_SAYS.format("convert_to(l.name || '=', 'UTF8') || l.value")})"""  # noqa: S608
