"""The audit chain over tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from aicflow.kernel.ports.audit import GENESIS, AuditEntry, AuditFilter, AuditRow, pending_audit
from aicflow.kernel.ports.executions import Page
from aicflow.kernel.values import loads
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.tables.part import Part, Table, writes


class TableAudit(Part):
    """The chain."""

    def __init__(self, commit: Callable[[], Awaitable[None]], rows: Table) -> None:
        super().__init__(commit)
        self._rows = rows  # by `seq` with leading zeros, which sort as the numbers do

    async def commit_audited(self) -> None:
        """Commit what another part wrote, with the entry of the request that wrote it."""
        pending = pending_audit.get()
        if pending is not None and not pending.written:
            pending.written = True
            self._add([pending.entry(pending)])
        await self.commit()

    def _sorted(self) -> list[AuditRow]:
        return sorted(self._rows.values(), key=lambda row: row.seq)

    def _add(self, entries: Sequence[AuditEntry]) -> AuditRow:
        last = max(self._rows.values(), key=lambda row: row.seq, default=AuditRow(0, GENESIS, ""))
        for entry in entries:
            hash = sha256(last.hash + entry.body.encode()).digest()
            last = self._rows[f"{last.seq + 1:020}"] = AuditRow(last.seq + 1, hash, entry.body, entry.personal)
        return last

    @writes
    async def add(self, entries: Sequence[AuditEntry]) -> AuditRow:
        return self._add(entries)

    async def last(self) -> AuditRow | None:
        return max(self._rows.values(), key=lambda row: row.seq, default=None)

    async def read(self, *, after: int = 0, limit: int = 1000) -> list[AuditRow]:
        return [row for row in self._sorted() if row.seq > after][:limit]

    @writes
    async def drop(self, through: int, entry: AuditEntry) -> int:
        self._add([entry])
        gone = [key for key, row in self._rows.items() if row.seq <= through]
        for key in gone:
            del self._rows[key]
        return len(gone)

    @writes
    async def erase_personal(self, texts: Sequence[str]) -> int:
        found = [
            (key, row)
            for key, row in self._rows.items()
            if row.personal and any(text.lower() in row.personal.lower() for text in texts)
        ]
        for key, row in found:
            self._rows[key] = replace(row, personal=None)
        return len(found)

    async def list(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> Page[AuditRow]:
        check_limit(limit)
        below = int(read_cursor("audit", cursor, int)[0]) if cursor is not None else 2**62
        rows = [row for row in reversed(self._sorted()) if row.seq < below and _fits(loads(row.body), where)]
        return Page(rows[:limit], make_cursor("audit", rows[limit - 1].seq) if len(rows) > limit else None)


def _fits(body: dict[str, Any], where: AuditFilter) -> bool:
    return (
        where.actor in (None, body["actor"])
        and where.action in (None, body["action"])
        and (where.target in (None, body["target"], body.get("made")) or where.target in body.get("many", ()))
        and (where.since is None or body["at"] >= where.since)
        and (where.until is None or body["at"] < where.until)
    )
