"""Workflows and their versions over tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aicflow.kernel.errors import Conflict, NotFound
from aicflow.kernel.ports.executions import Idempotency, Labels, Page, WorkflowLimit
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion
from aicflow.kernel.values import dumps, loads
from aicflow.store.authors import author
from aicflow.store.checks import has_labels, is_within
from aicflow.store.instants import micros
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.pages import page_of
from aicflow.store.tables.part import Part, Table, writes
from aicflow.store.tables.small import TableState, TableTriggers

if TYPE_CHECKING:
    from aicflow.store.tables.executions import TableExecutions


@dataclass(slots=True)
class _Row:
    n: int
    id: str
    version: int
    enabled: bool
    created_at: float
    updated_at: float
    revision: int = 1


@dataclass(slots=True)
class _Versions:
    kept: dict[int, tuple[float, bytes, str | None]] = field(default_factory=dict)

    def add(self, now: float, document: bytes) -> int:
        version = max(self.kept, default=0) + 1
        self.kept[version] = (now, document, author())
        return version


class TableWorkflows(Part):
    """Workflows. Documents are kept encoded, so that nobody can change them from outside."""

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        rows: Table,
        versions: Table,
        triggers: TableTriggers,
        state: TableState,
        executions: TableExecutions,
        idempotency: TableIdempotency,
    ) -> None:
        super().__init__(commit)
        self._idempotency = idempotency
        self._triggers = triggers
        self._state = state
        self._executions = executions
        self._rows = rows
        self._versions = versions
        self._n = max((row.n for row in rows.values()), default=0)

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()  # nobody else has it open

    @writes
    async def create(
        self,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
    ) -> WorkflowRecord:
        self._idempotency.check(idempotency)
        if workflow_id in self._rows:
            raise Conflict(f"Workflow {workflow_id!r} exists already.")
        version = self._add_version(workflow_id, now, dumps(document))
        self._n += 1
        self._rows[workflow_id] = _Row(self._n, workflow_id, version, enabled, now, now)
        self._idempotency.add(idempotency, workflow_id, now)
        return self._record(self._rows[workflow_id])

    @writes
    async def update(
        self,
        workflow_id: str,
        *,
        now: float,
        document: dict[str, Any] | None = None,
        enabled: bool | None = None,
        expected_revision: int | None = None,
    ) -> WorkflowRecord:
        encoded = None if document is None else dumps(document)
        row = self._row(workflow_id)
        _check_revision(row, expected_revision)
        versions = self._versions[workflow_id]
        changed = encoded is not None and loads(encoded) != loads(versions.kept[row.version][1])
        if changed or enabled not in (None, row.enabled):
            if changed and encoded is not None:
                newest = max(versions.kept)
                is_draft = newest > row.version and loads(versions.kept[newest][1]) == loads(encoded)
                row.version = newest if is_draft else self._add_version(workflow_id, now, encoded)
            row.enabled = row.enabled if enabled is None else enabled
            row.revision += 1
            row.updated_at = now
            self._rows[workflow_id] = row
        return self._record(row)

    @writes
    async def delete(self, workflow_id: str, *, expected_revision: int | None = None) -> None:
        _check_revision(self._row(workflow_id), expected_revision)
        del self._rows[workflow_id]
        self._triggers.forget_workflow(workflow_id)
        self._state.forget_workflow(workflow_id)
        self.forget_versions({workflow_id})

    async def get(self, workflow_id: str) -> WorkflowRecord:
        return self._record(self._row(workflow_id))

    async def version(self, workflow_id: str, version: int) -> WorkflowVersion:
        versions = self._versions.get(workflow_id)
        if versions is None or version not in versions.kept:
            raise NotFound("workflow version", f"{workflow_id}@{version}")
        created_at, document, created_by = versions.kept[version]
        return WorkflowVersion(workflow_id, version, created_at, loads(document), created_by)

    @writes
    async def add_draft(
        self, workflow_id: str, document: dict[str, Any], *, now: float, idempotency: Idempotency | None = None
    ) -> WorkflowVersion:
        self._idempotency.check(idempotency)
        self._row(workflow_id)
        encoded = dumps(document)
        version = self._add_version(workflow_id, now, encoded)
        self._idempotency.add(idempotency, str(version), now)
        return WorkflowVersion(workflow_id, version, now, loads(encoded), author())

    async def versions(self, workflow_id: str, *, limit: int, cursor: str | None = None) -> Page[WorkflowVersion]:
        self._row(workflow_id)
        return page_of(
            "versions",
            self._versions[workflow_id].kept.items(),
            lambda kept: (kept[0], 0),
            lambda kept: WorkflowVersion(workflow_id, kept[0], kept[1][0], created_by=kept[1][2]),
            limit=limit,
            cursor=cursor,
        )

    async def is_within(
        self, within: WorkflowLimit, *, workflow_id: str | None = None, execution_id: str | None = None
    ) -> bool:
        row = self._executions.rows.get(execution_id or "")
        found = workflow_id or (row.new.workflow_id if row is not None else "")
        return is_within(found, self.labels_of(found), within)

    async def active(self) -> list[WorkflowRecord]:
        return [self._record(row) for row in self._rows.values() if row.enabled]

    def forget_versions(self, workflow_ids: set[str]) -> None:
        """Remove the versions of those workflows that are deleted and have no executions left."""
        for workflow_id in workflow_ids:
            if workflow_id not in self._rows and not self._executions.any_of(workflow_id):
                self._versions.pop(workflow_id, None)

    def _add_version(self, workflow_id: str, now: float, document: bytes) -> int:
        versions = self._versions.get(workflow_id) or _Versions()
        version = versions.add(now, document)
        self._versions[workflow_id] = versions
        return version

    def labels_of(self, workflow_id: str) -> Mapping[str, str]:
        """None when there is no such workflow."""
        row = self._rows.get(workflow_id)
        return {} if row is None else self._record(row).labels

    def _row(self, workflow_id: str) -> _Row:
        if workflow_id not in self._rows:
            raise NotFound("workflow", workflow_id)
        row: _Row = self._rows[workflow_id]
        return row

    def _record(self, row: _Row, *, document: bool = True) -> WorkflowRecord:
        content = loads(self._versions[row.id].kept[row.version][1])
        return WorkflowRecord(
            row.id,
            str(content.get("name") or row.id),
            content.get("description"),
            row.version,
            row.revision,
            row.enabled,
            row.created_at,
            row.updated_at,
            content if document else {},
            content.get("labels") or {},
        )

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        labels: Labels = (),
        within: WorkflowLimit | None = None,
    ) -> Page[WorkflowRecord]:
        part = "" if name is None else name.casefold()
        fitting = (
            row
            for row in self._rows.values()
            if enabled in (None, row.enabled)
            and part in self._record(row).name.casefold()
            and has_labels(self.labels_of(row.id), labels)
            and is_within(row.id, self.labels_of(row.id), within)
        )
        return page_of(
            "workflows",
            fitting,
            lambda row: (micros(row.created_at), row.n),
            lambda row: self._record(row, document=False),
            limit=limit,
            cursor=cursor,
        )


def _check_revision(row: _Row, expected: int | None) -> None:
    if expected is not None and expected != row.revision:
        raise Conflict(
            f"Workflow {row.id!r} is at revision {row.revision}, not {expected}: it was changed meanwhile.",
            code="revision",
            hint="Read it again, apply your change to what it is now, and save that.",
        )
