"""Housekeeping over tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aicflow.kernel.errors import StoreUnavailable
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.maintenance import RetentionRule, SizeReport, WorkflowSize
from aicflow.removal import ExecutionPart
from aicflow.store.tables.executions import ExecutionRow, TableExecutions
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.part import Part, writes
from aicflow.store.tables.small import TableTriggers
from aicflow.store.tables.workflows import TableWorkflows


class TableMaintenance(Part):
    """Housekeeping where there is no file: space goes back by itself, and there is nothing to copy."""

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        executions: TableExecutions,
        workflows: TableWorkflows,
        triggers: TableTriggers,
        idempotency: TableIdempotency,
    ) -> None:
        super().__init__(commit)
        self._idempotency = idempotency
        self._executions = executions
        self._triggers = triggers
        self._workflows = workflows

    async def removable(self, rules: Sequence[RetentionRule], *, now: float) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self._outdated(rules, now):
            counts[row.new.workflow_id] = counts.get(row.new.workflow_id, 0) + 1
        return counts

    @writes
    async def remove(self, rules: Sequence[RetentionRule], *, now: float, batch: int = 200) -> int:
        for rule in rules:
            if rule.status == "failed" and rule.max_age is not None:
                self._triggers.forget_refused(now - rule.max_age)
        rows = self._outdated(rules, now)[:batch]
        self._executions.forget({row.new.id for row in rows})
        self._workflows.forget_versions({row.new.workflow_id for row in rows})
        return len(rows)

    @writes
    async def forget_keys(self, *, used_before: float, fired_before: float, batch: int = 1000) -> int:
        forgotten = self._idempotency.forget_used(used_before, batch)
        return forgotten + self._executions.forget_fires(fired_before, batch)

    @writes
    async def forget_deliveries(self, *, received_before: float, batch: int = 1000) -> int:
        return self._triggers.forget_deliveries(received_before, batch)

    @writes
    async def remove_part(self, part: ExecutionPart, *, ended_before: float, batch: int = 200) -> int:
        return self._executions.remove_part(part, ended_before, batch)

    async def reclaim_space(self, max_bytes: int = 4_000_000) -> int:
        return 0

    async def sizes(self) -> SizeReport:
        by_workflow: dict[str, list[ExecutionRow]] = {}
        for row in self._executions.rows.values():
            by_workflow.setdefault(row.new.workflow_id, []).append(row)
        sizes = [
            WorkflowSize(
                workflow_id,
                len(rows),
                sum(row.events_removed or len(row.events) for row in rows),
                sum(map(_bytes, rows)),
            )
            for workflow_id, rows in by_workflow.items()
        ]
        sizes.sort(key=lambda size: (-size.bytes, size.workflow_id))
        return SizeReport(sum(size.bytes for size in sizes), 0, sizes)

    async def integrity(self) -> list[str]:
        return []

    async def repair(self, *, now: float) -> list[str]:
        return []

    async def backup(self, target: str) -> int:
        raise StoreUnavailable(
            "This store cannot be copied to a file.", hint="Use an sqlite:/// store to keep what it holds."
        )

    def _outdated(self, rules: Sequence[RetentionRule], now: float) -> list[ExecutionRow]:
        found: dict[str, ExecutionRow] = {}
        rows = sorted(self._executions.rows.values(), key=lambda row: row.place, reverse=True)
        for rule in rules:
            if rule.status not in TERMINAL_STATUSES:
                continue
            newer: dict[str, int] = {}
            for row in rows:
                if row.status != rule.status or row.finished_at is None:
                    continue
                rank = newer.get(row.new.workflow_id, 0)
                newer[row.new.workflow_id] = rank + 1
                too_old = rule.max_age is not None and row.finished_at <= now - rule.max_age
                if too_old or (rule.max_count is not None and rank >= rule.max_count):
                    found[row.new.id] = row
        return sorted(found.values(), key=lambda row: row.place)


def _bytes(row: ExecutionRow) -> int:
    parts = [row.new.input, row.new.trigger, row.output or b"", row.error or b"", *row.events, *row.outputs.values()]
    parts += [item.output or b"" for ended in row.items.values() for item in ended.values()]
    return sum(map(len, parts))
