"""What all executions of one worker share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aicflow.engine.hub import Hub
from aicflow.engine.nodes.pool import NodePool
from aicflow.engine.options import EngineOptions
from aicflow.engine.sealing import Seal
from aicflow.engine.secrets import Secrets
from aicflow.kernel.clock import Clock
from aicflow.kernel.execution import Execution
from aicflow.kernel.node import StartChild
from aicflow.kernel.ports.engine import Engine
from aicflow.kernel.ports.store import Store
from aicflow.kernel.registry import Registry

__all__ = ["Children", "Environment"]


class Children(Protocol):
    """Starting and following other executions; the facade does it."""

    async def start_child(self, parent: Execution, node_id: str, number: int, call: StartChild) -> str:
        """Start a child once for (parent, node, number); returns its id, the same one after a recovery. Raises
        NodeError."""
        ...

    async def child_result(self, execution_id: str) -> dict[str, Any] | None:
        """The child's status, output and error once it ended, else None."""
        ...

    async def cancel_children(self, parent_id: str, node_id: str | None = None) -> None:
        """Cancel what an execution (or only this step of it) started and waits for."""
        ...

    async def start_on_failure(self, execution: Execution, workflow_id: str, report: dict[str, Any]) -> None:
        """Start the failure workflow once for the execution."""
        ...

    async def ended(self, execution: Execution) -> None:
        """The execution's terminal event is committed."""
        ...


@dataclass(slots=True)
class Environment:
    """Shared by the runs of one worker."""

    store: Store
    registry: Registry
    hub: Hub
    nodes: NodePool
    secrets: Secrets
    clock: Clock
    options: EngineOptions
    engine: Callable[[str], Engine]
    children: Children
    worker: str
    wake: Callable[[], None]
    seal: Seal
    chance: random.Random = field(default_factory=random.Random)
