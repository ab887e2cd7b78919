"""The port every backend fits: what is asked of a sandbox, within which limits, and what it says of itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .box.preload import MODULES
from .outcomes import LogLine, Outcome
from .places import Turn

type OnLogs = Callable[[tuple[LogLine, ...]], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one call.

    `timeout`: seconds of wall time. `cpu_seconds`: seconds of processor time. `memory_mb`: MiB of address space
    above what the sandbox itself needs. `stdout_bytes`: printed and logged. `result_bytes`, `input_bytes`: as JSON.
    `file_bytes`: of all files that it makes.
    """

    timeout: float = 5.0
    cpu_seconds: float = 1.0
    memory_mb: int = 128
    stdout_bytes: int = 64 * 1024
    result_bytes: int = 16 << 20
    input_bytes: int = 16 << 20
    file_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a number above 0, not {value!r}")

    def within(self, ceiling: Limits) -> Limits:
        """The lower of each."""
        if self is ceiling or self == ceiling:
            return ceiling
        return Limits(**{name: min(getattr(self, name), getattr(ceiling, name)) for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class Environment:
    """`packages` are modules outside the standard set to load and allow, such as `numpy` or `numpy.linalg`.

    Each environment has a zygote of its own. What its packages do when imported, they do unsealed and once; what
    they do when called, they do sealed. Their native code widens what an attacker can reach inside a child.
    """

    packages: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """Every module that code may import; `package.*` for all of a package that was loaded."""
        # Packages import parts of themselves, sometimes in the name of their caller.
        whole = dict.fromkeys(f"{name.partition('.')[0]}.*" for name in self.packages)
        return (*MODULES, *self.packages, *whole)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the zygote finds the packages: where this process finds its own."""
        return tuple(path for path in sys.path if path) if self.packages else ()


DEFAULT = Environment()


class CallFiles(Protocol):
    """The files of one call: those among its inputs, and those that it makes. What is refused raises OSError, which the
    code meets; anything else that is raised ends the call."""

    async def read(self, blob: str, start: int, size: int) -> bytes:
        """A part of a file among the inputs."""
        ...

    async def create(self, name: str, type: str | None) -> int:
        """Begin a file; its number."""
        ...

    async def write(self, number: int, data: bytes) -> None:
        """Add to it. Raises LimitExceeded."""
        ...

    async def finish(self, number: int) -> dict[str, Any]:
        """Keep it; its JSON form."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One piece of code to run over JSON `inputs`. `environment` names a set of allowed modules; `turn` is the workflow
    and the execution that a call counts for when calls wait for a process. `files` serves those among the inputs, and
    takes new ones; None for neither."""

    code: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    environment: str = "default"
    turn: Turn = ("", "")
    files: CallFiles | None = None


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
