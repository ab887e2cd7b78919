"""Schedules: an expression and a time zone, and the instants at which they fire.

Pure and without a clock: every question names the instant it is asked at. The rule for daylight saving is in
docs/explanation/schedules.md and, as code, in `daylight`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

from aicflow_trigger.cron_fields import MAX_LENGTH, parse_fields
from aicflow_trigger.daylight import (
    Change,
    Note,
    WallTimes,
    changes_between,
    find_zone,
    next_fixed,
    next_interval,
    note_of,
)
from aicflow_trigger.errors import ScheduleError

RowKind = Literal["fire", "skipped", "shifted", "doubled"]
Kind = Literal["fixed", "interval", "every"]

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9900, 1, 1, tzinfo=UTC)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_EVERY: Final = timedelta(days=366)
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_DURATIONS = re.compile(r"(?:\d{1,9}[smhd])+", re.ASCII)
_ALIAS = re.compile(r"[ \t]*(@[^ \t]*)[ \t]*(.*?)[ \t]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fire:
    """One due moment.

    `at` is the instant in UTC and identifies the fire; `local` is the clock's reading then, as ISO 8601 with
    offset. `note` marks the two days a year that need one: "gap" (`named`, the wall time asked for, does
    not exist; this is the first valid moment after it), "fold-first" and "fold-second" (the clock shows this
    time twice; this is the first or the second).
    """

    at: datetime
    local: str
    note: Note | None = None
    named: str | None = None


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One line of a preview.

    kind "fire": the schedule fires at `at` (`fire` tells more). The other kinds stand for a change of clocks at
    `at` and fire nothing themselves: "skipped" (named times that do not exist and are not made up for),
    "shifted" (they do not exist and move to the first valid moment), "doubled" (they come twice).
    `local` is the clock's reading, for a change the span of wall times concerned; `text` says it in words.
    """

    kind: RowKind
    at: datetime
    local: str
    text: str
    fire: Fire | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a trigger fires. Made by `parse`; equal when expression and time zone are.

    `kind` decides how changes of clocks are met: "fixed" names hours of the day, "interval" admits every hour
    of the day, "every" (`@every 15m`) does not look at the clock at all.
    """

    expression: str
    timezone: str
    kind: Kind = field(compare=False)
    _zone: ZoneInfo = field(compare=False, repr=False)
    _times: WallTimes | None = field(compare=False, repr=False)
    _every: timedelta | None = field(compare=False, repr=False)

    @classmethod
    def parse(cls, expression: str, timezone: str) -> Self:
        """Read five or six fields, an alias or `@every <duration>`, in an IANA zone. Errors: `ScheduleError`."""
        zone = find_zone(timezone)
        if len(expression) > MAX_LENGTH:
            raise ScheduleError(
                f"{len(expression)} characters are more than {MAX_LENGTH}",
                field="expression",
                text=expression[:MAX_LENGTH],
                position=MAX_LENGTH,
                hint="Use several triggers",
            )
        if alias := _ALIAS.fullmatch(expression):
            if alias[1].lower() == "@every":
                every = _read_duration(alias[2].lower(), alias.start(2))
                return cls(expression, timezone, "every", zone, None, every)
            fields = parse_fields(_read_alias(alias))
        else:
            fields = parse_fields(expression)
        kind: Kind = "interval" if fields.hour.complete else "fixed"
        return cls(expression, timezone, kind, zone, WallTimes(fields), None)

    def next_after(self, instant: datetime) -> Fire | None:
        """The first fire later than an aware `instant`; None past the year 9900.

        Instants before 1900 are taken as 1900. Errors: `ValueError` for an instant without an offset.
        """
        if instant.utcoffset() is None:
            raise ValueError(f"the instant {instant.isoformat()} has no offset: give an aware datetime")
        if instant >= LATEST:
            return None
        instant = max(instant.astimezone(UTC), EARLIEST)
        named: datetime | None = None
        at: datetime | None
        if self._every is not None:
            at = _EPOCH + ((instant - _EPOCH) // self._every + 1) * self._every
        elif self._times is None:
            at = None
        elif self.kind == "fixed":
            found = next_fixed(self._times, self._zone, instant.replace(microsecond=0))
            at, named = found or (None, None)
        else:
            at = next_interval(self._times, self._zone, instant.replace(microsecond=0))
        return None if at is None or at >= LATEST else self._fire(at, named)

    def fires_after(self, instant: datetime) -> Iterator[Fire]:
        """Every fire later than `instant`, in order, without end: take as many as are wanted."""
        fire = self.next_after(instant)
        while fire is not None:
            yield fire
            fire = self.next_after(fire.at)

    def fires_between(self, start: datetime, end: datetime, limit: int | None = None) -> Iterator[Fire]:
        """The fires with `start` < at <= `end`, in order, at most `limit` of them."""
        for fire in islice(self.fires_after(start), limit):
            if fire.at > end:
                return
            yield fire

    def fires_back(self, start: datetime, end: datetime) -> Iterator[Fire]:
        """The fires with `start` < at <= `end`, the latest first; looks no farther back than it is asked to."""
        start = max(start.astimezone(UTC), EARLIEST)
        reach = timedelta(minutes=1)
        while (fire := self._latest(start, end, reach)) is not None:
            yield fire
            reach = max(end - fire.at, timedelta(seconds=1))
            end = fire.at - timedelta(microseconds=1)

    def preview(self, start: datetime, count: int) -> list[PreviewRow]:
        """Rows for the next `count` fires after `start` (aware), in order of time, and for each change of clocks that
        concerns them."""
        rows: list[PreviewRow] = []
        touching = _touching_changes(self, self._times, self._zone)
        since = start
        for fire in self.fires_between(start, datetime.max.replace(tzinfo=start.tzinfo), count):
            rows.extend(touching(since, fire.at))
            rows.append(PreviewRow("fire", fire.at, fire.local, _fire_text(fire), fire))
            since = fire.at
        return rows

    def _latest(self, start: datetime, end: datetime, reach: timedelta) -> Fire | None:
        """The last fire in (`start`, `end`], found by looking back ever farther, beginning with `reach`."""
        low = max(start, end - reach) if start < end else start
        fire = self.next_after(low)
        while fire is None or fire.at > end:
            if low <= start:
                return None
            reach *= 4
            low = max(start, end - reach) if end - start > reach else start
            fire = self.next_after(low)
        high = end
        while True:
            later = self.next_after(fire.at)
            if later is None or later.at > high:
                return fire
            # Two or more in (low, high]: halve what lies behind the second.
            fire = later
            middle = fire.at + (high - fire.at) / 2
            last = self.next_after(middle)
            if last is not None and last.at <= high:
                fire = last
            else:
                high = middle

    def _fire(self, at: datetime, named: datetime | None) -> Fire:
        local = at.astimezone(self._zone)
        if named is not None and named < local.replace(tzinfo=None):
            return Fire(at, local.isoformat(), "gap", named.isoformat())
        return Fire(at, local.isoformat(), note_of(self._zone, at))


def _read_alias(alias: re.Match[str]) -> str:
    word, rest = alias[1].lower(), alias[2]
    if word in ALIASES and not rest:
        return ALIASES[word]
    problem = f"{word!r} is a whole schedule, remove {rest!r}" if word in ALIASES else f"{word!r} is not an alias"
    raise ScheduleError(
        "@reboot names no time" if word == "@reboot" else problem,
        field="expression",
        text=alias[1],
        position=alias.start(1),
        hint=f"Write one of {', '.join(sorted(ALIASES))}, or @every 15m",
    )


def _read_duration(text: str, position: int) -> timedelta:
    """The length of `@every 1h30m`: whole numbers with units s, m, h, d; from one second to 366 days."""
    if _DURATIONS.fullmatch(text):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
        if 1 <= seconds <= _LONGEST_EVERY.total_seconds():
            return timedelta(seconds=seconds)
    raise ScheduleError(
        f"{text!r} is not a length of time from 1s to 366d",
        field="expression",
        text=text,
        position=position,
        hint="Write whole numbers with units s, m, h or d, as in @every 15m or @every 1h30m",
    )


def _fire_text(fire: Fire) -> str:
    match fire.note:
        case "gap":
            return f"instead of {(fire.named or '').replace('T', ' ')}, which does not exist"
        case "fold-first":
            return "the first of two: clocks go back and show this time again"
        case "fold-second":
            return "the second of two: clocks have gone back"
        case None:
            return ""


def _touching_changes(
    schedule: Schedule, times: WallTimes | None, zone: ZoneInfo
) -> Callable[[datetime, datetime], Iterator[PreviewRow]]:
    # No time is named in [quiet_from, quiet_until): spares looking at most changes of a rare schedule.
    quiet_from = quiet_until = datetime.min

    def rows(after: datetime, until: datetime) -> Iterator[PreviewRow]:
        nonlocal quiet_from, quiet_until
        if times is None:
            return
        for change in changes_between(zone, after, until):
            low, high = sorted((change.old_wall, change.new_wall))
            if quiet_from <= low and high <= quiet_until:
                continue
            first = times.at_or_after(low)
            quiet_from, quiet_until = low, first or datetime.max
            if first is not None and first < high:
                yield _change_row(schedule, change, _listed(times, first, high))

    return rows


def _listed(times: WallTimes, first: datetime, high: datetime) -> str:
    named = [first]
    while len(named) < 5 and (following := times.after(named[-1])) is not None and following < high:
        named.append(following)
    shown = ", ".join(_clock(wall) for wall in named[:4])
    return f"{shown} and more" if len(named) > 4 else shown


def _change_row(schedule: Schedule, change: Change, named: str) -> PreviewRow:
    old, new = change.old_wall, change.new_wall
    fixed = schedule.kind == "fixed"
    low, high = _clocks(min(old, new), max(old, new))
    span = f"{low}–{high}"
    if new > old:
        moved = f"Clocks go forward from {low} to {high}, past {named}"
        if fixed:
            return PreviewRow("shifted", change.at, span, f"{moved}: fires once, at {high}")
        return PreviewRow("skipped", change.at, span, f"{moved}: nothing fires for that")
    once = "fires the first time only" if fixed else "fires both times"
    text = f"Clocks go back from {high} to {low} and show {named} twice: {once}"
    return PreviewRow("doubled", change.at, span, text)


def _clocks(low: datetime, high: datetime) -> tuple[str, str]:
    """Two wall times, with their dates where these differ: Samoa once skipped a whole day."""
    if low.date() == high.date():
        return _clock(low), _clock(high)
    return f"{low.date()} {_clock(low)}", f"{high.date()} {_clock(high)}"


def _clock(wall: datetime) -> str:
    return wall.strftime("%H:%M:%S" if wall.second else "%H:%M")
