"""The daylight-saving rule: from wall-clock times to real instants.

Fixed-time: each named time fires once, at the first moment at which the local clock reaches or passes it.
Interval: a fire at every moment at which the local clock shows a named time.
docs/explanation/schedules.md says why.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from aicflow_trigger.wall_times import WallTimes
from aicflow_trigger.zones import changes_between, next_change, offset_at

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
