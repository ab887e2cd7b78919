"""The `process` backend: each call in a sealed process, each execution in one of its own."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .child import Child
from .frames import encode_request
from .outcomes import Outcome, SandboxFailure, SandboxUnavailable
from .places import Places, Turn
from .port import DEFAULT, Call, Environment, Layers, Limits, OnLogs
from .zygote import Pool, ZygoteOptions

LAYERS: Final = ("seccomp", "no_new_privs", "rlimits", "landlock", "uid")
EVICT_AFTER: Final = 0.1
"""Seconds that a child is idle before its place may go to another execution."""
CPU_LIVES: Final = 60
"""How many times its CPU limit a child may use in its life before a new one takes over."""

type Key = tuple[str, str]


@dataclass(slots=True)
class Scope:
    """The children of one execution; more than one only while its nodes run at the same time."""

    key: Key
    idle: list[Child] = field(default_factory=list)
    busy: int = 0


class ProcessSandbox:
    """Sealed children from a pool.

    `ceiling`: the operator's limits, which no call exceeds. `warm`: spares kept for each environment.
    `max_children`: processes at once, spares aside; further calls wait for their turn. `idle_timeout`: seconds after
    which a scope that nobody released is let go. `required`: layers without which nothing runs, beside those that are
    always required: all but Landlock.
    `guards=False` takes the Python-level guards off, to show what the operating system holds by itself.
    """

    def __init__(
        self,
        *,
        ceiling: Limits | None = None,
        environments: Mapping[str, Environment] | None = None,
        warm: int = 2,
        max_children: int = 32,
        idle_timeout: float = 30.0,
        required: Iterable[str] = (),
        guards: bool = True,
    ) -> None:
        self.ceiling = ceiling or Limits()
        self._environments = {"default": DEFAULT, **(environments or {})}
        self._warm = warm
        self._places = Places(max_children, self._evict)
        self._idle_timeout = idle_timeout
        self._required = default_required() | frozenset(required)
        self._guards = guards
        self._pools: dict[str, Pool] = {}
        self._scopes: dict[Key, Scope] = {}
        self._idle: OrderedDict[Child, tuple[Scope, float]] = OrderedDict()
        """Children between two calls and since when, the longest first."""
        self._sweep: asyncio.TimerHandle | None = None
        self._evicting: asyncio.TimerHandle | None = None
        self._reason: str | None = "not started"
        self._cpu_life = math.ceil(self.ceiling.cpu_seconds * CPU_LIVES)

    async def start(self) -> None:
        """Start a zygote for each environment and fill the pools. Raises SandboxUnavailable."""
        problem = platform_problem()
        if problem:
            self._reason = problem
            raise SandboxUnavailable(problem)
        for name, environment in self._environments.items():
            options = ZygoteOptions(
                memory_mb=self.ceiling.memory_mb,
                cpu_seconds=self._cpu_life,
                modules=environment.packages,
                allowed=environment.allowed,
                paths=environment.paths,
                guards=self._guards,
            )
            self._pools[name] = Pool(
                environment, options, warm=self._warm, required=self._required, on_dead=self._on_dead
            )
        try:
            for pool in self._pools.values():
                await pool.start()
        except BaseException as error:
            await self.close()
            self._reason = str(error) or type(error).__name__
            raise
        self._reason = None

    async def call(self, call: Call, scope: str | None = None, on_logs: OnLogs | None = None) -> Outcome:
        """Run the code; see `Sandbox.call`."""
        pool = self._pools.get(call.environment)
        if pool is None:
            known = ", ".join(sorted(self._environments))
            raise SandboxUnavailable(
                f"There is no sandbox environment {call.environment!r}; there are: {known}."
                if self._reason is None
                else f"The sandbox does not run: {self._reason}."
            )
        limits = call.limits.within(self.ceiling)
        try:
            request = encode_request(call, limits)
        except SandboxFailure as failure:
            return Outcome(failure=failure)
        home = None
        if scope is not None:
            key = (call.environment, scope)
            home = self._scopes.get(key) or self._scopes.setdefault(key, Scope(key))
        child = await self._take(pool, home, limits, call.turn)
        try:
            return await child.run(request, call, limits, on_logs)
        except BaseException:
            child.kill()
            raise
        finally:
            self._give_back(child, home)

    async def release(self, scope: str) -> None:
        """End the children of a scope; those at work end with their call."""
        for environment in self._environments:
            self._drop((environment, scope))

    async def close(self) -> None:
        """End everything."""
        self._reason = "closed"
        if self._sweep:
            self._sweep.cancel()
            self._sweep = None
        for key in list(self._scopes):
            self._drop(key)
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()
        if self._evicting:
            self._evicting.cancel()
        self._places.close(SandboxUnavailable("The sandbox is closed."))

    def layers(self) -> Layers:
        """Which layers the last sealed child took."""
        active = {name: detail for pool in self._pools.values() for name, detail in pool.layers.items()}
        missing = {
            name: "required" if name in self._required else "not offered by this kernel"
            for name in LAYERS
            if name not in active and (name != "uid" or os.geteuid() == 0)
        }
        ready = self._reason is None and all(pool.alive for pool in self._pools.values())
        reason = self._reason or (None if ready else "a zygote has ended; the next call starts it again")
        return Layers("process", ready, active, missing, reason, "a boundary kept by the operating system")

    async def _take(self, pool: Pool, scope: Scope | None, limits: Limits, turn: Turn) -> Child:
        if scope is not None:
            scope.busy += 1
            while scope.idle:
                child = scope.idle[-1]
                if child.quiet(self._cpu_life - limits.cpu_seconds - 2):
                    self._leaves(child)
                    return child
                child.kill()
        try:
            await self._places.enter(turn)
            try:
                child = await pool.take()
            except BaseException:
                self._places.leave(turn)
                raise
        except BaseException:
            if scope is not None:
                scope.busy -= 1
                self._tidy(scope)
            raise
        child.turn = turn
        if child.dead:  # it ended between being taken and being counted
            self._on_dead(child)
        return child

    def _give_back(self, child: Child, scope: Scope | None) -> None:
        if scope is None:
            child.kill()
            return
        scope.busy -= 1
        if self._scopes.get(scope.key) is not scope:  # it was released meanwhile
            child.kill()
        elif child.dead:
            self._tidy(scope)
        else:
            scope.idle.append(child)
            self._idle[child] = scope, asyncio.get_running_loop().time()
            self._sweep_later()

    def _leaves(self, child: Child) -> Scope | None:
        """A child is idle no longer; whose it is, if it was."""
        scope, _ = self._idle.pop(child, (None, 0.0))
        if scope is not None:
            scope.idle.remove(child)
        return scope

    def _tidy(self, scope: Scope) -> None:
        """Forget a scope without children."""
        if not scope.busy and not scope.idle and self._scopes.get(scope.key) is scope:
            del self._scopes[scope.key]

    def _evict(self) -> bool:
        """End the child that has been idle longest, if it has been for a while. One whose execution is just between two
        nodes is left: making a new one for nearly every call would cost far more than waiting."""
        for child, (_, since) in self._idle.items():
            loop = asyncio.get_running_loop()
            left = since + EVICT_AFTER - loop.time()
            if left > 0:
                if self._evicting is None:
                    self._evicting = loop.call_later(left, self._evict_now)
                return False
            child.kill()
            return True
        return False

    def _evict_now(self) -> None:
        self._evicting = None
        self._places.give()

    def _on_dead(self, child: Child) -> None:
        turn, child.turn = child.turn, None
        for pool in self._pools.values():
            pool.forget(child)
        scope = self._leaves(child)
        if scope is not None:
            self._tidy(scope)
        if turn is not None:
            self._places.leave(turn)

    def _drop(self, key: Key) -> None:
        scope = self._scopes.pop(key, None)
        for child in tuple(scope.idle) if scope else ():
            child.kill()

    def _sweep_later(self) -> None:
        if self._sweep is None and self._idle:
            self._sweep = asyncio.get_running_loop().call_later(self._idle_timeout / 2, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep = None
        until = asyncio.get_running_loop().time() - self._idle_timeout
        for child in [child for child, (_, since) in self._idle.items() if since <= until]:
            child.kill()
        self._sweep_later()


def default_required() -> frozenset[str]:
    """Every layer but Landlock, which older kernels lack; the user only matters where there are rights to lose."""
    layers = {"seccomp", "no_new_privs", "rlimits"}
    return frozenset(layers | {"uid"} if hasattr(os, "geteuid") and os.geteuid() == 0 else layers)


def platform_problem() -> str | None:
    """Why the backend cannot work here at all, or None."""
    if sys.platform != "linux":
        return f"the process backend needs Linux, this is {sys.platform}"
    from .box import arch

    if arch.native() is None:
        return "there is no system call table for this processor (x86-64 and arm64 are known)"
    probes: dict[str, Callable[[], int]] = {
        "memfd_create": lambda: os.memfd_create("aicflow-probe"),
        "pidfd_open": lambda: os.pidfd_open(os.getpid()),
    }
    for name, probe in probes.items():
        try:
            os.close(probe())
        except (AttributeError, OSError) as error:
            return (
                f"{name} is missing ({error}): the process backend needs Linux 5.3 or newer, and a container profile "
                "that allows this call"
            )
    return None
