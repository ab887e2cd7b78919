"""Time that a test moves, and a runtime that notes what is fired."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aicflow import Binding, Fired, StoreUnavailable
from aicflow_trigger.cron import CronParams, CronTrigger


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@dataclass
class SimulatedTime:
    """A wall clock that can be set, above time that only passes."""

    wall: float
    passed: float = 0.0
    waits: int = 0
    waiting: list[tuple[float, asyncio.Event]] = field(default_factory=list)

    def now(self) -> float:
        return self.wall

    def set(self, wall: float) -> None:
        self.wall = wall

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """What the timer waits with."""
        self.waits += 1
        mine = (self.passed + seconds, event)
        self.waiting.append(mine)
        try:
            await event.wait()
        finally:
            self.waiting.remove(mine)

    async def advance(self, seconds: float) -> None:
        """Let time pass; everything that becomes due on the way happens at its moment."""
        end = self.passed + seconds
        while True:
            await settle()
            due = min((moment for moment, _ in self.waiting), default=end)
            if due > end:
                break
            self._pass(max(due - self.passed, 0.0))
            for moment, event in list(self.waiting):
                if moment <= due:
                    event.set()
            await settle()
            if self.passed >= end:
                break
        self._pass(end - self.passed)
        await settle()

    def _pass(self, seconds: float) -> None:
        self.passed += seconds
        self.wall += seconds


async def settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


@dataclass
class Recorder:
    """A runtime as the host lends it, in memory; `fires`, `state` and the clock outlive a restart."""

    clock: SimulatedTime
    fires: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    refused: int = 0
    away: bool = False
    duplicates: int = 0
    hold: asyncio.Event | None = None

    async def fire(self, binding: Binding, payload: Any, *, key: str | None = None, **more: Any) -> Fired:
        if self.hold is not None:
            await self.hold.wait()
        await self._reach()
        assert key is not None
        if (binding.id, key) in self.keys:
            self.duplicates += 1
            return Fired(self.keys[binding.id, key], duplicate=True)
        self.keys[binding.id, key] = f"ex_{len(self.keys)}"
        self.fires.append({"binding": binding, "payload": payload, "key": key, "at": self.clock.now(), **more})
        return Fired(self.keys[binding.id, key])

    async def load_state(self, binding: Binding) -> Any:
        await self._reach()
        return dict(self.state.get(binding.id, {}))

    async def save_state(self, binding: Binding, state: Any) -> None:
        await self._reach()
        self.state[binding.id] = state

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.refused += 1
            raise StoreUnavailable("The disk is full.")

    def times(self, form: str = "%H:%M") -> list[str]:
        """When the fires were due."""
        return [datetime.fromisoformat(fire["key"]).strftime(form) for fire in self.fires]


@dataclass
class Lab:
    """A trigger type at work in simulated time."""

    clock: SimulatedTime
    runtime: Recorder
    trigger: CronTrigger

    async def put(
        self, schedule: str, *, id: str = "wf:t", version: int = 1, paused: bool = False, **params: Any
    ) -> None:
        workflow_id, trigger_id = id.split(":")
        binding = Binding(id, workflow_id, trigger_id, "trigger.cron", version, paused)
        await self.trigger.activate(binding, CronParams(schedule=schedule, **params))

    async def drop(self, id: str = "wf:t") -> None:
        workflow_id, trigger_id = id.split(":")
        await self.trigger.deactivate(Binding(id, workflow_id, trigger_id, "trigger.cron", 1))

    async def restart(self, *, after: float = 0.0) -> None:
        """Stop, let time pass, start anew; nothing is active then."""
        await self.trigger.stop()
        self.clock.wall += after
        self.clock.passed += after
        self.trigger = CronTrigger(self.clock.wait)
        await self.trigger.start(self.runtime)


class lab:
    """`async with lab("2026-06-01T12:00") as l:`"""

    def __init__(self, start: str, runtime: Recorder | None = None) -> None:
        self._clock = runtime.clock if runtime is not None else SimulatedTime(at(start))
        self._runtime = runtime or Recorder(self._clock)

    async def __aenter__(self) -> Lab:
        trigger = CronTrigger(self._clock.wait)
        await trigger.start(self._runtime)  # type: ignore[arg-type]
        self._lab = Lab(self._clock, self._runtime, trigger)
        return self._lab

    async def __aexit__(self, *_: object) -> None:
        await self._lab.trigger.stop()


@contextmanager
def away(runtime: Recorder) -> Iterator[None]:
    """The store cannot be reached."""
    runtime.away = True
    yield
    runtime.away = False
