"""The daylight-saving rule: from wall-clock times to real instants.

Fixed-time: each named time fires once, at the first moment at which the local clock reaches or passes it.
Interval: a fire at every moment at which the local clock shows a named time.
docs/explanation/schedules.md says why. croniter walks the calendar; it is only ever shown naive times and the plain
form of expressions that `cron_fields` has read, because its own zone handling fires twice when clocks go back, and its
own reading is more lenient than ours.
"""

import difflib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from aicflow import cut

from aicflow_trigger.cron_fields import CronFields
from aicflow_trigger.errors import ScheduleError

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """Clocks are changed: `at` this moment (UTC) the offset `before` gives way to `after`."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def old_wall(self) -> datetime:
        """What the clock would have shown at this moment, had it not been changed (naive)."""
        return (self.at + self.before).replace(tzinfo=None)

    @property
    def new_wall(self) -> datetime:
        """What the clock shows from this moment on (naive)."""
        return (self.at + self.after).replace(tzinfo=None)


def find_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name such as Europe/Amsterdam. Errors: `ScheduleError` with near names."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        pass
    known = sorted(available_timezones())
    folded = {zone.casefold(): zone for zone in known}
    near = difflib.get_close_matches(name[:64].casefold(), folded, n=3, cutoff=0.6)
    near += [zone.casefold() for zone in known if name and zone.rpartition("/")[2] == name.title()][:1]
    guess = ", ".join(dict.fromkeys(folded[zone] for zone in near))
    raise ScheduleError(
        f"{cut(name, 64)!r} is not a known time zone",
        field="timezone",
        text=name,
        position=None,
        hint=f"Did you mean {guess}?" if guess else "Write an IANA name such as Europe/Amsterdam, or UTC",
    )


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    """How far the zone's clocks are ahead of UTC at an aware instant."""
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def next_change(zone: ZoneInfo, after: datetime, until: datetime) -> Change | None:
    """The first change of clocks with `after` < at <= `until` (aware UTC)."""
    for year in range(after.year, until.year + 1):
        for change in _changes_of_year(zone, year):
            if change.at > until:
                return None
            if change.at > after:
                return change
    return None


def changes_between(zone: ZoneInfo, after: datetime, until: datetime) -> list[Change]:
    """Every change of clocks with `after` < at <= `until` (aware UTC), in order."""
    return [
        change
        for year in range(after.year, until.year + 1)
        for change in _changes_of_year(zone, year)
        if after < change.at <= until
    ]


@lru_cache(maxsize=4096)
def _changes_of_year(zone: ZoneInfo, year: int) -> tuple[Change, ...]:
    """Probed a day at a time: zoneinfo does not publish its table, and rules go on past its end."""
    found: list[Change] = []
    low = datetime(year, 1, 1, tzinfo=UTC) - _SECOND
    offset = offset_at(zone, low)
    end = datetime(year + 1, 1, 1, tzinfo=UTC) - _SECOND
    while low < end:
        high = min(low + _DAY, end)
        while offset_at(zone, high) != offset:
            at = _first_moment(zone, low, high, offset)
            after = offset_at(zone, at)
            found.append(Change(at, offset, after))
            low, offset = at, after
        low = high
    return tuple(found)


def _first_moment(zone: ZoneInfo, low: datetime, high: datetime, offset: timedelta) -> datetime:
    """The first second in (low, high] at which the offset is no longer `offset`."""
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if offset_at(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


_LONGEST_WAIT_YEARS: Final = 50  # a fifth Monday in February comes every 28 years, or 40 across 2100


class WallTimes:
    """Walks the named wall-clock times in order; safe to share between threads."""

    def __init__(self, fields: CronFields) -> None:
        from croniter import croniter

        self._lock = threading.Lock()  # croniter keeps its cursor on the instance
        self._iterator = croniter(
            fields.plain,
            datetime(2000, 1, 1),
            ret_type=datetime,
            second_at_beginning=fields.second is not None,
            max_years_between_matches=_LONGEST_WAIT_YEARS,
        )

    def after(self, wall: datetime) -> datetime | None:
        """The first named time later than the naive `wall`; None past the end of the calendar."""
        try:
            with self._lock:
                return self._iterator.get_next(datetime, start_time=wall)
        except (OverflowError, ValueError):  # croniter's errors are ValueErrors
            return None

    def at_or_after(self, wall: datetime) -> datetime | None:
        """The first named time not earlier than the naive `wall` (whole seconds)."""
        return self.after(wall - _SECOND)


Note = Literal["gap", "fold-first", "fold-second"]

_NEAR: Final = timedelta(hours=26)  # farther than any zone is from UTC, and than any change moves a clock
_FAR: Final = timedelta(days=3)


def next_fixed(times: WallTimes, zone: ZoneInfo, instant: datetime) -> tuple[datetime, datetime] | None:
    """The first fire of a fixed-time schedule after `instant` (UTC), and the wall time it stands for."""
    shown = (instant + offset_at(zone, instant)).replace(tzinfo=None)
    named: datetime | None = None
    for change in changes_between(zone, instant - _NEAR, instant):
        if shown < change.old_wall:
            # The clock went back: it shows times again whose turn has already been.
            named = times.at_or_after(change.old_wall)
    named = named or times.after(shown)
    return None if named is None else (_first_reached(zone, named), named)


def _first_reached(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first moment at which the zone's clock shows `wall` or later."""
    as_utc = wall.replace(tzinfo=UTC)
    offset = offset_at(zone, as_utc - _NEAR)
    for change in changes_between(zone, as_utc - _NEAR, as_utc + _NEAR):
        if as_utc - offset < change.at:
            break
        if change.new_wall >= wall:
            return change.at
        offset = change.after
    return as_utc - offset


def next_interval(times: WallTimes, zone: ZoneInfo, instant: datetime) -> datetime | None:
    """The first moment after `instant` (UTC) at which the zone's clock shows a named time."""
    offset = offset_at(zone, instant)
    shown = (instant + offset).replace(tzinfo=None)
    named = times.after(shown)
    while named is not None:
        moment = named.replace(tzinfo=UTC) - offset
        change = next_change(zone, instant, moment)
        if change is None:
            return moment
        instant, offset = change.at, change.after
        if change.new_wall <= shown or change.new_wall > named:
            # Only now does the clock come to show times that lie outside (shown, named].
            named = times.at_or_after(change.new_wall)
        elif named - change.new_wall > _FAR:
            # Nothing is named for days: no change of clocks in between can matter.
            instant = named.replace(tzinfo=UTC) - _FAR
            offset = offset_at(zone, instant)
    return None


def note_of(zone: ZoneInfo, instant: datetime) -> Note | None:
    """Whether the local time shown at `instant` (UTC) is shown twice, and which of the two this is."""
    shown = (instant + offset_at(zone, instant)).replace(tzinfo=None)
    for change in changes_between(zone, instant - _NEAR, instant + _NEAR):
        if change.new_wall <= shown < change.old_wall:
            return "fold-second" if change.at <= instant else "fold-first"
    return None
