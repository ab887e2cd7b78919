"""Every hook, on one page.

Hooks are synchronous, called only while starting, and return things; whatever must be awaited is a method of the thing
returned. Hooks are found through the entry-point group `aicflow`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pluggy

from aicflow.kernel.records import Command, EngineType, KeyWrapper, Mount, Observer, SecretSource, StoreType

if TYPE_CHECKING:  # every plugin imports this page; pydantic comes with the first node type
    from aicflow.kernel.node import NodeType
    from aicflow.kernel.records import Runtime, SecretRuntime
    from aicflow.kernel.trigger import TriggerType

PROJECT: Final = "aicflow"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def aicflow_nodes() -> Sequence[NodeType]:  # type: ignore[empty-body]
    """Node types that this plugin adds."""


@hookspec
def aicflow_triggers() -> Sequence[TriggerType]:  # type: ignore[empty-body]
    """Trigger types that this plugin adds."""


@hookspec
def aicflow_stores() -> Sequence[StoreType]:  # type: ignore[empty-body]
    """Store types by URL scheme."""


@hookspec
def aicflow_engines() -> Sequence[EngineType]:  # type: ignore[empty-body]
    """Engine types by name."""


@hookspec
def aicflow_secrets(runtime: SecretRuntime) -> Sequence[SecretSource]:  # type: ignore[empty-body]
    """Secret sources, asked in order."""


@hookspec
def aicflow_key_wrappers() -> Sequence[KeyWrapper]:  # type: ignore[empty-body]
    """Keys outside of the server that stored secrets may be kept under."""


@hookspec
def aicflow_observers() -> Sequence[Observer]:  # type: ignore[empty-body]
    """Receivers of every appended event."""


@hookspec
def aicflow_routes(runtime: Runtime) -> Sequence[Mount]:  # type: ignore[empty-body]
    """ASGI apps to mount in the host."""


@hookspec
def aicflow_commands() -> Sequence[Command]:  # type: ignore[empty-body]
    """Commands to add to the `aicflow` command line."""
