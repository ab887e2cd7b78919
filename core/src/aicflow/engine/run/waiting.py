"""Steps that wait inside a running execution, and the moment when all that is left of it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.executions import StoredAnswer

_SETTLE_TIME = 0.01
_LONGEST_TIMER = 60.0


type Wakeup = StoredAnswer | Literal["due", "parked", "stopped"]
"""What ends a step's sleep: an answer, its time, or that the execution is being parked (the step goes on in a later
turn) or stopped."""


@dataclass(slots=True)
class _Sleeper:
    until: float | None
    seconds: float | None
    woken: Callable[[Wakeup], None]
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False
    listed: bool = True


class Sleepers:
    """The waiting steps of one execution. When nothing else runs and the earliest of them is more than `park_after`
    seconds away, all park, so that the execution holds neither slot nor task."""

    def __init__(self, clock: Clock, park_after: float) -> None:
        self._clock = clock
        self._park_after = park_after
        self._sleeping: dict[str, _Sleeper] = {}
        self._dozing: dict[str, _Sleeper] = {}
        self._parked: dict[str, float | None] = {}
        self._busy = 0
        self._begun = 0
        self._check: asyncio.Handle | None = None
        self.ends: dict[str, float] = {}
        """When bodies are over at the latest, by the id of their step."""
        self._stopped = False
        self.parking = False
        self.postponed = False

    def begin(self) -> None:
        """A step is busy, until its `end`; sleeping does not count."""
        self._busy += 1
        self._begun += 1

    def end(self) -> None:
        """The step is settled."""
        self._busy -= 1
        if self._busy == 0 and self._sleeping:
            self._check_soon()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Around the body of a busy step: its own steps count instead."""
        self.end()
        try:
            yield
        finally:
            self.begin()

    async def sleep(
        self, step_id: str, until: float | None, seconds: float | None = None, *, listed: bool = True
    ) -> Wakeup:
        """Wait until the instant or an answer, whichever comes first. With `seconds` it lasts so long while this
        process holds it, however the wall clock is moved; `until` counts once it is parked. What waits only for steps
        inside of it is not `listed` among what waits."""
        if self.parking:
            if listed:
                self._parked[step_id] = until
            return "parked"
        future: asyncio.Future[Wakeup] = asyncio.get_running_loop().create_future()

        def woken(by: Wakeup) -> None:
            if not future.done():
                future.set_result(by)

        sleeper = self._sleeping[step_id] = _Sleeper(until, seconds, woken, listed=listed)
        self._arm(step_id, sleeper)
        self.end()
        try:
            return await future
        finally:
            self.begin()
            self._sleeping.pop(step_id, None)
            if sleeper.timer is not None:
                sleeper.timer.cancel()

    def is_long(self, until: float | None) -> bool:
        """Whether a wait is too long for a task to sit through it."""
        return until is None or until - self._clock.now() > self._park_after

    def doze(self, step_id: str, until: float | None, wake: Callable[[], None]) -> None:
        """The step waits and holds no task meanwhile; `wake` is called when its time or an answer comes. It is parked
        already when the execution is."""

        def woken(by: Wakeup) -> None:
            if by == "parked" or by == "stopped":
                return
            self._dozing.pop(step_id, None)
            self._parked.pop(step_id, None)
            wake()

        if (before := self._dozing.get(step_id)) is not None and before.timer is not None:
            before.timer.cancel()
        self._parked[step_id] = until
        sleeper = self._dozing[step_id] = _Sleeper(until, None, woken)
        self._arm(step_id, sleeper)

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
        if not sleeper.is_over:
            sleeper.is_over = True
            if sleeper.timer is not None:
                sleeper.timer.cancel()
            sleeper.woken(result)

    def wake(self, step_id: str, answer: StoredAnswer) -> bool:
        """Hand an answer to the step if it sleeps here. One that dozes is woken, and takes it when it goes on."""
        if (dozing := self._dozing.get(step_id)) is not None:
            self._resolve(dozing, answer)
            return False
        sleeper = self._sleeping.get(step_id)
        if sleeper is None or sleeper.is_over:
            return False
        self._resolve(sleeper, answer)
        return True

    def rouse(self, step_id: str) -> None:
        """The step is taken up again: it dozes no more."""
        if (dozing := self._dozing.pop(step_id, None)) is not None:
            del self._parked[step_id]
            if dozing.timer is not None:
                dozing.timer.cancel()

    def finish(self, step_id: str) -> None:
        """What the step slept for has come."""
        if (sleeper := self._sleeping.get(step_id)) is not None:
            self._resolve(sleeper, "due")

    def clock_moved(self) -> None:
        """The wall clock was moved."""
        for step_id, sleeper in [*self._sleeping.items(), *self._dozing.items()]:
            if sleeper.seconds is None and sleeper.timer is not None:
                sleeper.timer.cancel()
                self._arm(step_id, sleeper)

    def park(self) -> None:
        """Park every step that sleeps, and every one that is about to."""
        self.parking = True
        for step_id, sleeper in self._sleeping.items():
            if not sleeper.is_over:
                if sleeper.listed:
                    self._parked[step_id] = sleeper.until
                self._resolve(sleeper, "parked")
        for sleeper in self._dozing.values():
            self._resolve(sleeper, "parked")

    @property
    def left(self) -> bool:
        """Whether steps are left that wait, or that did not begin because of the parking."""
        return bool(self._parked) or self.postponed

    def stop(self, spared: Collection[str] = ()) -> None:
        """Wake everyone but these: the execution stops."""
        self._stopped = True
        for step_id, sleeper in [*self._sleeping.items(), *self._dozing.items()]:
            if step_id not in spared:
                self._resolve(sleeper, "stopped")

    def stop_inside(self, prefix: str) -> None:
        """Wake every step whose id begins with this: the body that they are in is stopped."""
        for step_id, sleeper in [*self._sleeping.items(), *self._dozing.items()]:
            if step_id.startswith(prefix):
                self._resolve(sleeper, "stopped")
                self._dozing.pop(step_id, None)
                self._parked.pop(step_id, None)

    def _check_soon(self) -> None:
        # a moment later: the engine may be about to start a successor of the step that just settled
        if self._check is None:
            self._check = asyncio.get_running_loop().call_later(_SETTLE_TIME, self._look, self._begun)

    def _look(self, begun: int) -> None:
        # what is about to run on a busy event loop has its turn first
        self._check = asyncio.get_running_loop().call_soon(self._park_if_idle, begun)

    def _park_if_idle(self, begun: int) -> None:
        self._check = None
        if begun != self._begun and not self._busy:
            self._check_soon()
            return
        if self._busy or not self._sleeping or self._stopped or self.parking:
            return
        if any(sleeper.is_over for sleeper in self._sleeping.values()):
            return  # woken already, and about to go on
        waiting = (*self._sleeping.values(), *self._dozing.values())
        due = [*self.ends.values(), *(sleeper.until for sleeper in waiting if sleeper.until is not None)]
        if due and min(due) - self._clock.now() <= self._park_after:
            return
        self.park()

    def due(self) -> tuple[float | None, list[str]]:
        """When the earliest parked step is due, and which steps are parked. A step that was postponed is due now."""
        times = [*self.ends.values(), *(until for until in self._parked.values() if until is not None)]
        if self.postponed:
            times.append(self._clock.now())
        return (min(times) if times else None), list(self._parked)
