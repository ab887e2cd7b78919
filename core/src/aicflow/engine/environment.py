"""What all executions of one process share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aicflow.engine.files import Files
from aicflow.engine.hub import Hub
from aicflow.engine.nodes.pool import NodePool
from aicflow.engine.options import EngineOptions
from aicflow.engine.sealing import Seal, Vault
from aicflow.engine.secrets import Secrets
from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.engine import Engine
from aicflow.kernel.ports.signals import Signal
from aicflow.kernel.ports.store import Store
from aicflow.kernel.registry import Registry


@dataclass(slots=True)
class Environment:
    """The parts that running executions use. `engine` finds an engine by name and raises NotFound; `wake` says that
    something may be claimable now."""

    store: Store
    registry: Registry
    hub: Hub
    nodes: NodePool
    secrets: Secrets
    clock: Clock
    options: EngineOptions
    engine: Callable[[str], Engine]
    worker: str
    wake: Callable[[], None]
    seal: Seal
    vault: Vault
    files: Files | None = None
    announces: Callable[[str], bool] = lambda workflow_id: False
    """Whether the ends of this workflow's executions are to be announced."""
    announced: Callable[[], None] = lambda: None
    """Called when one was."""
    chance: random.Random = field(default_factory=random.Random)

    def hint(self, kind: str, execution_id: str = "") -> None:
        """Tell the other hosts of the store, if there may be any."""
        if not self.store.exclusive:
            self.store.signals.hint(Signal(kind, execution_id))
