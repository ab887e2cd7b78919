"""Schedules on the days when clocks are changed.

Expected values come from the rule itself, walked minute by minute: a fixed-time schedule fires at the first moment
at which the local clock shows a named time or has passed it; an interval schedule at each moment at which it shows
one. The walk shares nothing with the code: what is named is decided here from plain sets of numbers.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from aicflow_trigger.schedule import Schedule
from hypothesis import given, settings
from hypothesis import strategies as st

MINUTE = timedelta(minutes=1)
EVERY = frozenset(range(60))
ALL_DAY = frozenset(range(24))


@dataclass(frozen=True)
class Named:
    """The wall-clock times that a five-field expression names; a union when both kinds of day are given."""

    minutes: frozenset[int] = frozenset({0})
    hours: frozenset[int] = ALL_DAY
    days: frozenset[int] | None = None
    weekdays: frozenset[int] | None = None  # 0 is Sunday

    def __contains__(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        if self.days is None and self.weekdays is None:
            return True
        by_day = self.days is not None and wall.day in self.days
        return by_day or (self.weekdays is not None and wall.isoweekday() % 7 in self.weekdays)


def at_minutes(*minutes: int) -> frozenset[int]:
    return frozenset(minutes)


@lru_cache(maxsize=1)
def readings(zone: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """What the local clock shows, minute by minute."""
    clock = ZoneInfo(zone)
    minutes = (start + n * MINUTE for n in range((end - start) // MINUTE + 1))
    return [(at, at.astimezone(clock).replace(tzinfo=None)) for at in minutes]


def walk(named: Named, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """The instants with start < at <= end at which the rule says that a schedule fires."""
    # Begin early enough for the farthest reading to be known by the time it matters.
    shown_at = readings(zone, start - timedelta(hours=25), end)
    if named.hours == ALL_DAY:
        return [at for at, shown in shown_at if at > start and shown in named]
    found: list[datetime] = []
    farthest = shown_at[0][1]
    for at, shown in shown_at:
        due = False
        while farthest < shown:
            farthest += MINUTE
            due = due or farthest in named
        if due and at > start:
            found.append(at)
    return found


SCHEDULES = {
    # fixed-time
    "30 2 * * *": Named(at_minutes(30), frozenset({2})),
    "0 2 * * *": Named(hours=frozenset({2})),
    "0 3 * * *": Named(hours=frozenset({3})),
    "15 0 * * *": Named(at_minutes(15), frozenset({0})),
    "0 0 * * *": Named(hours=frozenset({0})),
    "45 1 * * SUN": Named(at_minutes(45), frozenset({1}), weekdays=frozenset({0})),
    "10 2 1,4,5,8,15,22,25,29 * 6": Named(
        at_minutes(10), frozenset({2}), frozenset({1, 4, 5, 8, 15, 22, 25, 29}), frozenset({6})
    ),
    # ranged
    "30 1-3 * * *": Named(at_minutes(30), frozenset({1, 2, 3})),
    "15,45 0-4 * * *": Named(at_minutes(15, 45), frozenset(range(5))),
    "*/20 2 * * *": Named(at_minutes(0, 20, 40), frozenset({2})),
    "* 2 * * *": Named(EVERY, frozenset({2})),
    "*/15 0-5 * * *": Named(at_minutes(0, 15, 30, 45), frozenset(range(6))),
    "0 */2 * * *": Named(hours=frozenset(range(0, 24, 2))),
    "0 1-23/2 * * *": Named(hours=frozenset(range(1, 24, 2))),
    # step and wildcard: the hour field admits every hour
    "*/15 * * * *": Named(at_minutes(0, 15, 30, 45)),
    "0 * * * *": Named(),
    "30 * * * *": Named(at_minutes(30)),
    "7 0-23 * * *": Named(at_minutes(7)),
    "* * * * *": Named(EVERY),
    "*/40 * * * SUN": Named(at_minutes(0, 40), weekdays=frozenset({0})),
}

CHANGES = [
    ("Europe/Amsterdam", "2026-03-29"),
    ("Europe/Amsterdam", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour back
    ("Australia/Lord_Howe", "2026-10-04"),  # half an hour forward
    ("Africa/Casablanca", "2026-02-15"),  # back for Ramadan
    ("Africa/Casablanca", "2026-03-22"),  # and forward again
    ("Asia/Kathmandu", "2026-03-29"),  # never changes; +05:45
    ("America/Sao_Paulo", "2018-11-04"),  # forward at midnight
    ("America/Havana", "2026-11-01"),  # back across midnight's first hour
    ("Pacific/Apia", "2011-12-30"),  # a whole day that never was
    ("Pacific/Kwajalein", "1969-09-30"),  # nearly a day lived twice
    ("Europe/Amsterdam", "2190-10-31"),  # far past the published tables
]


@pytest.mark.parametrize("expression", SCHEDULES)
@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_fires_around_a_change_of_clocks_follow_the_rule(expression: str, zone: str, day: str) -> None:
    middle = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    start, end = middle - timedelta(hours=30), middle + timedelta(hours=30)

    fired = [fire.at for fire in Schedule.parse(expression, zone).fires_between(start, end)]

    assert fired == walk(SCHEDULES[expression], zone, start, end)


@pytest.mark.parametrize(
    ("expression", "zone", "since", "expected"),
    [
        ("30 2 * * *", "Europe/Amsterdam", "2026-03-29T00:00Z", ["03:00+02:00 gap", "02:30+02:00"]),
        ("30 2 * * *", "Europe/Amsterdam", "2026-10-25T00:00Z", ["02:30+02:00 fold-first", "02:30+01:00"]),
        ("30 1-3 * * *", "America/New_York", "2026-03-08T05:00Z", ["01:30-05:00", "03:00-04:00 gap", "03:30-04:00"]),
        ("*/20 2 * * *", "Europe/Amsterdam", "2026-03-29T00:00Z", ["03:00+02:00 gap", "02:00+02:00"]),
        ("0 2,3 * * *", "Europe/Amsterdam", "2026-03-29T00:00Z", ["03:00+02:00 gap", "02:00+02:00"]),
        (
            "0 * * * *",
            "Europe/Amsterdam",
            "2026-10-24T23:30Z",
            ["02:00+02:00 fold-first", "02:00+01:00 fold-second", "03:00+01:00"],
        ),
        ("30 * * * *", "Europe/Amsterdam", "2026-03-29T00:00Z", ["01:30+01:00", "03:30+02:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", ["02:30+11:00 gap", "02:15+11:00"]),
        ("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00Z", ["00:00+14:00 gap", "09:00+14:00"]),
        ("0 0 * * *", "Asia/Kathmandu", "2026-03-29T00:00Z", ["00:00+05:45", "00:00+05:45"]),
    ],
)
def test_a_table_to_read(expression: str, zone: str, since: str, expected: list[str]) -> None:
    schedule = Schedule.parse(expression, zone)
    fires = list(schedule.fires_between(datetime.fromisoformat(since), datetime.max.replace(tzinfo=UTC), len(expected)))
    shown = [f"{fire.local[11:16]}{fire.local[19:]} {fire.note or ''}".rstrip() for fire in fires]
    assert shown == expected


@pytest.mark.parametrize("expression", SCHEDULES)
@pytest.mark.parametrize(
    ("zone", "at"),
    [
        ("Europe/Amsterdam", "2026-03-29T01:00Z"),
        ("Europe/Amsterdam", "2026-10-25T01:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
        ("Pacific/Kwajalein", "1969-09-30T18:00Z"),
    ],
)
def test_the_next_fire_is_the_same_wherever_one_asks_from(zone: str, at: str, expression: str) -> None:
    """Also from within a doubled hour, where the local clock shows times whose turn has been."""
    middle = datetime.fromisoformat(at).astimezone(UTC)
    start, end = middle - timedelta(hours=30), middle + timedelta(hours=30)
    schedule = Schedule.parse(expression, zone)
    due = walk(SCHEDULES[expression], zone, start, end)
    for minutes in range(-170, 170, 20):
        asked = middle + timedelta(minutes=minutes)
        expected = next((moment for moment in due if moment > asked), None)
        fire = schedule.next_after(asked)
        assert fire is not None
        assert fire.at == expected or (expected is None and fire.at > end)


def test_every_follows_elapsed_time_whatever_the_clocks_do() -> None:
    schedule = Schedule.parse("@every 25m", "Europe/Amsterdam")
    start = datetime(2026, 10, 24, 20, tzinfo=UTC)
    fires = [fire.at for fire in schedule.fires_between(start, start + timedelta(hours=10))]
    assert {later - earlier for earlier, later in pairwise(fires)} == {timedelta(minutes=25)}
    assert len(fires) == 24


def test_a_fixed_time_that_moved_out_of_a_gap_says_what_it_stands_for() -> None:
    fire = Schedule.parse("30 2 * * *", "Europe/Amsterdam").next_after(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert fire is not None
    assert (fire.note, fire.named) == ("gap", "2026-03-29T02:30:00")


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(sorted({zone for zone, _ in CHANGES})),
    expression=st.sampled_from(sorted(SCHEDULES)),
    start=st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),
)
def test_any_two_days_of_a_century_follow_the_rule(zone: str, expression: str, start: datetime) -> None:
    since = start.replace(second=0, microsecond=0, tzinfo=UTC)
    until = since + timedelta(days=2)
    fired = [fire.at for fire in Schedule.parse(expression, zone).fires_between(since, until)]
    assert fired == walk(SCHEDULES[expression], zone, since, until)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(sorted({zone for zone, _ in CHANGES})),
    expression=st.sampled_from(
        [*SCHEDULES, "*/7 * 2 * * *", "0 0 29 2 *", "0 * L * 5", "@every 17m", "0 30 2 15W * ?"]
    ),
    start=st.datetimes(datetime(1900, 1, 1), datetime(2300, 1, 1)),
)
def test_fires_rise_without_repeats_and_do_not_depend_on_where_one_starts(
    zone: str, expression: str, start: datetime
) -> None:
    schedule = Schedule.parse(expression, zone)
    since = start.replace(tzinfo=UTC)
    fires = [fire.at for fire in schedule.fires_between(since, datetime.max.replace(tzinfo=UTC), 6)]
    assert fires == sorted(set(fires))
    assert fires[0] > since
    for earlier, later in pairwise(fires):
        halfway = schedule.next_after(earlier + (later - earlier) / 2)
        just_before = schedule.next_after(later - timedelta(microseconds=1))
        assert halfway is not None
        assert just_before is not None
        assert halfway.at == just_before.at == later
