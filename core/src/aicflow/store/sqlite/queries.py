"""Lists of executions: which index answers which filter, and the SQL for it."""

from __future__ import annotations

import re
from typing import Any, Final

from aicflow.kernel.ports.executions import ExecutionFilter
from aicflow.kernel.values import dumps
from aicflow.store.checks import spellings
from aicflow.store.instants import micros

__all__ = ["HAS_LABELS", "LOOKED_AT", "count_query", "list_query", "search_query"]

LOOKED_AT: Final = 5_000
"""Executions that one page of a search looks at, most."""

HAS_LABELS: Final = """NOT EXISTS (SELECT 1 FROM json_each(:labels) AS l WHERE NOT EXISTS (
  SELECT 1 FROM json_each(w.labels) AS h WHERE h.key = json_extract(l.value, '$[0]')
    AND h.value = coalesce(json_extract(l.value, '$[1]'), h.value)))"""
"""Whether workflow `w` has every label of `:labels`, a JSON array of names and values."""

_BYTES: Final = 16_384
"""Bytes of each value that a search looks at, most: the rest of a large one lies on pages of its own."""

_ALL_STATUSES: Final = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")

type Query = tuple[str, list[Any]]


def list_query(columns: str, where: ExecutionFilter, limit: int, after: tuple[int, int] | None) -> Query:
    """`columns` of the newest `limit` executions that fit, after a place (created_at, n); newest first."""
    page, values = _page(where, limit, after)
    return f"SELECT {columns} FROM ({page}) CROSS JOIN executions AS e ON e.n = m", values  # noqa: S608


def search_query(
    columns: str, where: ExecutionFilter, limit: int, after: tuple[int, int] | None
) -> tuple[Query, Query]:
    """As `list_query` for a filter by labels or text: what fits of the next LOOKED_AT executions that the rest of the
    filter lets through; and the place (created_at, n) of the last of those, without a row when there are not so
    many."""
    page, values = _page(where, LOOKED_AT, after)
    condition, bound = _search(where)
    found = f"SELECT {columns} FROM ({page}) CROSS JOIN executions AS e ON e.n = m WHERE {condition} LIMIT ?"  # noqa: S608
    last = f"SELECT at, m FROM ({page}) LIMIT 1 OFFSET {LOOKED_AT - 1}"  # noqa: S608
    return (found, [*values, *bound, limit]), (last, values)


def _search(where: ExecutionFilter) -> Query:
    conditions, values = ["1"], []
    if where.labels:
        matching = HAS_LABELS.replace(":labels", "?")
        conditions.append(f"workflow_id IN (SELECT w.id FROM workflows AS w WHERE {matching})")  # noqa: S608
        values.append(dumps(where.labels).decode())
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


def _page(where: ExecutionFilter, limit: int, after: tuple[int, int] | None) -> Query:
    """Places (at, m) of the newest `limit`, newest first."""
    parts, values = [], []
    for condition, bound in _ranges(where):
        if after is not None:
            condition += " AND (created_at, n) < (?, ?)"
            bound = [*bound, *after]
        parts.append(
            "SELECT * FROM (SELECT created_at AS at, n AS m FROM executions"  # noqa: S608
            f" WHERE {condition} ORDER BY created_at DESC, n DESC LIMIT ?)"
        )
        values += [*bound, limit]
    # every part is one range of one index, read from its end; only their heads are sorted together
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY at DESC, m DESC LIMIT ?", [*values, limit]  # noqa: S608


def count_query(where: ExecutionFilter) -> Query:
    """Rows of (status, count)."""
    parts, values = [], []
    search, searched = _search(where)
    for condition, bound in _ranges(where):
        condition, bound = f"{condition} AND {search}", [*bound, *searched]
        parts.append(f"SELECT status, count(*) AS many FROM executions AS e WHERE {condition} GROUP BY +status")  # noqa: S608
        values += bound
    return f"SELECT status, sum(many) AS many FROM ({' UNION ALL '.join(parts)}) GROUP BY status", values  # noqa: S608


def _ranges(where: ExecutionFilter) -> list[Query]:
    """The filter as conditions that each are a range of one index. A `+` keeps a column from choosing the index."""
    if where.statuses is not None and not where.statuses:
        return [("0", [])]
    statuses = None if where.statuses is None else sorted(where.statuses)
    equal: dict[str, Any] = {
        "parent_execution_id": where.parent_execution_id,
        "rerun_of": where.rerun_of,
        "binding_id": where.binding_id,
        "workflow_id": where.workflow_id,
        "trigger_kind": where.trigger_kind,
    }
    given = {name: value for name, value in equal.items() if value is not None}
    # the first of these is the most selective; a workflow or a status goes with the index over statuses
    driver = next(iter(given), None)
    if driver == "trigger_kind" and statuses is not None:
        driver = None
    conditions = [f"{name} = ?" if name == driver else f"+{name} = ?" for name in given]
    bound = list(given.values())
    if where.created_after is not None:
        conditions.append("created_at >= ?")
        bound.append(micros(where.created_after))
    if where.created_before is not None:
        conditions.append("created_at < ?")
        bound.append(micros(where.created_before))
    if driver == "workflow_id" or (driver is None and statuses is not None):
        return [(" AND ".join(["status = ?", *conditions]), [status, *bound]) for status in statuses or _ALL_STATUSES]
    if statuses is not None:
        conditions.append(f"+status IN ({', '.join('?' * len(statuses))})")
        bound += statuses
    return [(" AND ".join(conditions) or "1", bound)]


_LIKE: Final = "LIKE ? ESCAPE '\\'"
_LARGE_INPUT: Final = f"""EXISTS (SELECT 1 FROM payloads WHERE execution_id = e.id AND name = '$input'
  AND CAST(substr(body, 1, {_BYTES}) AS TEXT) {_LIKE})"""  # noqa: S608
_LABELLED: Final = f"""workflow_id IN (
  SELECT w.id FROM workflows AS w, json_each(w.labels) AS h WHERE h.key || '=' || h.value {_LIKE})"""  # noqa: S608
