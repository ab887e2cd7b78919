"""Time zones: finding one by its name, and the moments at which its clocks are changed."""

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

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
        f"{name[:64]!r} is not a known time zone",
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
