"""Firing triggers for what the store keeps: events from outside (`trigger.event`) and ends of executions
(`trigger.workflow`). Each starts each workflow once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from aicflow.engine.events import EventTrigger
from aicflow.engine.listening import FilterFailed, ListeningTrigger, WorkflowTrigger
from aicflow.engine.sealing import Vault
from aicflow.host.following import Follower
from aicflow.host.triggers import ActiveTrigger, TriggerService
from aicflow.host.views import execution_view
from aicflow.kernel.errors import AICFlowError, NotFound, PermanentError, StoreUnavailable
from aicflow.kernel.execution import Execution
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.ports.store import Store
from aicflow.kernel.values import loads
from aicflow.store.rows import event_answer

_log = logging.getLogger("aicflow.triggers")
_LOOK_EVERY: Final = 5.0
_AT_ONCE: Final = 200


class Dispatcher:
    """Fires for every event and every announced end that nobody has fired for yet: those of this host at once, those
    that a host left behind that went away, soon. Fires have the id of the event or execution as their key, so that
    none counts twice."""

    def __init__(self, store: Store, vault: Vault, triggers: TriggerService, following: Follower) -> None:
        self._store = store
        self._vault = vault
        self._following = following
        self._triggers = triggers
        self._sent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, once the triggers are active."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-events")
        self._following.on_end = self.ended

    async def stop(self) -> None:
        """Stop; what is left is fired for at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """An event was sent."""
        self._sent.set()

    def ended(self) -> None:
        """An end was announced. Looks at once only if a trigger of this host may want it: one that another host has
        just saved waits for the next look."""
        if self._task is None:
            self._following.tell_of_end()
        elif self._listens():
            self._sent.set()

    def may_want(self, workflow_id: str) -> bool:
        """Whether a trigger may fire for the end of an execution of this workflow; also while that is not known."""
        if self._task is None:
            return True  # triggers become active after executions go on
        found = self._listens()
        return any(
            active.passing or (isinstance(active.instance, WorkflowTrigger) and active.instance.may_want(workflow_id))
            for active in found
        )

    def _listens(self) -> list[ActiveTrigger]:
        """The triggers that look out for ends."""
        return [active for active in self._triggers.all() if active.binding.type_id == WorkflowTrigger.type_id]

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
        """Fire for the oldest events and ends; whether there may be more to do at once."""
        store = self._store
        events = await store.sent.pending(limit=_AT_ONCE)
        ends = await store.executions.announced(limit=_AT_ONCE)
        if events or ends:
            await self._following.look()  # what another host saved before they came is started, too
        done = [one.id for one in events if await self._fire_event(one)]
        if done:
            await store.sent.done(done)
        told = [one for one in ends if await self._fire_end(one)]
        if told:
            await store.executions.told(told)
        return _AT_ONCE in (len(done), len(told))

    async def _fire_event(self, event: SentEvent) -> bool:
        try:
            sent = replace(event, data=self._vault.real(f"event {event.id}", event.data))
        except PermanentError as error:
            _log.warning("Event %s starts nothing: %s", event.id, error.message)
            return True
        return await self._fire(EventTrigger, event.id, loads(event_answer(sent)))

    async def _fire_end(self, execution_id: str) -> bool:
        if not self._listens():
            return True
        try:
            execution = await self._store.executions.get(execution_id)
        except NotFound:
            return True
        if "payloads" in execution.removed:
            _log.warning("The end of execution %s starts nothing: retention has removed its output", execution.id)
            return True
        try:
            labels = (await self._store.workflows.get(execution.workflow_id)).labels
        except NotFound:
            labels = {}
        return await self._fire(
            WorkflowTrigger,
            execution.id,
            _ended(execution),
            labels=labels,
            source=execution.workflow_id,
            depth=(execution.trigger.depth or 0) + 1,
            traceparent=execution.trigger.traceparent,
        )

    async def _fire(
        self,
        cls: type[ListeningTrigger[Any, Any]],
        key: str,
        payload: Mapping[str, Any],
        *,
        labels: Mapping[str, str] | None = None,
        source: str | None = None,
        **how: Any,
    ) -> bool:
        """Fire what looks out for it; false when something cannot do so now, and will soon."""
        complete = True
        for active in self._triggers.all():
            if active.binding.type_id != cls.type_id or active.binding.workflow_id == source:
                continue
            complete = complete and not active.passing
            instance = active.instance
            if not active.live or not isinstance(instance, cls):
                continue
            try:
                overlap = instance.wanted(active.binding, payload, labels or {})
                if overlap is not None:
                    await self._triggers.runtime.fire(active.binding, payload, key=key, overlap=overlap, **how)
            except StoreUnavailable:
                raise
            except AICFlowError as error:  # kept as a delivery with the reason
                if isinstance(error, FilterFailed):
                    await self._triggers.runtime.refuse(active.binding, payload, key, error)
                _log.warning("%s started nothing by trigger %s: %s", key, active.binding.id, error.message)
        return complete


def _ended(execution: Execution) -> dict[str, Any]:
    """The payload of `trigger.workflow`. Without the input: where that is a payload itself, as in a chain of workflows,
    each would hold all before it twice."""
    shown = execution_view(execution)
    return {
        "execution_id": execution.id,
        **{name: shown.get(name) for name in ("workflow_id", "version", "status", "output", "error")},
        "finished_at": shown["finished_at"],
    }
