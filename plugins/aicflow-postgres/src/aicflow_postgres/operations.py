"""A `create` or an `append` that waits for its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aicflow.ports import (
    TERMINAL_STATUSES,
    Appended,
    Created,
    EventBatch,
    ItemResult,
    NewExecution,
    Projection,
    Subscription,
    pending_audit,
)


class Create:
    """A `create` that waits for its commit."""

    __slots__ = ("at", "audit", "body", "error", "future", "lease", "new", "result", "worker", "written")

    def __init__(self, new: NewExecution, worker: str | None, lease: float, at: float | None) -> None:
        self.new, self.worker, self.lease, self.at = new, worker, lease, at
        self.body = b"\n".join(new.events.events)
        pending = pending_audit.get()
        self.audit = pending if pending is not None and not pending.written else None
        self.future: asyncio.Future[Created] = asyncio.get_running_loop().create_future()
        self.result: Created | None = None
        self.error: Exception | None = None
        self.written = False

    @property
    def execution_id(self) -> str:
        return self.new.id


class Append:
    """An `append` that waits for its commit."""

    __slots__ = (
        "batch", "body", "consumed", "epoch", "error", "execution_id", "files", "future", "items", "outputs",
        "projection", "result", "subscriptions", "written",
    )  # fmt: skip

    def __init__(
        self,
        execution_id: str,
        epoch: int,
        batch: EventBatch,
        projection: Projection | None,
        outputs: Mapping[str, bytes] | None,
        consumed: Sequence[tuple[str, int]],
        items: Sequence[ItemResult],
        subscriptions: Sequence[Subscription],
        files: Collection[str],
    ) -> None:
        self.execution_id, self.epoch, self.batch = execution_id, epoch, batch
        self.body = b"\n".join(batch.events) if batch.events else None
        self.projection, self.outputs, self.consumed = projection, outputs, consumed
        self.items, self.subscriptions, self.files = items, subscriptions, files
        self.future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.result: Appended | None = None
        self.error: Exception | None = None
        self.written = False

    @property
    def ends(self) -> bool:
        """Whether it ends the execution."""
        return self.projection is not None and self.projection.status in TERMINAL_STATUSES


class LimitsUnknown(Exception):
    """An execution that has limits ends, and the line of its workflow was not locked first."""
