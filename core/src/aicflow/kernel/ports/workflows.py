"""The ports of workflows: their versions, what their triggers keep, and the state they keep between executions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from aicflow.kernel.context import StateEntry
from aicflow.kernel.ports.executions import Idempotency, Labels, Page, WorkflowLimit
from aicflow.kernel.serialization import Instant, Record
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject


@dataclass(frozen=True, slots=True)
class WorkflowRecord(Record):
    """A workflow with its current version's document. `revision` counts every change and makes the ETag."""

    may_be_absent: ClassVar = frozenset({"document"})

    id: str
    name: str
    description: str | None
    version: int
    revision: int
    enabled: bool
    created_at: Instant
    updated_at: Instant
    document: dict[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkflowVersion(Record):
    """One immutable version; the list leaves the document out. `created_by` is the actor of `pending_audit`, if any."""

    may_be_absent: ClassVar = frozenset({"document"})

    workflow_id: str
    version: int
    created_at: Instant
    document: dict[str, Any] = field(default_factory=dict)
    created_by: str | None = None


class WorkflowStore(Protocol):
    """Workflows. Each save whose document differs from the current one makes version + 1."""

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Inside, no other host that has the store open is inside. Raises StoreUnavailable."""
        ...

    async def create(
        self,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
    ) -> WorkflowRecord:
        """Raises KeyUsed (the result is the workflow's id); Conflict when the id exists."""
        ...

    async def update(
        self,
        workflow_id: str,
        *,
        now: float,
        document: dict[str, Any] | None = None,
        enabled: bool | None = None,
        expected_revision: int | None = None,
    ) -> WorkflowRecord:
        """Change the document, the enabled flag or both. An equal document changes nothing; the newest draft becomes
        the current version. Raises NotFound; Conflict (`revision`) when `expected_revision` is not the current one."""
        ...

    async def delete(self, workflow_id: str, *, expected_revision: int | None = None) -> None:
        """Remove it, its versions, trigger state and deliveries; its executions stay. Raises NotFound, Conflict."""
        ...

    async def get(self, workflow_id: str) -> WorkflowRecord:
        """Raises NotFound."""
        ...

    async def version(self, workflow_id: str, version: int) -> WorkflowVersion:
        """Raises NotFound. Versions of a deleted workflow that executions still refer to can be read."""
        ...

    async def add_draft(
        self, workflow_id: str, document: dict[str, Any], *, now: float, idempotency: Idempotency | None = None
    ) -> WorkflowVersion:
        """A new version that does not become the current one. Raises KeyUsed (the result is its number), NotFound."""
        ...

    async def versions(self, workflow_id: str, *, limit: int, cursor: str | None = None) -> Page[WorkflowVersion]:
        """Newest first, without documents. Raises NotFound."""
        ...

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
        """Newest first, without documents. `name`: a part of it, in any case; `labels`: all of them, None any value."""
        ...

    async def is_within(
        self, within: WorkflowLimit, *, workflow_id: str | None = None, execution_id: str | None = None
    ) -> bool:
        """Whether a workflow, or that of an execution, is one of these; it takes as long when there is none."""
        ...

    async def active(self) -> Sequence[WorkflowRecord]:
        """Every enabled workflow with its document."""
        ...


class TriggerStore(Protocol):
    """What triggers keep, by ids of bindings: a state, a pause, and the deliveries that arrived for them."""

    async def load_state(self, binding_id: str) -> JsonObject: ...

    async def save_state(self, binding_id: str, state: JsonObject) -> None: ...

    async def paused(self) -> frozenset[str]: ...

    async def set_paused(self, binding_id: str, paused: bool) -> None: ...

    async def deliveries(
        self, binding_id: str, *, limit: int, cursor: str | None = None, started: bool | None = None
    ) -> Page[Delivery]:
        """Newest first, without payloads; only those that have started an execution, or have not (`started`)."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        ...

    async def keep_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery that started nothing."""
        ...


class StateStore(Protocol):
    """Values that workflows keep between executions. What has expired is not there."""

    async def get(self, workflow_id: str, key: str) -> StateEntry | None: ...

    async def put(
        self,
        workflow_id: str,
        key: str,
        value: Any,
        *,
        lifetime: float | None = None,
        version: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> StateEntry:
        """Keep a value, for `lifetime` seconds when that is given. With `version`, only if the entry has it (0: only if
        there is none). Raises Conflict (`state-changed`); KeyUsed, whose result is the version that was written."""
        ...

    async def delete(self, workflow_id: str, key: str, *, version: int | None = None) -> bool:
        """Whether there was one. Raises Conflict (`state-changed`)."""
        ...

    async def list(
        self, workflow_id: str, *, prefix: str = "", limit: int, cursor: str | None = None
    ) -> Page[StateEntry]:
        """By key. Raises ValueError for a cursor that it did not make."""
        ...
