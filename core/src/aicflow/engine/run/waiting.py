"""Steps that wait inside a running execution, and the moment when all that is left of it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aicflow.kernel.clock import Clock
from aicflow.kernel.ports.executions import Answered

__all__ = ["Parked", "Sleepers", "Stopped", "Woken"]

_SETTLE_TIME = 0.01
_LONGEST_TIMER = 60.0


@dataclass(frozen=True, slots=True)
class Woken:
    """The time came (`answer` None), or an answer did."""

    answer: Answered | None


@dataclass(frozen=True, slots=True)
class Parked:
    """The execution is being parked; the step goes on in a later turn."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The execution is being stopped."""


@dataclass(slots=True)
class _Sleeper:
    until: float | None
    seconds: float | None
    future: asyncio.Future[Woken | Parked | Stopped]
    timer: asyncio.TimerHandle | None = None


class Sleepers:
    """The waiting steps of one execution. When nothing else runs and the earliest of them is more than `park_after`
    seconds away, all are told to park, so that the execution holds neither slot nor task."""

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
        self.held_back = False

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around a step, from its start to its settlement; sleeping does not count."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if self._busy == 0 and self._sleeping:
                self._look()

    async def sleep(self, node_id: str, until: float | None, seconds: float | None = None) -> Woken | Parked | Stopped:
        """Wait until the instant or an answer, whichever comes first. With `seconds` it lasts so long while this
        process holds it, however the wall clock is moved; `until` counts once it is parked."""
        if self._stopped and node_id not in self._spared:
            return Stopped()
        if self.parking:
            self._parked[node_id] = until
            return Parked()
        loop = asyncio.get_running_loop()
        sleeper = self._sleeping[node_id] = _Sleeper(until, seconds, loop.create_future())
        self._arm(node_id, sleeper)
        self._busy -= 1
        if self._busy == 0:
            self._look()
        try:
            return await sleeper.future
        finally:
            self._busy += 1
            self._sleeping.pop(node_id, None)
            if sleeper.timer is not None:
                sleeper.timer.cancel()

    def _arm(self, node_id: str, sleeper: _Sleeper) -> None:
        if sleeper.until is None:
            return
        loop = asyncio.get_running_loop()
        if sleeper.seconds is not None:
            sleeper.timer = loop.call_later(sleeper.seconds, self._resolve, sleeper, Woken(None))
            return
        # looks at the wall clock again and again: it may be moved
        left = sleeper.until - self._clock.now()
        if left <= 0:
            self._resolve(sleeper, Woken(None))
            return
        sleeper.timer = loop.call_later(min(left, _LONGEST_TIMER), self._arm, node_id, sleeper)

    @staticmethod
    def _resolve(sleeper: _Sleeper, result: Woken | Parked | Stopped) -> None:
        if not sleeper.future.done():
            sleeper.future.set_result(result)

    def wake(self, node_id: str, answer: Answered) -> bool:
        """Hand an answer to the step if it sleeps here."""
        sleeper = self._sleeping.get(node_id)
        if sleeper is None or sleeper.future.done():
            return False
        self._resolve(sleeper, Woken(answer))
        return True

    def look_again(self) -> None:
        """The wall clock was moved."""
        for node_id, sleeper in self._sleeping.items():
            if sleeper.seconds is None and sleeper.timer is not None:
                sleeper.timer.cancel()
                self._arm(node_id, sleeper)

    def park(self) -> None:
        """Tell everyone to park, and whoever wants to sleep from now on."""
        self.parking = True
        for node_id, sleeper in self._sleeping.items():
            if not sleeper.future.done():
                self._parked[node_id] = sleeper.until
                self._resolve(sleeper, Parked())

    @property
    def left(self) -> bool:
        """Whether steps are left that wait, or that did not begin because of the parking."""
        return bool(self._parked) or self.held_back

    def stop(self, spared: Collection[str] = ()) -> None:
        """Wake everyone but these: the execution stops."""
        self._stopped, self._spared = True, spared
        for node_id, sleeper in list(self._sleeping.items()):
            if node_id not in spared:
                self._resolve(sleeper, Stopped())

    def _look(self) -> None:
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
        """When the earliest parked step is due, and which steps are parked. A step that was held back is due now."""
        times = [until for until in self._parked.values() if until is not None]
        if self.held_back:
            times.append(self._clock.now())
        return (min(times) if times else None), list(self._parked)
