"""Firing the triggers `trigger.event` for events that are stored: each event starts each workflow once."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from aicflow.engine.events import EventTrigger
from aicflow.host.triggers import TriggerService
from aicflow.kernel.errors import AICFlowError, StoreUnavailable
from aicflow.kernel.ports.store import Store
from aicflow.kernel.ports.tables import SentEvent
from aicflow.kernel.values import loads
from aicflow.store.rows import event_answer

_log = logging.getLogger("aicflow.triggers")
_LOOK_EVERY: Final = 2.0
_AT_ONCE: Final = 200


class EventDispatcher:
    """Fires for every event that nobody has fired for yet: those that are sent here, at once; those that a host left
    behind that went away, soon. Fires have the event's id as their key, so that none counts twice."""

    def __init__(self, store: Store, triggers: TriggerService) -> None:
        self._store = store
        self._triggers = triggers
        self._sent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, once the triggers are active."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-events")

    async def stop(self) -> None:
        """Stop; what is left is fired for at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """An event was sent."""
        self._sent.set()

    async def _run(self) -> None:
        while True:
            try:
                while await self._fire_pending():
                    pass
            except StoreUnavailable as error:
                _log.warning("Events wait for the store before they fire triggers: %s", error)
            except Exception:
                _log.exception("Firing triggers for events failed; it is tried again")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._sent.wait()
            self._sent.clear()

    async def _fire_pending(self) -> bool:
        """Fire for the oldest events; whether there may be more to do at once."""
        events = await self._store.sent.pending(limit=_AT_ONCE)
        done = [event.id for event in events if await self._fire(event)]
        if done:
            await self._store.sent.done(done)
        return len(done) == _AT_ONCE

    async def _fire(self, event: SentEvent) -> bool:
        """Fire what looks out for the event; false when something cannot do so now, and will soon."""
        complete = True
        payload = loads(event_answer(event))
        for active in self._triggers.all():
            if active.binding.type_id != EventTrigger.type_id:
                continue
            complete = complete and not active.passing
            instance = active.instance
            if not active.live or not isinstance(instance, EventTrigger):
                continue
            overlap = instance.wanted(active.binding, payload)
            if overlap is None:
                continue
            try:
                await self._triggers.runtime.fire(active.binding, payload, key=event.id, overlap=overlap)
            except StoreUnavailable:
                raise
            except AICFlowError as error:  # kept as a delivery with the reason
                _log.warning("Event %s started nothing by trigger %s: %s", event.id, active.binding.id, error.message)
        return complete
