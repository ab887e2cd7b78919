"""The port every backend fits: what is asked of a sandbox, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .limits import Limits
from .outcomes import LogLine, Outcome
from .places import Turn

__all__ = ["Call", "Layers", "OnLogs", "Sandbox"]

type OnLogs = Callable[[tuple[LogLine, ...]], None]


@dataclass(frozen=True, slots=True)
class Call:
    """One piece of code to run over JSON `inputs`. `environment` names a set of allowed modules; `turn` is the workflow
    and the execution that a call counts for when calls wait for a process."""

    code: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    environment: str = "default"
    turn: Turn = ("", "")


@dataclass(frozen=True, slots=True)
class Layers:
    """Which protections stand. `active` and `missing` map a layer to a word of detail; `ready` says whether calls
    are accepted, `reason` why not."""

    backend: str
    ready: bool
    active: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    assurance: str = ""


class Sandbox(Protocol):
    """Runs code somewhere it can do no harm, as far as `layers` says."""

    async def start(self) -> None:
        """Make ready. Raises SandboxUnavailable when what is required is not to be had."""
        ...

    async def call(self, call: Call, scope: str | None = None, on_logs: OnLogs | None = None) -> Outcome:
        """Run the code. With a scope, calls of the same scope may share a process; without one it gets its own.

        `on_logs` is given log lines as they come (they are in the outcome too). Cancelling kills the process.
        Failures are in the outcome; only SandboxUnavailable is raised.
        """
        ...

    async def release(self, scope: str) -> None:
        """Let go of the processes of a scope."""
        ...

    async def close(self) -> None:
        """End everything."""
        ...

    def layers(self) -> Layers:
        """Which protections stand now."""
        ...
