"""Lists of executions: which index answers which filter, and the SQL for it."""

from __future__ import annotations

from typing import Any, Final

from aicflow.kernel.ports import ExecutionFilter
from aicflow.store.instants import micros

__all__ = ["count_query", "list_query"]

_ALL_STATUSES: Final = ("queued", "running", "waiting", "succeeded", "failed", "cancelled")

type Query = tuple[str, list[Any]]


def list_query(columns: str, where: ExecutionFilter, limit: int, after: tuple[int, int] | None) -> Query:
    """`columns` of the newest `limit` executions that fit, after a place (created_at, n); newest first."""
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
    page = f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY at DESC, m DESC LIMIT ?"  # noqa: S608
    sql = f"SELECT {columns} FROM ({page}) CROSS JOIN executions AS e ON e.n = m"  # noqa: S608
    return sql, [*values, limit]


def count_query(where: ExecutionFilter) -> Query:
    """Rows of (status, count)."""
    parts, values = [], []
    for condition, bound in _ranges(where):
        parts.append(f"SELECT status, count(*) AS many FROM executions WHERE {condition} GROUP BY +status")  # noqa: S608
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
