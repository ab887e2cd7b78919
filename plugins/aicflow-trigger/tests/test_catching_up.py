"""After a pause: which fires are still due, how far back one looks, and jitter that every host agrees on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aicflow_trigger.catchup import Due, due_fires, jitter
from aicflow_trigger.schedule import Fire, Schedule
from hypothesis import given, settings
from hypothesis import strategies as st

NOON = datetime(2026, 6, 1, 12, 0, 0, 5_000, tzinfo=UTC)


def times(due: Due) -> list[str]:
    return [fire.at.strftime("%d %H:%M:%S") for fire in due.fires]


def test_a_fire_whose_moment_has_just_come_is_due_under_every_policy() -> None:
    schedule = Schedule.parse("@hourly", "UTC")
    for policy in ("none", "latest", "all"):
        assert times(due_fires(schedule, NOON - timedelta(hours=1), NOON, policy)) == ["01 12:00:00"]


def test_nothing_is_due_twice() -> None:
    schedule = Schedule.parse("@hourly", "UTC")
    handled = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert due_fires(schedule, handled, NOON, "all") == Due((), NOON)
    assert due_fires(schedule, NOON, handled, "all") == Due((), NOON)


def test_after_a_night_off_the_policies_differ() -> None:
    schedule = Schedule.parse("30 */3 * * *", "UTC")
    last = NOON - timedelta(days=2)
    assert due_fires(schedule, last, NOON, "none") == Due((), NOON)
    assert times(due_fires(schedule, last, NOON, "latest")) == ["01 09:30:00"]
    assert times(due_fires(schedule, last, NOON, "all", window=timedelta(hours=10))) == [
        "01 03:30:00",
        "01 06:30:00",
        "01 09:30:00",
    ]


def test_latest_is_content_with_a_fire_that_is_on_time() -> None:
    schedule = Schedule.parse("@hourly", "UTC")
    assert times(due_fires(schedule, NOON - timedelta(hours=9), NOON, "latest")) == ["01 12:00:00"]


def test_batches_begin_with_the_oldest_and_say_that_there_are_more() -> None:
    schedule = Schedule.parse("* * * * * *", "UTC")
    last, seen = NOON - timedelta(days=300), []
    while (due := due_fires(schedule, last, NOON, "all", window=timedelta(seconds=8), limit=3)).fires:
        seen.append((times(due), due.more))
        last = due.reached
    assert seen == [
        (["01 11:59:53", "01 11:59:54", "01 11:59:55"], True),
        (["01 11:59:56", "01 11:59:57", "01 11:59:58"], True),
        (["01 11:59:59", "01 12:00:00"], False),
    ]


def test_what_was_inside_the_window_once_stays_owed() -> None:
    schedule = Schedule.parse("0 * * * *", "UTC")
    last = NOON - timedelta(days=2)
    begun = last + timedelta(hours=3)
    due = due_fires(schedule, last, NOON, "all", window=timedelta(hours=2), owed_until=begun, limit=3)
    assert times(due) == ["30 13:00:00", "30 14:00:00", "30 15:00:00"]
    due = due_fires(schedule, due.reached, NOON, "all", window=timedelta(hours=2), owed_until=begun)
    assert times(due) == ["01 11:00:00", "01 12:00:00"], "later ones are measured by the window as it is now"


def test_a_rare_schedule_is_found_far_back() -> None:
    schedule = Schedule.parse("0 0 29 2 *", "Europe/Amsterdam")
    due = due_fires(schedule, datetime(1999, 1, 1, tzinfo=UTC), NOON, "latest")
    assert [fire.local for fire in due.fires] == ["2024-02-29T00:00:00+01:00"]


@settings(max_examples=80, deadline=None)
@given(
    expression=st.sampled_from(
        ["*/7 * * * *", "30 2 * * *", "0 */6 * * 1", "@every 11m", "*/20 2 * * *", "5,6,7 4 1 * *", "0 * * * 0"]
    ),
    end=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    hours=st.integers(0, 24 * 40),
)
def test_looking_back_finds_the_same_fires_as_looking_forward(expression: str, end: datetime, hours: int) -> None:
    schedule = Schedule.parse(expression, "America/New_York")
    until = end.replace(tzinfo=UTC)
    since = until - timedelta(hours=hours)
    forward = list(schedule.fires_between(since, until))[-20:]
    backward: Iterator[Fire] = schedule.fires_back(since, until)
    assert [fire for fire, _ in zip(backward, range(20), strict=False)] == forward[::-1]


def test_jitter_is_the_same_everywhere_and_spreads_out() -> None:
    schedule = Schedule.parse("@hourly", "UTC")
    fires = list(schedule.fires_between(NOON, NOON + timedelta(days=90), 1000))
    offsets = [jitter("workflow/nightly", fire, 30) for fire in fires]
    assert offsets == [jitter("workflow/nightly", fire, 30) for fire in fires]
    assert offsets != [jitter("workflow/other", fire, 30) for fire in fires]
    assert all(0 <= offset < 30 for offset in offsets)
    assert sum(offsets) / len(offsets) == pytest.approx(15, abs=1.5)
    assert jitter("t", fires[0], 0) == 0.0
    # A stored deployment must not be shuffled by an upgrade.
    assert jitter("t", fires[0], 100) == pytest.approx(jitter("t", fires[0], 10) * 10)
