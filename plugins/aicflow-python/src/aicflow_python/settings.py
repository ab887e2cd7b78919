"""What the operator decides: which backend, how much a call may use, which extra packages there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from aicflow import AICFlowError

from aicflow_python.sandbox import LAYERS, Environment, Limits

PREFIX = "AICFLOW_PYTHON_"
BACKENDS = ("process", "restricted", "trusted")
_TIMES = 4
"""JSON takes at least so many times its size in a process: as text, as values, and as text again."""
VARIABLES = {
    "AICFLOW_PYTHON_BACKENDS": "Backends that may be used, in order: `process`, `restricted`; or `trusted` alone",
    "AICFLOW_PYTHON_TIMEOUT": "Most seconds of a call, and what it gets when it asks for nothing",
    "AICFLOW_PYTHON_CPU_SECONDS": "Most processor seconds of a call",
    "AICFLOW_PYTHON_MEMORY_MB": "Most memory of a call, in megabytes",
    "AICFLOW_PYTHON_STDOUT_BYTES": "Most output and log of a call, in bytes",
    "AICFLOW_PYTHON_RESULT_BYTES": "Largest result of a call, in bytes",
    "AICFLOW_PYTHON_INPUT_BYTES": "Largest inputs of a call, in bytes",
    "AICFLOW_PYTHON_FILE_BYTES": "Most bytes of all files that a call makes",
    "AICFLOW_PYTHON_ENVIRONMENTS": "Extra packages by name: `science=numpy,pandas; text=regex`",
    "AICFLOW_PYTHON_REQUIRE": "Layers of the sandbox without which nothing runs, beside all but Landlock: `landlock`",
    "AICFLOW_PYTHON_WARM": "Spare processes for each environment",
    "AICFLOW_PYTHON_MAX_PROCESSES": "Most processes at work or kept for executions",
    "AICFLOW_PYTHON_TOTAL_MEMORY_MB": "Most memory of all processes together; half of the machine's when not set",
    "AICFLOW_PYTHON_IDLE_TIMEOUT": "Seconds until an idle process ends",
}


@dataclass(frozen=True, slots=True)
class PythonSettings:
    """`backends`: tried in order; only those named are ever used. `ceiling`: the most that a call may use, and what
    it gets when it asks for nothing. `environments`: extra packages by the name that workflows use. `require`: layers
    without which the process backend does not run, beside those that it always requires. `warm`, `max_processes`,
    `idle_timeout` (seconds): how many processes are kept; so many only as fit into `total_memory_mb` when each takes
    what it may."""

    backends: tuple[str, ...] = ("process",)
    ceiling: Limits = field(default_factory=Limits)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    require: tuple[str, ...] = ()
    warm: int = 2
    max_processes: int = 32
    idle_timeout: float = 30.0
    total_memory_mb: int = field(default_factory=lambda: machine_memory_mb() // 2)

    def __post_init__(self) -> None:
        if self.total_memory_mb < self.ceiling.memory_mb:
            raise problem(
                "TOTAL_MEMORY_MB",
                f"{self.total_memory_mb} MB are less than the {self.ceiling.memory_mb} MB that one call may use",
                f"Raise it, or lower {PREFIX}MEMORY_MB.",
            )

    @property
    def places(self) -> int:
        """How many processes there may be at once."""
        return min(self.max_processes, self.total_memory_mb // self.ceiling.memory_mb)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read AICFLOW_PYTHON_… variables; what the same ones said is remembered, because every code node of a document
        asks when it is validated. Raises AICFlowError, which names the variable."""
        env = os.environ if environ is None else environ
        return cls._read(tuple(env.get(name, "") for name in VARIABLES))

    @classmethod
    @lru_cache(maxsize=16)
    def _read(cls, values: tuple[str, ...]) -> Self:
        env = dict(zip(VARIABLES, values, strict=True))
        given: dict[str, Any] = {}
        if backends := words(env, "BACKENDS"):
            unknown = [name for name in backends if name not in BACKENDS]
            if unknown:
                raise problem("BACKENDS", f"{unknown[0]!r} is not a backend", f"Backends are {', '.join(BACKENDS)}.")
            if "trusted" in backends and len(backends) > 1:
                raise problem(
                    "BACKENDS", "trusted means no sandbox at all and excludes the others", "Write only: trusted"
                )
            given["backends"] = backends
        given["require"] = words(env, "REQUIRE")
        for name in given["require"]:
            if name not in LAYERS:
                raise problem("REQUIRE", f"{name!r} is not a layer", f"Layers are {', '.join(LAYERS)}.")
        given["ceiling"] = Limits(
            **{
                name: number(env, name.upper(), getattr(Limits(), name))
                for name in ("timeout", "cpu_seconds", "memory_mb", "stdout_bytes", "file_bytes")
            },
            **_sizes(env),
        )
        given["environments"] = environments(env)
        given["warm"] = int(number(env, "WARM", 2))
        given["max_processes"] = int(number(env, "MAX_PROCESSES", 32))
        given["total_memory_mb"] = number(env, "TOTAL_MEMORY_MB", machine_memory_mb() // 2)
        given["idle_timeout"] = number(env, "IDLE_TIMEOUT", 30.0)
        return cls(**given)


def machine_memory_mb() -> int:
    """Memory of the machine, or of the container when it may use less."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        size = 8 << 30
    try:
        size = min(size, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        pass  # no container, or one without a limit
    return size >> 20


def words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A comma-separated variable."""
    return tuple(word.strip() for word in env[PREFIX + name].split(",") if word.strip())


def number[N: (int, float)](env: Mapping[str, str], name: str, default: N) -> N:
    """A number above 0, whole where the default is whole."""
    text = env[PREFIX + name].strip()
    if not text:
        return default
    try:
        value = type(default)(text)
    except ValueError:
        value = type(default)(0)
    if not 0 < value < float("inf"):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise problem(name, f"{text!r} is not {kind} above 0", None)
    return value


def _sizes(env: Mapping[str, str]) -> dict[str, int]:
    """How large inputs and results may be: as the memory allows."""
    memory = number(env, "MEMORY_MB", Limits().memory_mb)
    room = (memory << 20) // _TIMES
    found = {}
    for name in ("input_bytes", "result_bytes"):
        size = found[name] = number(env, name.upper(), min(getattr(Limits(), name), room))
        if size > room:
            raise problem(
                name.upper(),
                f"{size:,} bytes of JSON are more than the {room:,} that {PREFIX}MEMORY_MB={memory} has room for",
                f"Raise {PREFIX}MEMORY_MB, or lower this.",
            )
    return found


def environments(env: Mapping[str, str]) -> dict[str, Environment]:
    """`science=numpy,numpy.linalg; text=regex` by name."""
    found: dict[str, Environment] = {}
    for part in env.get(PREFIX + "ENVIRONMENTS", "").split(";"):
        if not part.strip():
            continue
        name, equals, packages = part.partition("=")
        modules = tuple(word.strip() for word in packages.split(",") if word.strip())
        name = name.strip()
        if not equals or not name.isidentifier() or not modules or name == "default":
            raise problem("ENVIRONMENTS", f"{part.strip()!r} is not name=package,package", "science=numpy,pandas")
        found[name] = Environment(modules)
    return found


def problem(name: str, what: str, hint: str | None) -> AICFlowError:
    """An unusable setting."""
    return AICFlowError(f"{PREFIX}{name}: {what}.", hint=hint)
