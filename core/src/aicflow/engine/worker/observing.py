"""Telling observers of committed events, off the hot path, and letting them set a context around node code."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from aicflow.events import decode_event, event_type
from aicflow.kernel.context import Context
from aicflow.kernel.records import Observer

_logger = logging.getLogger("aicflow.engine")
_MOST_WAITING = 100_000
_BATCH = 500
_SECONDS: Final = 5.0


class Observers:
    """A queue between commits and observers. An observer that cannot keep up loses the oldest events, and the log
    says how many; executions never wait for it. What one of them raises is logged and concerns no other. `seconds` is
    how long each `start`, and at the end telling, `flush` and `stop`, may take."""

    def __init__(self, observers: Sequence[Observer], seconds: float = _SECONDS) -> None:
        self._observers = tuple(observers)
        self._seconds = seconds
        self._queue: deque[bytes] = deque()
        self._signal = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._lost = 0
        self._types = self._wanted()
        self.wraps_steps = any(hasattr(observer, "step") for observer in observers)

    def committed(self, events: Sequence[bytes]) -> None:
        """Take committed events; returns at once."""
        if self._types is not None:
            events = [event for event in events if event_type(event) in self._types]
            if not events:
                return
        self._queue.extend(events)
        while len(self._queue) > _MOST_WAITING:
            self._queue.popleft()
            self._lost += 1
        self._signal.set()

    def _wanted(self) -> frozenset[str] | None:
        """The types of events that some observer wants; None for all."""
        wanted: frozenset[str] = frozenset()
        for observer in self._observers:
            types: frozenset[str] | None = getattr(observer, "types", None)
            if types is None:
                return None
            wanted |= types
        return wanted

    async def start(self) -> None:
        """Start the observers and begin to tell them. One that cannot start is told nothing."""
        started = await asyncio.gather(*(self._call(observer, "start") for observer in self._observers))
        self._observers = tuple(one for one, works in zip(self._observers, started, strict=True) if works)
        self._types = self._wanted()
        if self._observers:
            self._task = asyncio.get_running_loop().create_task(self._deliver_all(), name="aicflow-observers")

    async def stop(self) -> None:
        """Tell what is left, let observers flush, then stop them; each in the time it has."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        while self._queue and loop.time() < deadline:
            self._deliver()
        if self._queue:
            _logger.warning("The last %d events were not delivered to observers: they took too long", len(self._queue))
            self._queue.clear()
        for method in ("flush", "stop"):
            await asyncio.gather(*(self._call(observer, method) for observer in self._observers))

    async def _call(self, observer: Observer, method: str) -> bool:
        """Await an optional method. False when it failed."""
        function = getattr(observer, method, None)
        if function is None:
            return True
        try:
            async with asyncio.timeout(self._seconds):
                await function()
        except Exception:
            _logger.exception("%s of observer %r failed", method, observer)
            return False
        return True

    @contextmanager
    def around(self, ctx: Context) -> Iterator[None]:
        """What the observers set around the code of a node. They see how it ends and change nothing about it."""
        entered: list[tuple[Observer, AbstractContextManager[Any]]] = []
        for observer in self._observers:
            step = getattr(observer, "step", None)
            if step is not None:
                try:
                    manager: AbstractContextManager[Any] = step(ctx)
                    manager.__enter__()
                    entered.append((observer, manager))
                except Exception:
                    _logger.exception("step of observer %r failed", observer)
        ended: BaseException | None = None
        try:
            yield
        except BaseException as error:
            ended = error
            raise
        finally:
            for observer, manager in reversed(entered):
                try:
                    manager.__exit__(type(ended) if ended else None, ended, ended.__traceback__ if ended else None)
                except BaseException as error:
                    if error is not ended:
                        _logger.exception("step of observer %r failed", observer)

    async def _deliver_all(self) -> None:
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._queue:
                self._deliver()
                await asyncio.sleep(0)

    def _deliver(self) -> None:
        if self._lost:
            _logger.warning("Observers fell behind and lost %d events", self._lost)
            self._lost = 0
        batch = [decode_event(self._queue.popleft()) for _ in range(min(_BATCH, len(self._queue)))]
        for observer in self._observers:
            types = getattr(observer, "types", None)
            own = batch if types is None else [event for event in batch if event.type in types]
            try:
                if own:
                    observer.events(own)
            except Exception:
                _logger.exception("Observer %r failed", observer)
