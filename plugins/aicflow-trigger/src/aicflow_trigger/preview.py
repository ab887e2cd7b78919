"""What a schedule is about to do, in rows fit to be shown: its fires, and the changes of clocks that touch them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aicflow_trigger.schedule import Fire, Schedule
from aicflow_trigger.wall_times import WallTimes
from aicflow_trigger.zones import Change, changes_between

RowKind = Literal["fire", "skipped", "shifted", "doubled"]


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


def preview_rows(schedule: Schedule, start: datetime, count: int) -> list[PreviewRow]:
    """Rows for the next `count` fires after `start` (aware), in order of time."""
    rows: list[PreviewRow] = []
    touching = _touching_changes(schedule)
    since = start
    for fire in schedule.fires_between(start, datetime.max.replace(tzinfo=start.tzinfo), count):
        rows.extend(touching(since, fire.at))
        rows.append(PreviewRow("fire", fire.at, fire.local, _fire_text(fire), fire))
        since = fire.at
    return rows


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


def _touching_changes(schedule: Schedule) -> Callable[[datetime, datetime], Iterator[PreviewRow]]:
    times, zone = schedule._times, schedule._zone
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
