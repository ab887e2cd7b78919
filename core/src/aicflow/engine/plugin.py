"""The engine as a plugin: what it adds goes through the same hooks as anyone's."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from aicflow.kernel.hookspecs import hookimpl
from aicflow.kernel.records import EngineType, Observer, SecretSource

if TYPE_CHECKING:
    from aicflow.kernel.execution import Event
    from aicflow.kernel.node import NodeType
    from aicflow.kernel.ports.engine import Engine
    from aicflow.kernel.trigger import TriggerType

_logger = logging.getLogger("aicflow.executions")


def _imported_langgraph() -> Engine:
    from aicflow.engine.langgraph import LangGraphEngine

    return LangGraphEngine()


def _langgraph() -> Engine:
    from aicflow.engine.auto import LaterEngine

    if find_spec("langgraph") is None:
        raise ModuleNotFoundError("LangGraph is not installed", name="langgraph")
    return LaterEngine(_imported_langgraph)


def _auto() -> Engine:
    from aicflow.engine.auto import AutoEngine

    return AutoEngine(_imported_langgraph)


def _native() -> Engine:
    from aicflow.engine.native import NativeEngine

    return NativeEngine()


@hookimpl
def aicflow_engines() -> Sequence[EngineType]:
    """The engines: LangGraph, the plain walk, and the choice between them for each execution."""
    return [EngineType("auto", _auto), EngineType("langgraph", _langgraph), EngineType("native", _native)]


@hookimpl
def aicflow_nodes() -> Sequence[NodeType]:
    """The engine's own node types."""
    from aicflow.engine.builtins import GroupNode, MapNode, RepeatNode, WaitNode, WorkflowCall

    return [WaitNode, WorkflowCall, MapNode, RepeatNode, GroupNode]


@hookimpl
def aicflow_triggers() -> Sequence[TriggerType]:
    """The triggers that events from outside, and ends of executions, fire."""
    from aicflow.engine.events import EventTrigger
    from aicflow.engine.listening import WorkflowTrigger

    return [EventTrigger, WorkflowTrigger]


@hookimpl
def aicflow_secrets() -> Sequence[SecretSource]:
    """Secrets from the environment, and from the files of a folder."""
    from aicflow.engine.secrets import EnvironmentSecrets, FileSecrets

    folder = os.environ.get("AICFLOW_SECRETS_DIR")
    return [EnvironmentSecrets(), *([FileSecrets(folder)] if folder else ())]


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
