"""Seals a freshly forked child: every layer the kernel offers, in the order in which they may be taken, then proof.

The seal is complete before the first byte of a request is read.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from . import arch, bpf
from .kernel import Kernel

UNPRIVILEGED: Final = 65534
MIB: Final = 1 << 20


class Leak(Exception):
    """A sealed child could still do something that the seal forbids."""


@dataclass(frozen=True, slots=True)
class SealLimits:
    """The operator's ceilings, enforced as hard limits: memory above the child's own in MiB, CPU seconds of a life."""

    memory_mb: int
    cpu_seconds: int


class Seal:
    """Prepared once in the zygote, applied in every child.

    `base`: bytes of address space in use before. `parent`: who must still be there; this process if None.
    """

    def __init__(self, limits: SealLimits, parent: int | None = None) -> None:
        self.limits = limits
        self.base = own_address_space()
        machine = arch.native()
        self._kernel = Kernel(machine) if machine else None
        self._ruleset = -1
        self._abi = 0
        self._parent = parent or os.getpid()
        if self._kernel and machine:
            self._kernel.prepare_filter(bpf.build(machine))
            self._abi = self._kernel.landlock_abi()
            if self._abi:
                self._ruleset = self._kernel.landlock_ruleset(self._abi)

    @property
    def keep(self) -> tuple[int, ...]:
        """Descriptors that a child must not close before it is sealed."""
        return (self._ruleset,) if self._ruleset >= 0 else ()

    def apply(self) -> dict[str, str]:
        """Take every layer on offer and say which were taken, with a word of detail each."""
        layers: dict[str, str] = {}
        if os.geteuid() == 0:
            drop_user(layers)
        self._limit(layers)
        if self._kernel:
            self._kernel.not_dumpable()
            self._kernel.die_with_parent(signal.SIGKILL)
            if os.getppid() != self._parent:
                os._exit(0)
            self._kernel.no_new_privileges()
            layers["no_new_privs"] = "on"
            if self._ruleset >= 0:
                self._kernel.landlock_restrict(self._ruleset)
                os.close(self._ruleset)
                layers["landlock"] = f"ABI {self._abi}, no rights"
            try:
                self._kernel.install_filter()
            except OSError:
                return layers
            layers["seccomp"] = "allow-list"
            prove_sealed()
        return layers

    def _limit(self, layers: dict[str, str]) -> None:
        for name, value in (
            (resource.RLIMIT_AS, self.base + self.limits.memory_mb * MIB),
            (resource.RLIMIT_CPU, self.limits.cpu_seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, 0),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_MSGQUEUE, 0),
        ):
            _, hard = resource.getrlimit(name)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(name, (value, value))
        layers["rlimits"] = "memory, CPU, files, processes, core"


def drop_user(layers: dict[str, str]) -> None:
    """From root to nobody, groups and all. A refusal (an unmapped user in a namespace) leaves the layer out."""
    try:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
    except OSError:
        return
    if os.getresuid() == (UNPRIVILEGED,) * 3:
        layers["uid"] = f"dropped to {UNPRIVILEGED}"


def own_address_space() -> int:
    """Bytes of address space this process uses now."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def prefer_as_victim() -> None:
    """When the machine runs out of memory, the kernel should take this process and its children first."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # no /proc, or a lower bound set by someone with more rights


def prove_sealed() -> None:
    """Try what must be impossible. Raises Leak when something works: then no request may be read."""
    attempts: dict[str, Callable[[], object]] = {
        "open a file": lambda: os.open("/", os.O_RDONLY),
        "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "signal a process": lambda: os.kill(os.getppid(), 0),
        "run a program": lambda: os.execv("/proc/self/exe", ["x"]),  # noqa: S606 - it must fail
    }
    for what, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        except OSError as error:
            raise Leak(f"to {what} failed with {error.strerror!r}, not with a refusal by the filter") from None
        raise Leak(f"a sealed child could {what}")
    try:
        child = os.fork()
    except PermissionError:
        return
    if child == 0:
        os._exit(0)
    raise Leak("a sealed child could fork")
