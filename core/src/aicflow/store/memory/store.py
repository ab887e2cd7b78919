"""The store in memory, whole."""

from __future__ import annotations

from aicflow.kernel.errors import StoreUnavailable
from aicflow.store.memory.executions import MemoryExecutions
from aicflow.store.memory.idempotency import MemoryIdempotency
from aicflow.store.memory.maintenance import MemoryMaintenance
from aicflow.store.memory.tables import MemoryKeys, MemoryNodeSettings, MemoryTriggers
from aicflow.store.memory.workflows import MemoryWorkflows

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps everything in this process. Used from one event loop; every write is done when its call returns."""

    exclusive = True

    def __init__(self, url: str = "memory://") -> None:
        self.triggers = MemoryTriggers()
        self.idempotency = MemoryIdempotency()
        self.executions = MemoryExecutions(self.triggers, self.idempotency)
        self.workflows = MemoryWorkflows(self.triggers, self.executions, self.idempotency)
        self.executions.labels_of = self.workflows.labels_of
        self.keys = MemoryKeys(self.idempotency)
        self.node_settings = MemoryNodeSettings()
        self.maintenance = MemoryMaintenance(self.executions, self.workflows, self.triggers, self.idempotency)
        self._open = False

    async def open(self) -> None:
        """Nothing to open."""
        self._open = True

    async def close(self) -> None:
        """Nothing to close; what it keeps can be read on."""
        self._open = False

    async def check(self) -> None:
        """Raises StoreUnavailable when it is not open."""
        if not self._open:
            raise StoreUnavailable("The store in memory is not open.")
