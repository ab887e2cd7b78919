"""The preview: the next fires, and a word on each change of clocks that touches the schedule."""

from datetime import UTC, datetime

from aicflow_trigger.schedule import Schedule


def rows(expression: str, zone: str, start: str, count: int) -> list[tuple[str, str, str]]:
    since = datetime.fromisoformat(start).replace(tzinfo=UTC)
    preview = Schedule.parse(expression, zone).preview(since, count)
    return [(row.kind, row.local, row.text) for row in preview]


def test_a_skipped_time_is_shown_with_where_it_goes() -> None:
    assert rows("30 2 * * *", "Europe/Amsterdam", "2026-03-28T00:00", 3) == [
        ("fire", "2026-03-28T02:30:00+01:00", ""),
        ("shifted", "02:00–03:00", "Clocks go forward from 02:00 to 03:00, past 02:30: fires once, at 03:00"),
        ("fire", "2026-03-29T03:00:00+02:00", "instead of 2026-03-29 02:30:00, which does not exist"),
        ("fire", "2026-03-30T02:30:00+02:00", ""),
    ]


def test_a_doubled_time_fires_the_first_time_only() -> None:
    shown = rows("30 2 * * *", "Europe/Amsterdam", "2026-10-25T00:00", 2)
    assert [row[0] for row in shown] == ["fire", "doubled", "fire"]
    assert shown[1][2] == "Clocks go back from 03:00 to 02:00 and show 02:30 twice: fires the first time only"


def test_an_interval_runs_through_both_hours_and_leaves_the_missing_one_out() -> None:
    autumn = rows("*/30 * * * *", "Europe/Amsterdam", "2026-10-24T23:50", 4)
    assert [row[0] for row in autumn] == ["fire", "fire", "doubled", "fire", "fire"]
    spring = rows("*/5 * * * *", "Europe/Amsterdam", "2026-03-29T00:54", 2)
    assert [(row[0], row[1]) for row in spring] == [
        ("fire", "2026-03-29T01:55:00+01:00"),
        ("skipped", "02:00–03:00"),
        ("fire", "2026-03-29T03:00:00+02:00"),
    ]
    assert spring[1][2].endswith("past 02:00, 02:05, 02:10, 02:15 and more: nothing fires for that")


def test_changes_that_touch_no_named_time_are_not_mentioned() -> None:
    assert {row[0] for row in rows("0 9 * * *", "Europe/Amsterdam", "2026-01-01T00:00", 400)} == {"fire"}
    assert {row[0] for row in rows("0 * 29 2 *", "Europe/Amsterdam", "2026-01-01T00:00", 60)} == {"fire"}
    assert {row[0] for row in rows("@every 15m", "Europe/Amsterdam", "2026-03-29T00:00", 9)} == {"fire"}


def test_a_day_that_never_was_is_named_with_its_dates() -> None:
    shown = rows("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00", 1)
    assert shown[0][1] == "2011-12-30 00:00–2011-12-31 00:00"


def test_no_fires_were_asked_for() -> None:
    assert rows("@daily", "UTC", "2026-01-01T00:00", 0) == []
