"""How executions ended, over tables: counted whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aicflow.kernel.values import loads
from aicflow.statistics import NEWEST_FAILURES, UNKNOWN_DURATION, Ended, Failures, ended_from_rows, group_of
from aicflow.store.tables.executions import ExecutionRow, TableExecutions


class TableStatistics:
    """Counts."""

    def __init__(self, executions: TableExecutions) -> None:
        self._executions = executions

    def _within(self, since: int, until: int) -> Iterator[tuple[float, ExecutionRow]]:
        for row in self._executions.rows.values():
            if row.finished_at is not None and since <= row.finished_at < until:
                yield row.finished_at, row

    async def ended(self, since: int, until: int, step: int) -> Sequence[Ended]:
        rows = (
            (
                int((at - since) // step),
                row.new.workflow_id,
                row.status,
                UNKNOWN_DURATION if row.started_at is None else group_of(at - row.started_at),
                1,
            )
            for at, row in self._within(since, until)
        )
        return ended_from_rows(rows, since, step)

    async def failures(self, since: int, until: int) -> Sequence[Failures]:
        failed = sorted(
            ((at, row) for at, row in self._within(since, until) if row.status == "failed"),
            reverse=True,
            key=lambda one: one[0],
        )
        found: dict[tuple[str, str | None, str], list[str]] = {}
        for _, row in failed[:NEWEST_FAILURES]:
            report = loads(row.error) if row.error is not None else {}
            found.setdefault((row.new.workflow_id, report.get("node_id"), report.get("code", "")), []).append(
                row.new.id
            )
        failures = [Failures(*key, len(ids), max(ids)) for key, ids in found.items()]
        return sorted(failures, key=lambda one: (one.count, one.last_execution_id), reverse=True)

    async def roll_up(self, before: float, *, keep: float) -> int:
        return 0
