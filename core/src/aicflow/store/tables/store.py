"""The store whose tables are mappings."""

from __future__ import annotations

from abc import ABC, abstractmethod

from aicflow.kernel.errors import StoreUnavailable
from aicflow.store import instants
from aicflow.store.signals import LocalSignals
from aicflow.store.tables.audit import TableAudit
from aicflow.store.tables.executions import TableExecutions
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.maintenance import TableMaintenance
from aicflow.store.tables.part import Table
from aicflow.store.tables.sent import TableSent
from aicflow.store.tables.small import TableKeys, TableNodeSettings, TableSecrets, TableState, TableTriggers
from aicflow.store.tables.statistics import TableStatistics
from aicflow.store.tables.subjects import TableSubjects
from aicflow.store.tables.workflows import TableWorkflows
from aicflow.workers import OneHost


class TableStore(ABC):
    """Every rule of the port over tables that a subclass brings: `table` opens one by its name, `commit` makes durable
    what was written to them. Rows can be pickled. For one host and one event loop at a time, and for as many executions
    as can be looked through: lists and claims read every row.

    `open` and `close` of a subclass call these after its own opening and before its own closing."""

    exclusive = True
    _open = False

    @abstractmethod
    def table(self, name: str) -> Table:
        """The table of this name, empty when there is none yet. Called while the store opens."""

    @abstractmethod
    async def commit(self) -> None:
        """Make everything that was written durable. Awaited before a write returns; raises StoreUnavailable."""

    async def open(self) -> None:
        """Open the tables."""
        self.signals = LocalSignals()
        self.workers = OneHost(instants.now)
        self.audit = TableAudit(self.commit, self.table("audit"))
        commit = self.audit.commit_audited
        self.idempotency = TableIdempotency(commit, self.table("idempotency"))
        self.triggers = TableTriggers(
            commit, self.table("trigger_states"), self.table("paused_triggers"), self.table("deliveries")
        )
        self.executions = TableExecutions(
            commit,
            self.table("executions"),
            self.table("fires"),
            self.triggers,
            self.idempotency,
            self.table("files"),
        )
        self.files = self.executions.files
        self.state = TableState(commit, self.table("state"), self.idempotency)
        self.workflows = TableWorkflows(
            commit,
            self.table("workflows"),
            self.table("versions"),
            self.triggers,
            self.state,
            self.executions,
            self.idempotency,
        )
        self.executions.labels_of = self.workflows.labels_of
        self.sent = TableSent(commit, self.table("sent_events"), self.executions, self.idempotency)
        self.keys = TableKeys(commit, self.table("api_keys"), self.table("tickets"), self.idempotency)
        self.node_settings = TableNodeSettings(commit, self.table("node_settings"))
        self.subjects = TableSubjects(commit, self.executions, self.table)
        self.maintenance = TableMaintenance(commit, self.executions, self.workflows, self.triggers, self.idempotency)
        self.statistics = TableStatistics(self.executions)
        self.secrets = TableSecrets(commit, self.table("secrets"))
        self._open = True

    async def close(self) -> None:
        """Let go of the tables."""
        self._open = False

    async def now(self) -> float:
        """This machine's clock."""
        return instants.now()

    async def check(self) -> None:
        """Raises StoreUnavailable when it is not open or cannot commit."""
        if not self._open:
            raise StoreUnavailable("The store is not open.")
        await self.commit()
