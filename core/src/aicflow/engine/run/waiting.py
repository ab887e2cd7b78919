"""Steps that wait inside a running execution, and the moment when all that is left of it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.executions import StoredAnswer

__all__ = ["Sleepers", "Wakeup"]

_SETTLE_TIME = 0.01
_LONGEST_TIMER = 60.0


type Wakeup = StoredAnswer | Literal["due", "parked", "stopped"]
"""What ends a step's sleep: an answer, its time, or that the execution is being parked (the step goes on in a later
turn) or stopped."""


@dataclass(slots=True)
class _Sleeper:
    until: float | None
    seconds: float | None
    future: asyncio.Future[Wakeup]
    timer: asyncio.TimerHandle | None = None


class Sleepers:
    """The waiting steps of one execution. When nothing else runs and the earliest of them is more than `park_after`
    seconds away, all park, so that the execution holds neither slot nor task."""

    def __init__(self, clock: Clock, park_after: float) -> None:
        self._clock = clock
        self._park_after = park_after
        self._sleeping: dict[str, _Sleeper] = {}
        self._parked: dict[str, float | None] = {}
        self._busy = 0
        self._check: asyncio.TimerHandle | None = None
        self._stopped = False
        self._spared: Collection[str] = ()
        self.parking = False
        self.postponed = False

    def begin(self) -> None:
        """A step is busy, until its `end`; sleeping does not count."""
        self._busy += 1

    def end(self) -> None:
        """The step is settled."""
        self._busy -= 1
        if self._busy == 0 and self._sleeping:
            self._check_soon()

    async def sleep(self, step_id: str, until: float | None, seconds: float | None = None) -> Wakeup:
        """Wait until the instant or an answer, whichever comes first. With `seconds` it lasts so long while this
        process holds it, however the wall clock is moved; `until` counts once it is parked."""
        if self._stopped and step_id not in self._spared:
            return "stopped"
        if self.parking:
            self._parked[step_id] = until
            return "parked"
        loop = asyncio.get_running_loop()
        sleeper = self._sleeping[step_id] = _Sleeper(until, seconds, loop.create_future())
        self._arm(step_id, sleeper)
        self._busy -= 1
        if self._busy == 0:
            self._check_soon()
        try:
            return await sleeper.future
        finally:
            self._busy += 1
            self._sleeping.pop(step_id, None)
            if sleeper.timer is not None:
                sleeper.timer.cancel()

    def _arm(self, step_id: str, sleeper: _Sleeper) -> None:
        if sleeper.until is None:
            return
        loop = asyncio.get_running_loop()
        if sleeper.seconds is not None:
            sleeper.timer = loop.call_later(sleeper.seconds, self._resolve, sleeper, "due")
            return
        # looks at the wall clock again and again: it may be moved
        left = sleeper.until - self._clock.now()
        if left <= 0:
            self._resolve(sleeper, "due")
            return
        sleeper.timer = loop.call_later(min(left, _LONGEST_TIMER), self._arm, step_id, sleeper)

    @staticmethod
    def _resolve(sleeper: _Sleeper, result: Wakeup) -> None:
        if not sleeper.future.done():
            sleeper.future.set_result(result)

    def wake(self, step_id: str, answer: StoredAnswer) -> bool:
        """Hand an answer to the step if it sleeps here."""
        sleeper = self._sleeping.get(step_id)
        if sleeper is None or sleeper.future.done():
            return False
        self._resolve(sleeper, answer)
        return True

    def clock_moved(self) -> None:
        """The wall clock was moved."""
        for step_id, sleeper in self._sleeping.items():
            if sleeper.seconds is None and sleeper.timer is not None:
                sleeper.timer.cancel()
                self._arm(step_id, sleeper)

    def park(self) -> None:
        """Park every step that sleeps, and every one that is about to."""
        self.parking = True
        for step_id, sleeper in self._sleeping.items():
            if not sleeper.future.done():
                self._parked[step_id] = sleeper.until
                self._resolve(sleeper, "parked")

    @property
    def left(self) -> bool:
        """Whether steps are left that wait, or that did not begin because of the parking."""
        return bool(self._parked) or self.postponed

    def stop(self, spared: Collection[str] = ()) -> None:
        """Wake everyone but these: the execution stops."""
        self._stopped, self._spared = True, spared
        for step_id, sleeper in list(self._sleeping.items()):
            if step_id not in spared:
                self._resolve(sleeper, "stopped")

    def _check_soon(self) -> None:
        # a moment later: the engine may be about to start a successor of the step that just settled
        if self._check is None:
            self._check = asyncio.get_running_loop().call_later(_SETTLE_TIME, self._park_if_idle)

    def _park_if_idle(self) -> None:
        self._check = None
        if self._busy or not self._sleeping or self._stopped or self.parking:
            return
        if any(sleeper.future.done() for sleeper in self._sleeping.values()):
            return  # woken already, and about to go on
        due = [s.until for s in self._sleeping.values() if s.until is not None]
        if due and min(due) - self._clock.now() <= self._park_after:
            return
        self.park()

    def due(self) -> tuple[float | None, list[str]]:
        """When the earliest parked step is due, and which steps are parked. A step that was postponed is due now."""
        times = [until for until in self._parked.values() if until is not None]
        if self.postponed:
            times.append(self._clock.now())
        return (min(times) if times else None), list(self._parked)
