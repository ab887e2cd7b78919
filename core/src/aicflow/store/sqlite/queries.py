"""Lists of executions: which index answers which filter, and the SQL for it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aicflow.kernel.execution import STATUSES, TRIGGER_KINDS
from aicflow.kernel.ports.executions import ExecutionFilter, WorkflowLimit
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import spellings
from aicflow.store.instants import micros

LOOKED_AT: Final = 1_000
"""Executions that one page of a search looks at, most."""

HAS_LABELS: Final = """NOT EXISTS (SELECT 1 FROM json_each(:labels) AS l WHERE NOT EXISTS (
  SELECT 1 FROM json_each(w.labels) AS h WHERE h.key = json_extract(l.value, '$[0]')
    AND h.value = coalesce(json_extract(l.value, '$[1]'), h.value)))"""
"""Whether workflow `w` has every label of `:labels`, a JSON array of names and values."""

IS_WITHIN: Final = f"""(:within_ids IS NULL OR w.id IN (SELECT value FROM json_each(:within_ids))
  OR :within_labels <> '[]' AND {HAS_LABELS.replace(":labels", ":within_labels")})"""  # noqa: S608
"""Whether workflow `w` is within the limit of `limit_values`."""

_BYTES: Final = 16_384
"""Bytes of each value that a search looks at, most: the rest of a large one lies on pages of its own."""

_MOST_RANGES: Final = 150
"""Ranges that one statement merges, most."""

type Query = tuple[str, list[Any]]


def limit_values(within: WorkflowLimit | None) -> dict[str, str | None]:
    """The parameters of IS_WITHIN."""
    if within is None:
        return {"within_ids": None, "within_labels": "[]"}
    return {"within_ids": dumps(sorted(within.ids)).decode(), "within_labels": dumps(within.labels).decode()}


def newest(
    connection: sqlite3.Connection, columns: str, where: ExecutionFilter, limit: int, after: tuple[int, int] | None
) -> tuple[list[Any], list[int] | None]:
    """`columns` of the newest `limit` executions that fit, after a place (created_at, n), newest first; and a place
    behind which there may be more although fewer were found."""
    ranges = _of_workflows(connection, where)
    if ranges is not None:
        where = replace(where, labels=(), within=None)
    if not where.labels and where.text is None and where.within is None:
        sql, values = list_query(columns, ranges or ranges_of(where), limit, after)
        return _all(connection, sql, values), None
    # what fits of the next LOOKED_AT that the rest of the filter lets through
    page, values = _page(ranges or ranges_of(where), LOOKED_AT, after)
    condition, bound = _search(where)
    connection.execute("BEGIN")  # both see the same rows
    found = _all(connection, f"{_joined(columns, page)} WHERE {condition} LIMIT ?", [*values, *bound, limit])
    last = connection.execute(f"SELECT at, m FROM ({page}) LIMIT 1 OFFSET {LOOKED_AT - 1}", values).fetchone()  # noqa: S608
    connection.execute("COMMIT")
    return found, last


def list_query(columns: str, ranges: Sequence[Query], limit: int, after: tuple[int, int] | None) -> Query:
    """`columns` of the newest `limit` executions of some ranges."""
    page, values = _page(ranges, limit, after)
    return _joined(columns, page), values


def _joined(columns: str, page: str) -> str:
    return f"SELECT {columns} FROM ({page}) CROSS JOIN executions AS e ON e.n = m"  # noqa: S608


def _all(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    text = connection.execute(f"SELECT json_group_array(json(item)) FROM ({sql})", values).fetchone()[0]  # noqa: S608
    found: list[Any] = loads(text)
    return found


def _of_workflows(connection: sqlite3.Connection, where: ExecutionFilter) -> list[Query] | None:
    """The ranges of the workflows that have the filter's labels and are within its limit, when those are few."""
    if not where.labels and where.within is None:
        return None
    values = {"id": where.workflow_id, "labels": dumps(where.labels).decode(), "limit": _MOST_RANGES + 1}
    ids = loads(connection.execute(_WORKFLOWS, values | limit_values(where.within)).fetchone()[0])
    if len(ids) * len(ranges_of(replace(where, workflow_id=""))) > _MOST_RANGES:
        return None
    return [one for id in ids for one in ranges_of(replace(where, workflow_id=id))] or [("0", [])]


def _search(where: ExecutionFilter) -> Query:
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if where.labels:
        matching = HAS_LABELS.replace(":labels", "?")
        conditions.append(f"workflow_id IN (SELECT w.id FROM workflows AS w WHERE {matching})")  # noqa: S608
        values.append(dumps(where.labels).decode())
    if where.within is not None:
        # the limit's ids too when nothing is left of the workflow but its executions
        named, labelled = limit_values(where.within).values()
        matching = HAS_LABELS.replace(":labels", "?")
        conditions.append(
            "(workflow_id IN (SELECT value FROM json_each(?)) OR ? <> '[]' AND workflow_id IN"  # noqa: S608
            f" (SELECT w.id FROM workflows AS w WHERE {matching}))"
        )
        values += [named, labelled, labelled]
    if where.text is not None:
        looks = []
        for text in spellings(where.text):
            looks += [f"CAST(substr({column}, 1, {_BYTES}) AS TEXT) {_LIKE}" for column in ("input", "output", "error")]
            looks += [_LARGE_INPUT, _LABELLED]
            values += [_pattern(text)] * 5
        conditions.append(f"({' OR '.join(looks)})")
    return " AND ".join(conditions), values


