"""The store port: one thing that keeps everything."""

from __future__ import annotations

from typing import Protocol

from aicflow.kernel.ports.access import IdempotencyStore, KeyStore, NodeSettingStore, SecretStore
from aicflow.kernel.ports.audit import AuditStore
from aicflow.kernel.ports.executions import ExecutionStore
from aicflow.kernel.ports.files import FileStore
from aicflow.kernel.ports.maintenance import Maintenance
from aicflow.kernel.ports.sent import EventStore
from aicflow.kernel.ports.signals import SignalBus
from aicflow.kernel.ports.subjects import SubjectStore
from aicflow.kernel.ports.workflows import StateStore, TriggerStore, WorkflowStore
from aicflow.workers import WorkerStore


class Store(Protocol):
    """A store. `exclusive` says that one host at a time can have it open: leases of others are dead at its start, and
    nobody else is to be told of anything."""

    exclusive: bool

    @property
    def workflows(self) -> WorkflowStore: ...
    @property
    def executions(self) -> ExecutionStore: ...
    @property
    def triggers(self) -> TriggerStore: ...
    @property
    def sent(self) -> EventStore: ...
    @property
    def keys(self) -> KeyStore: ...
    @property
    def idempotency(self) -> IdempotencyStore: ...
    @property
    def node_settings(self) -> NodeSettingStore: ...
    @property
    def state(self) -> StateStore: ...
    @property
    def files(self) -> FileStore: ...
    @property
    def subjects(self) -> SubjectStore: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def secrets(self) -> SecretStore: ...
    @property
    def maintenance(self) -> Maintenance: ...
    @property
    def workers(self) -> WorkerStore: ...
    @property
    def signals(self) -> SignalBus: ...

    async def open(self) -> None:
        """Open, migrate to this version's schema. Raises StoreUnavailable (in use by another host, newer schema)."""

    async def close(self) -> None: ...

    async def now(self) -> float:
        """Its clock, by which all hosts that share it go: seconds since 1970 UTC. Raises StoreUnavailable."""

    async def check(self) -> None:
        """Whether it can be written to now. Raises StoreUnavailable."""
