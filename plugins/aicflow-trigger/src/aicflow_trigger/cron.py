"""The trigger type trigger.cron: its params, its payload, and the one timer that serves every schedule."""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aicflow import AICFlowError, Binding, Issue, Output, Params, Trigger, TriggerRuntime
from pydantic import Field, field_validator, model_validator

from aicflow_trigger.catchup import CatchUp, due_fires, jitter
from aicflow_trigger.errors import ScheduleError
from aicflow_trigger.schedule import Fire, Schedule
from aicflow_trigger.zones import find_zone

_log = logging.getLogger("aicflow.triggers.cron")
_LONGEST_SLEEP = 30.0
_AFTER_ERROR = 1.0


class CronParams(Params):
    """When to fire. `schedule` has five fields, or six with seconds first, or is an alias such as `@daily` or
    `@every 15m`. Times are in seconds."""

    schedule: str = Field(max_length=1_000)
    timezone: str = Field(default="UTC", max_length=100, description="IANA name, such as Europe/Amsterdam")
    overlap: str = Field(
        default="skip",
        pattern="^(skip|queue|cancel_other|allow)$",
        description="What a fire does while the last execution has not ended",
    )
    catchup: CatchUp = Field(default="latest", description="Which fires that were missed are made up for")
    window: float = Field(default=86_400, gt=0, le=31_536_000, description="How far back `catchup: all` reaches")
    jitter: float = Field(default=0, ge=0, le=3_600, description="Put each fire off by up to this long")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        find_zone(value)
        return value

    @model_validator(mode="after")
    def _readable(self) -> "CronParams":
        Schedule.parse(self.schedule, self.timezone)
        return self


class CronPayload(Output):
    """What a fire hands to the workflow. `scheduled_for` and `fired_at` are RFC 3339 in UTC, `local` is the time
    in the schedule's zone; `note` tells when a change of clocks had a part in it."""

    scheduled_for: str
    local: str
    timezone: str
    fired_at: str
    note: str | None = None


