"""The engine as a plugin: what it adds goes through the same hooks as anyone's."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from aicflow.engine.auto import AutoEngine
from aicflow.engine.builtins import WaitNode, WorkflowCall
from aicflow.engine.native import NativeEngine
from aicflow.engine.secrets import EnvironmentSecrets
from aicflow.kernel.execution import Event
from aicflow.kernel.hookspecs import hookimpl
from aicflow.kernel.node import NodeType
from aicflow.kernel.ports.engine import Engine
from aicflow.kernel.records import EngineType, Observer, SecretSource

__all__ = ["aicflow_engines", "aicflow_nodes", "aicflow_observers", "aicflow_secrets"]

_logger = logging.getLogger("aicflow.executions")


def _langgraph() -> Engine:
    from aicflow.engine.langgraph import LangGraphEngine  # imports langgraph, which takes a while

    return LangGraphEngine()


@hookimpl
def aicflow_engines() -> Sequence[EngineType]:
    """The engines: LangGraph, the plain walk, and the choice between them for each execution."""
    return [
        EngineType("auto", partial(AutoEngine, _langgraph)),
        EngineType("langgraph", _langgraph),
        EngineType("native", NativeEngine),
    ]


@hookimpl
def aicflow_nodes() -> Sequence[NodeType]:
    """The engine's own node types."""
    return [WaitNode, WorkflowCall]


@hookimpl
def aicflow_secrets() -> Sequence[SecretSource]:
    """Secrets from the environment."""
    return [EnvironmentSecrets()]


class LogFailures:
    """Writes a line to the log for each execution that failed."""

    types: Final = frozenset({"execution.failed"})

    def events(self, events: Sequence[Event]) -> None:
        """See the observer port."""
        for event in events:
            error = event.data.get("error", {})
            where = f" at {error['node_id']}" if error.get("node_id") else ""
            _logger.warning("Execution %s failed%s: %s", event.execution_id, where, error.get("message"))


@hookimpl
def aicflow_observers() -> Sequence[Observer]:
    """The log of failures."""
    return [LogFailures()]
