"""Removing what retention does not keep and giving its space back, a little at a time beside the work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aicflow.engine.files import Files
from aicflow.host.audit import SYSTEM, Auditor
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError, StoreUnavailable
from aicflow.kernel.ports.maintenance import Maintenance, RetentionRule
from aicflow.kernel.ports.sent import EventStore
from aicflow.removal import ExecutionPart, RemovesParts
from aicflow.statistics import LATE, StatisticsStore

_log = logging.getLogger("aicflow.host")
_PAUSE = 0.02
"""Seconds between two batches, which writers may use."""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What one round did."""

    executions: int
    freed_bytes: int


async def sweep(
    maintenance: Maintenance,
    rules: Sequence[RetentionRule],
    now: float,
    *,
    progress: Callable[[int], None] | None = None,
) -> Swept:
    """Remove everything that the rules do not keep, then shrink the file. Raises StoreUnavailable."""
    removed = freed = 0
    while rules and (some := await maintenance.remove(rules, now=now)):
        removed += some
        if progress is not None:
            progress(removed)
        await asyncio.sleep(_PAUSE)
    # space that nothing was removed from will be used again by itself
    while removed and (gone := await maintenance.reclaim_space()) > 0:
        freed += gone
        await asyncio.sleep(_PAUSE)
    return Swept(removed, freed)


async def remove_parts(maintenance: Maintenance, ages: Mapping[ExecutionPart, float], now: float) -> int:
    """Remove what executions are kept without, by the seconds since their end; returns of how many. Raises
    StoreUnavailable."""
    removed = 0
    for part, age in ages.items():
        assert isinstance(maintenance, RemovesParts)
        while some := await maintenance.remove_part(part, ended_before=now - age):
            removed += some
            await asyncio.sleep(_PAUSE)
    return removed


class Housekeeper:
    """Sweeps now and then while the host runs."""

    def __init__(
        self,
        maintenance: Maintenance,
        rules: Sequence[RetentionRule],
        clock: Clock,
        *,
        every: float,
        key_age: float,
        fire_age: float,
        events: EventStore,
        event_age: float,
        auditor: Auditor,
        files: Files,
        alone: bool,
        delivery_age: float | None = None,
        part_ages: Mapping[ExecutionPart, float] | None = None,
        statistics: StatisticsStore | None = None,
        statistics_age: float = 0.0,
    ) -> None:
        """Raises AICFlowError when the store cannot remove parts of executions, and is to."""
        if part_ages and not isinstance(maintenance, RemovesParts):
            raise AICFlowError(
                "This store cannot remove events or payloads of executions that it keeps.",
                hint="Leave AICFLOW_EVENT_LOG_AGE and AICFLOW_PAYLOAD_AGE out, or use another store.",
            )
        self._part_ages = part_ages or {}
        self._statistics = statistics
        self._statistics_age = statistics_age
        self._delivery_age = delivery_age
        self._auditor = auditor
        self._files = files
        # what nobody can be writing: of a store that no other host has open, everything from before this one
        self._leftover_since = clock.now() - (0.0 if alone else _DAY)
        self._leftovers_at = 0.0
        self._events = events
        self._event_age = event_age
        self._key_age = key_age
        self._fire_age = fire_age
        self._maintenance = maintenance
        self._rules = tuple(rules)
        self._clock = clock
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-housekeeping")

    async def stop(self) -> None:
        """Stop between two batches."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _forget_keys(self) -> None:
        now, forget = self._clock.now(), self._maintenance.forget_keys
        while True:
            if not await forget(used_before=now - self._key_age, fired_before=now - self._fire_age):
                return
            await asyncio.sleep(_PAUSE)

    async def _forget_events(self) -> None:
        now = self._clock.now()
        while True:
            if not await self._events.forget(received_before=now - self._event_age, now=now):
                return
            await asyncio.sleep(_PAUSE)

    async def _sweep_files(self) -> None:
        removed, now = await self._files.sweep(), self._clock.now()
        if now >= self._leftovers_at:
            removed += await self._files.remove_leftovers(self._leftover_since)
            self._leftover_since, self._leftovers_at = now, now + _DAY  # a day later, then a day old
        if removed:
            _log.info("%d files that nothing uses were removed", removed)

    async def _forget_deliveries(self) -> None:
        if self._delivery_age is None:
            return
        before = self._clock.now() - self._delivery_age
        while True:
            if not await self._maintenance.forget_deliveries(received_before=before):
                return
            await asyncio.sleep(_PAUSE)

    async def _roll_up(self) -> None:
        if self._statistics is None:
            return
        while True:
            if not await self._statistics.roll_up(self._clock.now() - LATE, keep=self._statistics_age):
                return
            await asyncio.sleep(_PAUSE)

    async def _run(self) -> None:
        while True:
            try:
                await self._roll_up()  # before retention: what it removes is counted still
                await self._forget_keys()
                await self._forget_events()
                await self._forget_deliveries()
                now = self._clock.now()
                if parts := await remove_parts(self._maintenance, self._part_ages, now):
                    self._auditor.note(SYSTEM, "remove_parts", "executions", count=parts)
                    _log.info("Retention removed events or payloads of %d executions that are kept", parts)
                swept = await sweep(self._maintenance, self._rules, now)
                await self._auditor.prune()
                if swept.executions:
                    self._auditor.note(SYSTEM, "remove_executions", "executions", count=swept.executions)
                    _log.info(
                        "Retention removed %d executions and gave %d bytes back", swept.executions, swept.freed_bytes
                    )
                await self._sweep_files()
            except StoreUnavailable as error:
                _log.warning("Housekeeping waits for the store: %s", error)
            except Exception:
                _log.exception("Housekeeping failed; it is tried again")
            await asyncio.sleep(self._every)