@dataclass(slots=True)
class _Entry:
    binding: Binding
    params: CronParams
    schedule: Schedule
    last: datetime
    """Everything up to this instant has been dealt with."""
    generation: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CronTrigger(Trigger[CronParams, CronPayload]):
    """Start executions by the clock.

    A schedule for a fixed time fires once a day also when clocks change; one for every hour or minute keeps to
    elapsed time. Each fire starts at most one execution, over restarts and any number of hosts.
    """

    type_id = "trigger.cron"
    title = "Schedule"

    def __init__(self, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, int, str, int]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fires: set[asyncio.Task[None]] = set()
        self._sleep = sleep or self._sleep_until_woken

    async def start(self, runtime: TriggerRuntime) -> None:
        """Start the timer."""
        self._runtime = runtime
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aicflow-cron")

    async def stop(self) -> None:
        """Stop the timer; fires under way are let finish."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await asyncio.gather(*self._fires, return_exceptions=True)
        self._entries.clear()
        self._heap.clear()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._runtime.clock.now(), UTC)

    async def activate(self, binding: Binding, params: CronParams) -> None:
        """Take a schedule up, or a changed one. What the old one owes by now is fired first, so that editing a
        schedule while it is due neither loses nor doubles the fire."""
        schedule = Schedule.parse(params.schedule, params.timezone)
        old = self._entries.get(binding.id)
        if old is not None:
            if not old.binding.paused:
                await self._fire_due(old)
            if not binding.paused and not old.binding.paused and _same(old.params, params):
                old.binding, old.params = binding, params
                return
        if binding.paused:
            entry = _Entry(binding, params, schedule, self._now(), (old.generation + 1) if old else 0)
            self._entries[binding.id] = entry
            await self._save(entry, paused=True)
            return
        last = self._now()
        if old is None:
            last = await self._resume_at(binding, params, last)
        entry = _Entry(binding, params, schedule, last, (old.generation + 1) if old else 0)
        self._entries[binding.id] = entry
        await self._save(entry)
        self._arm(entry)

    async def _resume_at(self, binding: Binding, params: CronParams, now: datetime) -> datetime:
        """Where a schedule goes on after a restart: at its last fire, unless it was paused or is another one now."""
        state = await self._runtime.load_state(binding)
        same = (state.get("schedule"), state.get("timezone")) == (params.schedule, params.timezone)
        last = state.get("last")
        if not same or state.get("paused") or not isinstance(last, int | float):
            return now
        # a clock that was set back must not silence the schedule until it catches up
        return min(datetime.fromtimestamp(last, UTC), now)

    async def deactivate(self, binding: Binding) -> None:
        """Drop a schedule."""
        self._entries.pop(binding.id, None)

    async def _save(self, entry: _Entry, *, paused: bool = False) -> None:
        state: dict[str, Any] = {
            "schedule": entry.params.schedule,
            "timezone": entry.params.timezone,
            "last": entry.last.timestamp(),
        }
        if paused:
            state["paused"] = True
        await self._runtime.save_state(entry.binding, state)

    def _arm(self, entry: _Entry, not_before: float = 0.0) -> None:
        """Put the entry's next fire on the heap: one entry a schedule, so that idle schedules cost nothing."""
        fire = entry.schedule.next_after(entry.last)
        if fire is None:
            return
        due = max(self._due(entry, fire), not_before)
        heapq.heappush(self._heap, (due, next(self._order), entry.binding.id, entry.generation))
        self._wake.set()

    @staticmethod
    def _due(entry: _Entry, fire: Fire) -> float:
        return fire.at.timestamp() + jitter(entry.binding.id, fire, entry.params.jitter)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._runtime.clock.now()
            while self._heap and self._heap[0][0] <= now:
                _, _, binding_id, generation = heapq.heappop(self._heap)
                entry = self._entries.get(binding_id)
                if entry is not None and entry.generation == generation:
                    self._spawn(self._turn(entry))
            # at most half a minute, so that a clock that jumped is noticed
            left = self._heap[0][0] - now if self._heap else _LONGEST_SLEEP
            await self._sleep(min(max(left, 0.0), _LONGEST_SLEEP))

    async def _sleep_until_woken(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._fires.add(task)
        task.add_done_callback(self._fires.discard)

    async def _turn(self, entry: _Entry) -> None:
        """One turn of one schedule: fire what is due, then wait for the next."""
        not_before = 0.0
        try:
            await self._fire_due(entry)
        except Exception:
            _log.exception("Trigger %s could not fire; trying again", entry.binding.id)
            not_before = self._runtime.clock.now() + _AFTER_ERROR
        if self._entries.get(entry.binding.id) is entry:
            self._arm(entry, not_before)

    async def _fire_due(self, entry: _Entry) -> None:
        async with entry.lock:
            now = self._now()
            window = timedelta(seconds=entry.params.window)
            due = due_fires(entry.schedule, entry.last, now, entry.params.catchup, window=window)
            if due.more:
                _log.warning("Trigger %s missed more fires than are made up for", entry.binding.id)
            reached = now
            for fire in due.fires:
                if self._due(entry, fire) > now.timestamp():
                    reached = fire.at - timedelta(microseconds=1)
                    break
                await self._fire(entry, fire)
                entry.last = fire.at
            if reached > entry.last:
                entry.last = reached
            if due.fires:
                await self._save(entry)

    async def _fire(self, entry: _Entry, fire: Fire) -> None:
        binding, params = entry.binding, entry.params
        payload = _payload(fire, params.timezone, self._runtime.clock.now())
        try:
            fired = await self._runtime.fire(
                binding,
                payload,
                key=payload["scheduled_for"],
                scheduled_for=fire.at.timestamp(),
                overlap=params.overlap,  # type: ignore[arg-type]
            )
        except AICFlowError as error:
            if type(error).__name__ == "StoreUnavailable":
                raise
            _log.warning("Trigger %s started nothing for %s: %s", binding.id, payload["scheduled_for"], error)
            return
        if fired.skipped:
            _log.info("Trigger %s skipped %s: the last execution still runs", binding.id, payload["scheduled_for"])

    def next_fires(self, params: CronParams, *, count: int, after: float) -> Sequence[Mapping[str, Any]]:
        """The next fires after an instant, and the changes of clocks that touch them."""
        schedule = Schedule.parse(params.schedule, params.timezone)
        return preview(schedule, count, datetime.fromtimestamp(after, UTC))

    @classmethod
    def manual_payload(cls, params: CronParams, now: float) -> Any:
        """As if the schedule fired now."""
        at = datetime.fromtimestamp(now, UTC)
        local = at.astimezone(find_zone(params.timezone)).isoformat(timespec="seconds")
        return {
            "scheduled_for": _iso(at),
            "local": local,
            "timezone": params.timezone,
            "fired_at": _iso(at),
            "note": "fired by hand",
        }

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Say which field of the schedule is wrong."""
        text, timezone = params.get("schedule"), params.get("timezone", "UTC")
        if not isinstance(text, str) or not isinstance(timezone, str):
            return ()
        try:
            Schedule.parse(text, timezone)
        except ScheduleError as error:
            start = error.position
            span = None if start is None else (start, start + max(len(error.text), 1))
            at = "/timezone" if error.field == "timezone" else "/schedule"
            return (Issue("param.invalid", "error", at, str(error), getattr(error, "hint", None), span),)
        return ()


def preview(schedule: Schedule, count: int, after: datetime) -> list[dict[str, Any]]:
    """The next `count` fires as plain JSON, with rows for changes of clocks that touch them."""
    return [
        {"kind": row.kind, "at": _iso(row.at), "local": row.local, "text": row.text}
        for row in schedule.preview(after, count)
    ]


def _same(one: CronParams, other: CronParams) -> bool:
    return (one.schedule, one.timezone) == (other.schedule, other.timezone)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _payload(fire: Fire, timezone: str, now: float) -> dict[str, Any]:
    return {
        "scheduled_for": _iso(fire.at),
        "local": fire.local,
        "timezone": timezone,
        "fired_at": _iso(datetime.fromtimestamp(now, UTC)),
        "note": fire.note,
    }
