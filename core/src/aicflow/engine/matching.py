"""Which executions a bulk action is about."""

from __future__ import annotations

from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.executions import ExecutionFilter, ExecutionStore

__all__ = ["matching"]


async def matching(executions: ExecutionStore, where: ExecutionFilter, limit: int, *, ended: bool) -> list[str]:
    """Ids of up to `limit` executions that fit the filter and have ended, or have not; newest first."""
    found: list[str] = []
    cursor: str | None = None
    while len(found) < limit:
        page = await executions.list(where, limit=200, cursor=cursor)
        found.extend(one.id for one in page.items if (one.status in TERMINAL_STATUSES) is ended)
        cursor = page.next_cursor
        if cursor is None:
            break
    return found[:limit]
