"""Following what other hosts of the same store change: workflows, pauses of triggers, settings of node types."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from aicflow.host.triggers import TriggerService
from aicflow.kernel.errors import StoreUnavailable
from aicflow.kernel.ports.access import NodeSetting
from aicflow.kernel.ports.signals import Signal
from aicflow.kernel.ports.store import Store
from aicflow.kernel.registry import Registry

_log = logging.getLogger("aicflow.host")
_KINDS: Final = frozenset({"workflow", "trigger", "node-types"})
_END: Final = "end"
_LOOK_EVERY: Final = 5.0
_WHOLE_EVERY: Final = 60.0


class Follower:
    """Looks at the store when another host says that something changed, and every few seconds, for what is said may be
    lost. Without `triggers`, only at the settings. Does nothing where one host has the store for itself. `on_end` is
    called when a host that fires no triggers has announced the end of an execution."""

    def __init__(self, store: Store, triggers: TriggerService | None, registry: Registry) -> None:
        self._store = store
        self._triggers = triggers
        self._registry = registry
        self.on_end: Callable[[], None] = lambda: None
        self._settings: list[NodeSetting] | None = None
        self._followed: int | None = None
        self._whole_at = -_WHOLE_EVERY
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, once the triggers are active."""
        if not self._store.exclusive:
            running: list[Coroutine[Any, Any, None]] = [self._listen(), self._run()]
            self._tasks = [asyncio.create_task(one, name="aicflow-following") for one in running]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def tell_of_end(self) -> None:
        """Tell the others of the end of an execution that was announced."""
        self.tell(_END)

    def tell(self, kind: str, id: str = "") -> None:
        """Tell the others of a change that was committed."""
        if not self._store.exclusive:
            self._store.signals.hint(Signal(kind, id))

    async def look(self) -> None:
        """Take over what the store says now. Raises StoreUnavailable."""
        if self._store.exclusive:
            return
        async with self._lock:
            # read before what it tells of: a change that comes between is looked at twice rather than never
            changes, now = await self._store.signals.changes(), monotonic()
            if changes is not None and changes == self._followed and now - self._whole_at < _WHOLE_EVERY:
                return
            settings = [*await self._store.node_settings.all()]
            if settings != self._settings:
                if self._settings is not None:
                    self._registry.configure_all(settings)  # not the first time: every plan would be made anew
                self._settings = settings
            if self._triggers is not None:
                await self._triggers.follow()
            self._followed, self._whole_at = changes, now

    async def _listen(self) -> None:
        async for signal in self._store.signals.signals():
            if signal.kind in _KINDS:
                self._changed.set()
            elif signal.kind == _END:
                self.on_end()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("Changes of other hosts are not seen yet: %s", error)
            except Exception:
                _log.exception("Following the changes of other hosts failed; it is tried again")
