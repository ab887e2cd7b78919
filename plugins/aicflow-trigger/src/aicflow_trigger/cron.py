"""The trigger type trigger.cron: its params, its payload, and what becomes of each fire."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, Final, Literal

from aicflow import AICFlowError, Binding, Issue, Output, Params, StoreUnavailable, Trigger, TriggerRuntime
from pydantic import Field

from aicflow_trigger.catchup import CatchUp, due_fires, jitter
from aicflow_trigger.daylight import find_zone
from aicflow_trigger.errors import ScheduleError
from aicflow_trigger.schedule import Fire, Schedule
from aicflow_trigger.timer import Timer, Wait

_log = logging.getLogger("aicflow.triggers.cron")
_RETRY_FIRST: Final = 1.0
_RETRY_LAST: Final = 30.0
_SAMPLE: Final = datetime(2025, 1, 1, tzinfo=UTC)


class CronParams(Params):
    """When to fire. `schedule` has five fields, or six with seconds first, or is an alias such as `@daily` or
    `@every 15m`. Times are in seconds."""

    schedule: str = Field(max_length=1_000)
    timezone: str = Field(default="UTC", max_length=100, description="IANA name, such as Europe/Amsterdam")
    overlap: Literal["skip", "queue", "cancel_other", "allow"] = Field(
        default="skip", description="What a fire does while the last execution has not ended"
    )
    catchup: CatchUp = Field(default="latest", description="Which missed fires are caught up on")
    window: float = Field(default=86_400, gt=0, le=31_536_000, description="How far back `catchup: all` reaches")
    jitter: float = Field(default=0, ge=0, le=3_600, description="Delay each fire by up to this long")


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
    owed_until: datetime | None = None
    """While `catchup: all` makes up for missed fires: all of them up to this instant are still to be fired."""
    unsaved: bool = False
    failures: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CronTrigger(Trigger[CronParams, CronPayload]):
    """Start executions by the clock.

    A schedule for a fixed time fires once a day also when clocks change; one for every hour or minute keeps to
    elapsed time. Each fire starts at most one execution, over restarts and any number of hosts.
    """

    type_id = "trigger.cron"
    title = "Schedule"

    def __init__(self, wait: Wait | None = None) -> None:
        self._wait = wait
        self._entries: dict[str, _Entry] = {}
        self._turns: set[asyncio.Task[None]] = set()

    async def start(self, runtime: TriggerRuntime) -> None:
        """Start the timer."""
        self._runtime = runtime
        self._timer = Timer(runtime.clock.now, self._due, self._set_back, self._wait)

    async def stop(self) -> None:
        """Stop the timer; fires under way are let finish."""
        await self._timer.stop()
        self._entries.clear()
        await asyncio.gather(*self._turns, return_exceptions=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._runtime.clock.now(), UTC)

    async def activate(self, binding: Binding, params: CronParams) -> None:
        """Take a schedule up, or a changed one. What the old one owes by now is fired first and the new one begins
        right after, so that a schedule edited while it is due neither loses nor doubles the fire."""
        schedule = Schedule.parse(params.schedule, params.timezone)
        old = self._entries.get(binding.id)
        entry = _Entry(binding, params, schedule, self._now())
        if old is not None and not old.binding.paused:
            more = await self._fire_due(old)
            if old.schedule == schedule and not binding.paused:
                old.binding, old.params = binding, params
                self._arm(old)
                return
            if more:
                _log.warning(
                    "Trigger %s was changed while it caught up on missed fires; the rest is skipped", binding.id
                )
            else:
                entry.last = old.last
        elif old is None and not binding.paused:
            await self._resume(entry)
        await self._save(entry, paused=binding.paused)
        self._entries[binding.id] = entry
        self._arm(entry)

    async def _resume(self, entry: _Entry) -> None:
        """Go on after a restart at the last fire, unless the schedule was paused or is another one now."""
        state, params = await self._runtime.load_state(entry.binding), entry.params
        same = (state.get("schedule"), state.get("timezone")) == (params.schedule, params.timezone)
        last, owed_until = state.get("last"), state.get("owed_until")
        if same and not state.get("paused") and isinstance(last, int | float):
            # a clock that was set back must not silence the schedule until it catches up
            entry.last = min(datetime.fromtimestamp(last, UTC), entry.last)
            if isinstance(owed_until, int | float):
                entry.owed_until = min(datetime.fromtimestamp(owed_until, UTC), self._now())

    async def deactivate(self, binding: Binding) -> None:
        """Drop a schedule. Should it come back, it goes on from then: what it named meanwhile was not missed."""
        entry = self._entries.pop(binding.id, None)
        self._timer.drop(binding.id)
        # no state: the workflow was deleted, and nothing is to be left of it
        if entry is not None and await self._runtime.load_state(binding):
            await self._save(entry, paused=True)

    async def _save(self, entry: _Entry, *, paused: bool = False) -> None:
        state: dict[str, Any] = {
            "schedule": entry.params.schedule,
            "timezone": entry.params.timezone,
            "last": entry.last.timestamp(),
        }
        if entry.owed_until is not None:
            state["owed_until"] = entry.owed_until.timestamp()
        if paused:
            state["paused"] = True
        await self._runtime.save_state(entry.binding, state)
        entry.unsaved = False

    def _arm(self, entry: _Entry) -> None:
        fire = None if entry.binding.paused else entry.schedule.next_after(entry.last)
        if fire is None:
            self._timer.drop(entry.binding.id)
            return
        put_off = jitter(entry.binding.id, fire, entry.params.jitter)
        self._timer.arm(entry.binding.id, fire.at.timestamp() + put_off)

    def _due(self, binding_id: str) -> None:
        entry = self._entries.get(binding_id)
        if entry is not None:
            turn = asyncio.get_running_loop().create_task(self._turn(entry))
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)

    def _set_back(self, now: float) -> None:
        """The clock was set back: go on from where it stands. What was fired before the change does not fire again,
        since each fire's instant is its key."""
        at = datetime.fromtimestamp(now, UTC)
        for entry in self._entries.values():
            entry.last = min(entry.last, at)
            entry.owed_until = entry.owed_until and min(entry.owed_until, at)
            self._arm(entry)

    async def _turn(self, entry: _Entry) -> None:
        """One turn of one schedule: fire what is due, batch by batch, then wait for the next."""
        try:
            while await self._fire_due(entry):
                pass
        except Exception as error:
            pause = min(_RETRY_FIRST * 2.0**entry.failures, _RETRY_LAST)
            entry.failures = min(entry.failures + 1, 10)
            _log.warning(
                "Trigger %s could not fire (%s); trying again in %g s",
                entry.binding.id,
                error,
                pause,
                exc_info=not isinstance(error, StoreUnavailable),
            )
            if self._is_live(entry):
                self._timer.arm(entry.binding.id, self._runtime.clock.now() + pause)
        else:
            entry.failures = 0
            if self._is_live(entry):
                self._arm(entry)

    def _is_live(self, entry: _Entry) -> bool:
        return self._entries.get(entry.binding.id) is entry

    async def _fire_due(self, entry: _Entry) -> bool:
        """Fire what is due, a batch at most, and note durably how far it came. Returns whether there is more. Raises
        StoreUnavailable; a fire that was made and not noted is known by its key."""
        async with entry.lock:
            if not self._is_live(entry):
                return False
            now, params = self._now(), entry.params
            due = due_fires(
                entry.schedule,
                entry.last,
                now,
                params.catchup,
                window=timedelta(seconds=params.window),
                owed_until=entry.owed_until,
                trigger_id=entry.binding.id,
                max_jitter=params.jitter,
            )
            if due.missed and params.catchup == "all" and entry.owed_until is None:
                # the window is measured now and kept: it must not move on while it is made up for
                entry.last = max(entry.last, now - timedelta(seconds=params.window))
                entry.owed_until, entry.unsaved = now, True
            if entry.unsaved:
                await self._save(entry)
            for fire in due.fires:
                if not self._is_live(entry):
                    return False
                await self._fire(entry, fire)
                entry.last, entry.unsaved = max(entry.last, fire.at), True
            entry.last = max(entry.last, due.reached)
            if entry.owed_until is not None and entry.last >= entry.owed_until:
                entry.owed_until, entry.unsaved = None, True
            if entry.unsaved:
                await self._save(entry)
            return due.more

    async def _fire(self, entry: _Entry, fire: Fire) -> None:
        binding, params = entry.binding, entry.params
        payload = _payload(fire, params.timezone, self._runtime.clock.now())
        try:
            fired = await self._runtime.fire(
                binding,
                payload,
                key=payload["scheduled_for"],
                scheduled_for=fire.at.timestamp(),
                overlap=params.overlap,
            )
        except StoreUnavailable:
            raise
        except AICFlowError as error:
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
        """Say which field of the schedule is wrong, and what the jitter may be."""
        text, timezone = params.get("schedule"), params.get("timezone", "UTC")
        if not isinstance(text, str) or not isinstance(timezone, str):
            return ()
        for name, value in (("schedule", text), ("timezone", timezone)):
            if "${{" in value:
                return (Issue("param.invalid", "error", f"/{name}", f"The {name} is written out, without references."),)
        try:
            schedule = Schedule.parse(text, timezone)
        except ScheduleError as error:
            start = error.position
            span = None if start is None else (start, start + max(len(error.text), 1))
            at = "/timezone" if error.field == "timezone" else "/schedule"
            message = f"{error.field}: {error.problem}."
            return (Issue("param.invalid", "error", at, message, error.hint, span),)
        put_off = params.get("jitter")
        if isinstance(put_off, int | float) and put_off > 0 and put_off > (shortest := _shortest_gap(schedule)):
            message = f"A jitter of {put_off:g} s is longer than the {shortest:g} s between two fires."
            return (Issue("param.invalid", "error", "/jitter", message, f"Allow {shortest:g} s at most."),)
        return ()


def _shortest_gap(schedule: Schedule) -> float:
    fires = islice(schedule.fires_after(_SAMPLE), 60)
    return min(((b.at - a.at).total_seconds() for a, b in pairwise(fires)), default=float("inf"))


def preview(schedule: Schedule, count: int, after: datetime) -> list[dict[str, Any]]:
    """The next `count` fires as plain JSON, with rows for changes of clocks that touch them."""
    return [
        {"kind": row.kind, "at": _iso(row.at), "local": row.local, "text": row.text}
        for row in schedule.preview(after, count)
    ]


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
