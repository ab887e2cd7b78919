"""Writing schedules: what is understood, what is refused, and what the refusal says."""

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from aicflow_trigger.errors import ScheduleError
from aicflow_trigger.schedule import Schedule
from hypothesis import example, given, settings
from hypothesis import strategies as st

START = datetime(2026, 1, 1, tzinfo=UTC)


def first(expression: str, count: int = 3, start: datetime = START) -> list[str]:
    fires = Schedule.parse(expression, "UTC").fires_between(start, datetime.max.replace(tzinfo=UTC), count)
    return [fire.at.strftime("%Y-%m-%d %H:%M:%S") for fire in fires]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5 4 * * *", ["2026-01-01 04:05:00", "2026-01-02 04:05:00", "2026-01-03 04:05:00"]),
        ("30 5 4 * * *", ["2026-01-01 04:05:30", "2026-01-02 04:05:30", "2026-01-03 04:05:30"]),
        ("*/25 * * * * *", ["2026-01-01 00:00:25", "2026-01-01 00:00:50", "2026-01-01 00:01:00"]),
        ("0 0 * jan,JUL mon", ["2026-01-05 00:00:00", "2026-01-12 00:00:00", "2026-01-19 00:00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"]),
        ("0 0 * * fri-sun", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("0 0 10/10 * ?", ["2026-01-10 00:00:00", "2026-01-20 00:00:00", "2026-01-30 00:00:00"]),
        ("0 0 13 * 5", ["2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"]),
        ("0 0 15,L * *", ["2026-01-15 00:00:00", "2026-01-31 00:00:00", "2026-02-15 00:00:00"]),
        ("0 0 1W * *", ["2026-02-02 00:00:00", "2026-03-02 00:00:00", "2026-04-01 00:00:00"]),
        ("0 0 * * tue#2", ["2026-01-13 00:00:00", "2026-02-10 00:00:00", "2026-03-10 00:00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-03-27 00:00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        ("0 0 31 * *", ["2026-01-31 00:00:00", "2026-03-31 00:00:00", "2026-05-31 00:00:00"]),
        ("@hourly", ["2026-01-01 01:00:00", "2026-01-01 02:00:00", "2026-01-01 03:00:00"]),
        ("@daily", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("@midnight", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("@WEEKLY", ["2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"]),
        ("@monthly", ["2026-02-01 00:00:00", "2026-03-01 00:00:00", "2026-04-01 00:00:00"]),
        ("@yearly", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("@annually", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("@every 15m", ["2026-01-01 00:15:00", "2026-01-01 00:30:00", "2026-01-01 00:45:00"]),
        ("@every 1h30m", ["2026-01-01 01:30:00", "2026-01-01 03:00:00", "2026-01-01 04:30:00"]),
        ("  @every\t45s ", ["2026-01-01 00:00:45", "2026-01-01 00:01:30", "2026-01-01 00:02:15"]),
    ],
)
def test_what_can_be_written(expression: str, expected: list[str]) -> None:
    assert first(expression) == expected


@pytest.mark.parametrize(
    ("expression", "field", "text", "position", "hint"),
    [
        ("61 * * * *", "minute", "61", 0, "Write 0-59"),
        ("0 25 * * *", "hour", "25", 2, "Write 0-23"),
        ("0 0 0 * *", "day-of-month", "0", 4, "Write 1-31"),
        ("0 0 1 foo *", "month", "foo", 6, "1-12 or jan-dec"),
        ("0 0 * * 8", "day-of-week", "8", 8, "0-7 or sun-sat"),
        ("99 0 0 1 1 *", "second", "99", 0, "Write 0-59"),
        ("0 1,2,,3 * * *", "hour", "", 6, "Write numbers"),
        ("0 10,20-30 * * *", "hour", "30", 8, "Write 0-23"),
        ("0 22-2 * * *", "hour", "22-2", 2, "Write 22-23,0-2"),
        ("*/0 * * * *", "minute", "*/0", 2, "1 to 59"),
        ("*/60 * * * *", "minute", "*/60", 2, "1 to 59"),
        ("*/x * * * *", "minute", "*/x", 2, "1 to 59"),
        ("? * * * *", "minute", "?", 0, "Write *"),
        ("0 0 30 2 *", "day-of-month", "30", 4, "up to 29, or L"),
        ("0 0 31 4,6,9,11 *", "day-of-month", "31", 4, "up to 30, or L"),
        ("0 0 30W feb ?", "day-of-month", "30W", 4, "up to 29, or L"),
        ("0 0 * * mon#6", "day-of-week", "mon#6", 8, "#1 to #5"),
        ("0 0 * * 1,2#1", "day-of-week", "1,2#1", 8, "two triggers"),
        ("0 0 1 * 2#1", "day-of-week", "2#1", 8, "two triggers"),
        ("0 0 LW * *", "day-of-month", "lw", 4, "last day"),
        ("0 0 * * L", "day-of-week", "l", 8, "5L"),
        ("* * * *", "expression", "* * * *", 0, "minute hour day-of-month"),
        ("0 0 12 * * ? 2030", "expression", "0 0 12 * * ? 2030", 0, "Years are not supported"),
        ("TZ=UTC 0 0 0 * * *", "expression", "TZ=UTC 0 0 0 * * *", 0, "timezone"),
        ("", "expression", "", 0, "Write `minute"),
        ("@reboot", "expression", "@reboot", 0, "@daily"),
        ("@fortnightly", "expression", "@fortnightly", 0, "@weekly"),
        (" @Daily now", "expression", "@Daily", 1, "@hourly"),
        ("@every", "expression", "", 6, "@every 15m"),
        ("@every 0s", "expression", "0s", 7, "@every 15m"),
        ("@every 0\t0", "expression", "0\t0", 7, "@every 15m"),
        ("@every 1.5h", "expression", "1.5h", 7, "@every 15m"),
        ("@every 400d", "expression", "400d", 7, "@every 15m"),
        ("٣ * * * *", "minute", "٣", 0, "Write 0-59"),
        ("0 0 * * *\u00a0", "day-of-week", "*\u00a0", 8, "Write 0-7"),
        ("* " * 200, "expression", ("* " * 200)[:256], 256, "several triggers"),
    ],
)
def test_what_is_refused_and_where(expression: str, field: str, text: str, position: int, hint: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        Schedule.parse(expression, "UTC")
    error = caught.value
    assert (error.field, error.text, error.position) == (field, text, position)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("name", "guess"),
    [("Europe/Amsterdm", "Europe/Amsterdam"), ("amsterdam", "Europe/Amsterdam"), ("new_york", "America/New_York")],
)
def test_an_unknown_zone_is_answered_with_a_near_one(name: str, guess: str) -> None:
    with pytest.raises(ScheduleError, match=f"Did you mean.*{guess}") as caught:
        Schedule.parse("@daily", name)
    assert caught.value.field == "timezone"


@pytest.mark.parametrize("name", ["", "America", "../../etc/passwd", "/etc/localtime", "a\0b", "x" * 9_999, "\ud800"])
def test_odd_zone_names_are_refused(name: str) -> None:
    with pytest.raises(ScheduleError):
        Schedule.parse("@daily", name)


def test_instants_need_an_offset_and_far_ends_are_calm() -> None:
    schedule = Schedule.parse("0 0 29 2 *", "Pacific/Kiritimati")
    with pytest.raises(ValueError, match="no offset"):
        schedule.next_after(datetime(2026, 1, 1))
    assert schedule.next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert schedule.next_after(datetime(9899, 1, 1, tzinfo=UTC)) is None
    early = schedule.next_after(datetime.min.replace(tzinfo=UTC))
    assert early is not None
    assert early.local.startswith("1904-02-29T00:00:00")


PIECES = st.sampled_from([*"0123456789*/-,?LW#@ \t", "mon", "feb", "@every ", "15m", "60", "31", "٣", "*/5", "-"])


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=24).map("".join) | st.text(max_size=40))
@example("0 0 * * 0-0")
@example("0 0 1-1 * *")
@example("59/15 * * * *")
def test_any_text_is_a_schedule_or_a_schedule_error(text: str) -> None:
    try:
        schedule = Schedule.parse(text, "Europe/Amsterdam")
    except ScheduleError:
        return
    fires = list(schedule.fires_between(START, datetime.max.replace(tzinfo=UTC), 3))
    assert len(fires) == 3
    assert all(earlier.at < later.at for earlier, later in pairwise(fires))


def _numbers(low: int, high: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(low, high), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(
    minutes=_numbers(0, 59),
    hours=_numbers(0, 23),
    days=st.none() | _numbers(1, 31),
    months=st.none() | _numbers(1, 12),
    weekdays=st.none() | _numbers(0, 6),
    start=st.dates(date(1971, 1, 1), date(2200, 1, 1)),
)
def test_days_are_those_of_the_calendar(
    minutes: frozenset[int],
    hours: frozenset[int],
    days: frozenset[int] | None,
    months: frozenset[int] | None,
    weekdays: frozenset[int] | None,
    start: date,
) -> None:
    """Against a plain walk over dates: a union when day-of-month and day-of-week are both given."""
    expression = " ".join(
        "*" if numbers is None else ",".join(map(str, numbers)) for numbers in (minutes, hours, days, months, weekdays)
    )
    longest = max((29 if m == 2 else calendar.monthrange(2024, m)[1]) for m in months or range(1, 13))
    if days is not None and min(days) > longest:
        with pytest.raises(ScheduleError, match="never comes"):
            Schedule.parse(expression, "UTC")
        return

    def named(day: date) -> bool:
        if months is not None and day.month not in months:
            return False
        if days is None and weekdays is None:
            return True
        by_day = days is not None and day.day in days
        return by_day or (weekdays is not None and day.isoweekday() % 7 in weekdays)

    walked = [start + timedelta(days=n) for n in range(400)]
    expected = [day for day in walked if named(day)][:5]
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    fires = Schedule.parse(expression, "UTC").fires_between(
        midnight - timedelta(seconds=1), midnight + timedelta(days=400), 5 * len(minutes) * len(hours)
    )
    fired = list(dict.fromkeys(fire.at.date() for fire in fires if fire.at < midnight + timedelta(days=400)))
    assert fired == expected
