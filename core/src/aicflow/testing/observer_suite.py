"""The conformance suite of observers: subclass it, give it your observer, run it with pytest.

class TestMyObserver(ObserverSuite):
    @pytest.fixture
    def observer(self):
        return MyObserver()
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from aicflow.kernel.execution import Event
from aicflow.kernel.records import Observer
from aicflow.testing.context import RecordingContext

_TYPES = ("queued", "started", "resumed", "waiting", "succeeded", "failed", "cancelled", "of-a-later-version")


class ObserverSuite:
    """What every observer must do."""

    async def _call(self, observer: Any, method: str) -> None:
        if (function := getattr(observer, method, None)) is not None:
            async with asyncio.timeout(5):
                await function()

    def _events(self) -> list[Event]:
        return [
            Event(number + 1, "2026-11-28T12:00:00.000000Z", f"{what}.{kind}", f"ex_{number % 3}", f"n{number}", 1, {})
            for number, (what, kind) in enumerate((w, k) for w in ("execution", "step") for k in _TYPES)
        ]

    def test_it_is_an_observer(self, observer: Observer) -> None:
        """`events` and `step` are plain functions, the others are awaited."""
        assert isinstance(observer, Observer)
        assert not inspect.iscoroutinefunction(observer.events)
        assert not inspect.iscoroutinefunction(getattr(observer, "step", None))
        for method in ("start", "stop", "flush"):
            assert inspect.iscoroutinefunction(getattr(observer, method, self._call)), method

    async def test_it_lives_from_start_to_stop(self, observer: Observer) -> None:
        """Events of every kind, also of kinds that it cannot know and of executions whose beginning it missed."""
        await self._call(observer, "start")
        observer.events([])
        observer.events(self._events())
        for event in self._events():
            observer.events([event])
        await self._call(observer, "flush")
        await self._call(observer, "flush")
        await self._call(observer, "stop")

    async def test_steps_end_as_they_end(self, observer: Observer) -> None:
        """Steps overlap, fail and are cancelled within the context that the observer sets."""
        await self._call(observer, "start")
        if (step := getattr(observer, "step", None)) is not None:

            async def attempt(number: int, error: BaseException | None) -> int:
                with step(RecordingContext(execution_id=f"ex_{number}", attempt=number)):
                    await asyncio.sleep(0)
                    if error is not None:
                        raise error
                return number

            assert await asyncio.gather(*(attempt(number, None) for number in range(20))) == list(range(20))
            for error in (ValueError("x"), asyncio.CancelledError()):
                with pytest.raises(type(error)):
                    await attempt(1, error)
        await self._call(observer, "flush")
        await self._call(observer, "stop")