def _pattern(text: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"


def _page(ranges: Sequence[Query], limit: int, after: tuple[int, int] | None) -> Query:
    """Places (at, m) of the newest `limit`, newest first."""
    parts, values = [], []
    for condition, bound in ranges:
        if after is not None:
            condition += " AND (created_at, n) < (?, ?)"
            bound = [*bound, *after]
        parts.append(f"SELECT created_at AS at, n AS m FROM executions WHERE {condition}")  # noqa: S608
        values += bound
    # SQLite merges the ranges, each read from its end, so that about `limit` rows are read of all together
    return f"{' UNION ALL '.join(parts)} ORDER BY at DESC, m DESC LIMIT ?", [*values, limit]


def count_query(where: ExecutionFilter) -> Query:
    """Rows of (status, count)."""
    parts, values = [], []
    search, searched = _search(where)
    for condition, bound in ranges_of(where):
        condition, bound = f"{condition} AND {search}", [*bound, *searched]
        parts.append(f"SELECT status, count(*) AS many FROM executions AS e WHERE {condition} GROUP BY +status")  # noqa: S608
        values += bound
    return f"SELECT status, sum(many) AS many FROM ({' UNION ALL '.join(parts)}) GROUP BY status", values  # noqa: S608


def ranges_of(where: ExecutionFilter) -> list[Query]:
    """The filter as conditions that each are a range of one index. A `+` keeps a column from choosing the index."""
    if where.statuses is not None and not where.statuses:
        return [("0", [])]
    between, bound = "", []
    if where.created_after is not None:
        between += " AND created_at >= ?"
        bound.append(micros(where.created_after))
    if where.created_before is not None:
        between += " AND created_at < ?"
        bound.append(micros(where.created_before))
    equal: dict[str, Any] = {
        "parent_execution_id": where.parent_execution_id,
        "rerun_of": where.rerun_of,
        "binding_id": where.binding_id,
        "workflow_id": where.workflow_id,
        "trigger_kind": where.trigger_kind,
    }
    given = {name: value for name, value in equal.items() if value is not None}
    statuses = None if where.statuses is None else sorted(where.statuses)
    driver = next(iter(given), None)  # the most selective of them
    if driver in (None, "workflow_id", "trigger_kind"):
        if driver is None and statuses is None:
            return [(f"1{between}", bound)]
        # every kind with every status, which are few: their indexes are those of single ranges put together
        workflow = [] if where.workflow_id is None else [where.workflow_id]
        condition = f"{'workflow_id = ? AND ' if workflow else ''}trigger_kind = ? AND status = ?{between}"
        kinds = TRIGGER_KINDS if where.trigger_kind is None else (where.trigger_kind,)
        return [(condition, [*workflow, kind, status, *bound]) for kind in kinds for status in statuses or STATUSES]
    conditions = [f"{name} = ?" if name == driver else f"+{name} = ?" for name in given]
    if statuses is not None:
        conditions.append(f"+status IN ({', '.join('?' * len(statuses))})")
    return [(" AND ".join(conditions) + between, [*given.values(), *(statuses or ()), *bound])]


def of_every_kind(condition: str, order: str) -> str:
    """Places (created_at, n) of a workflow's executions with one status, in an order that the index has."""
    parts = [
        "SELECT created_at, n FROM executions"  # noqa: S608
        f" WHERE workflow_id = :workflow AND trigger_kind = '{kind}' AND status = :status{condition}"
        for kind in TRIGGER_KINDS
    ]
    return f"{' UNION ALL '.join(parts)} ORDER BY created_at {order}, n {order}"


_LIKE: Final = "LIKE ? ESCAPE '\\'"
_LARGE_INPUT: Final = f"""(input IS NULL OR output IS NULL) AND EXISTS (
  SELECT 1 FROM stored WHERE execution_id = e.id AND name IN ('$input', '$output')
  AND CAST(substr(body, 1, {_BYTES}) AS TEXT) {_LIKE})"""  # noqa: S608
_LABELLED: Final = f"""workflow_id IN (
  SELECT w.id FROM workflows AS w, json_each(w.labels) AS h WHERE h.key || '=' || h.value {_LIKE})"""  # noqa: S608
_WORKFLOWS: Final = f"""
SELECT json_group_array(id) FROM (
  SELECT c.id FROM (SELECT id FROM workflows UNION SELECT value FROM json_each(coalesce(:within_ids, '[]'))) AS c
    LEFT JOIN workflows AS w ON w.id = c.id
  WHERE (:id IS NULL OR c.id = :id) AND {HAS_LABELS} AND {IS_WITHIN.replace("w.id", "c.id")} LIMIT :limit)
"""  # noqa: S608
