"""Data of one person over tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.subjects import DataSubject, Holding, HoldingKind
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import has_labels
from aicflow.store.rows import event_answer
from aicflow.store.tables.executions import ExecutionRow, TableExecutions
from aicflow.store.tables.part import Part, Table, writes


class TableSubjects(Part):
    """Data of one person. `tables` are those of the other parts, by name."""

    def __init__(
        self, commit: Callable[[], Awaitable[None]], executions: TableExecutions, table: Callable[[str], Table]
    ) -> None:
        super().__init__(commit)
        self._executions = executions
        self._table = table

    async def find(self, subject: DataSubject) -> list[Holding]:
        rows = self._about(subject)
        found = [Holding("execution", row.new.id, row.status) for row in rows]
        found += [Holding("file", sha256) for sha256 in self._executions.files.held_by({row.new.id for row in rows})]
        return found + (self._said(subject.text) if subject.text else [])

    def _about(self, subject: DataSubject) -> list[ExecutionRow]:
        rows = sorted(self._executions.rows.values(), key=lambda row: row.n)
        owned = {
            kept[1]: kept[0].owner for kept in self._table("idempotency").values() if kept[0].scope == "on_failure"
        }
        depth: dict[str, int] = {}
        for row in rows:
            labels = self._executions.labels_of(row.new.workflow_id)
            if subject.hash in row.new.subjects or (subject.labels and has_labels(labels, subject.labels)):
                depth[row.new.id] = 0
            sources = (row.new.parent_execution_id, row.new.rerun_of, owned.get(row.new.id))
            made = [depth[source] + 1 for source in sources if source in depth]
            if made:
                depth[row.new.id] = max(made)
        return sorted((row for row in rows if row.new.id in depth), key=lambda row: (-depth[row.new.id], -row.n))

    def _said(self, text: str) -> list[Holding]:
        text, json = _lower(text.encode()).decode(), _lower(dumps(text))
        found: list[Holding] = []

        def add(kind: HoldingKind, id: str) -> None:
            found.append(Holding(kind, id))

        for id, row in self._table("deliveries").items():
            if row.delivery.execution_id is None and (json in _lower(row.payload) or _same(row.delivery.key, text)):
                add("delivery", id)
        for id, row in self._table("sent_events").items():
            if _same(row.event.key, text) or json in _lower(event_answer(row.event)):
                add("event", id)
        for place, entry in self._table("state").items():
            if text.encode() in _lower(loads(place)[1].encode()):
                add("state", "/".join(loads(place)))
            elif json in _lower(dumps(entry.value)):
                add("mention", "state " + "/".join(loads(place)))
        for name in ("idempotency", "fires"):
            for place in self._table(name):
                if text.encode() in _lower(loads(place)[1].encode()):
                    add("key", "/".join(loads(place)))
        for id, versions in self._table("versions").items():
            for version, (_, document, _) in versions.kept.items():
                if json in _lower(document):
                    add("mention", f"workflow {id} version {version}")
        return found

    @writes
    async def erase(self, holdings: Sequence[Holding]) -> int:
        rows, removed = self._executions.rows, 0
        ended = {
            one.id
            for one in holdings
            if one.kind == "execution" and one.id in rows and rows[one.id].status in TERMINAL_STATUSES
        }
        self._executions.forget(ended)
        removed += len(ended)
        tables: dict[HoldingKind, tuple[str, ...]] = {
            "delivery": ("deliveries",),
            "event": ("sent_events",),
            "state": ("state",),
            "key": ("idempotency", "fires"),
        }
        for one in holdings:
            if one.kind == "file":
                removed += self._executions.files.let_expire(one.id)
            for name in tables.get(one.kind, ()):
                place = one.id
                if one.kind in ("state", "key"):
                    place = next((at for at in self._table(name) if "/".join(loads(at)) == one.id), "")
                removed += self._table(name).pop(place, None) is not None
        return removed

    async def purge(self, texts: Sequence[str], *, timeout: float = 30.0) -> list[str]:
        return []


def _lower(text: bytes) -> bytes:
    return text.lower()  # of bytes: ASCII letters only, as SQL does it


def _same(key: str | None, text: str) -> bool:
    return key is not None and _lower(key.encode()) == text.encode()
