"""What a refusal advises is itself accepted: every hint of schedules and paths, walked over all that is refused."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from aicflow_trigger.cron import CronTrigger
from aicflow_trigger.errors import ScheduleError
from aicflow_trigger.schedule import Schedule
from aicflow_trigger.webhook import WebhookTrigger

WORDS = [
    "",
    "*",
    "?",
    "0",
    "1",
    "5",
    "6",
    "7",
    "12",
    "23",
    "31",
    "59",
    "60",
    "99",
    "mon",
    "sun",
    "fri",
    "nov",
    "feb",
    "x",
    "l",
]
BODIES = [*WORDS, *(f"{low}-{high}" for low, high in product(WORDS[3:-2], repeat=2))]
ITEMS = [*BODIES, *(f"{body}/{step}" for body, step in product(BODIES, ("0", "1", "2", "7", "99", "x")))]
ITEMS += ["5,", ",", "mon#0", "mon#6", "mon#2", "lw", "l-3", "5l,1", "5,5l", "15w,1", "40w", "1#1,2"]
OTHERS = ["0", "0", "1", "1", "*"]


def refusal(expression: str, timezone: str = "UTC") -> ScheduleError | None:
    try:
        Schedule.parse(expression, timezone)
    except ScheduleError as error:
        return error
    return None


def advised(hint: str, refused: str, item: str) -> list[str]:
    """What a hint offers instead of what was refused in an item; nothing when it says to split up the trigger."""
    if number := re.fullmatch(r"Write a number from (\d+) to (\d+) after /", hint):
        return [f"{item.partition('/')[0]}/{bound}" for bound in number.groups()]
    if span := re.fullmatch(r"Write #(\d) to #(\d), as in (mon#2)", hint):
        return [f"mon#{span[1]}", f"mon#{span[2]}", span[3]]
    if day := re.fullmatch(r"Write a day up to (\d+), or L for .*", hint):
        return [day[1], "L"]
    if one := re.fullmatch(r"Write (?:numbers from )?([\w,#*-]+)(?: or ([\w-]+))?(?:,| for|$).*", hint):
        offered = [spelling for spelling in one.groups() if spelling]
        # what stands inside a range is to be a number of the span, not another range
        return offered if refused == item else [bound for span in offered for bound in span.split("-")]
    assert hint in ("Write * in one of the two fields, or use two triggers", "Use two triggers, one for each"), hint
    return []


@pytest.mark.parametrize("place", range(5))
def test_what_a_refused_field_is_to_be_is_accepted(place: int) -> None:
    refused = 0
    for item in ITEMS:
        if not item:
            continue
        fields = [*OTHERS]
        fields[place] = item
        if place == 4:
            fields[2] = "*"
        error = refusal(" ".join(fields))
        if error is None:
            continue
        refused += 1
        assert error.hint
        whole = " ".join(fields)
        assert error.position is not None
        for spelling in advised(error.hint, error.text, item):
            end = error.position + len(error.text)
            mended = whole[: error.position] + spelling + whole[end:]
            is_step = error.hint.startswith("Write a number from")  # the rest of the item is looked at later
            if is_step:
                mended = whole.replace(item, spelling)
            again = refusal(mended)
            # what else is wrong with the item is told next, never the advice
            assert again is None or item != error.text or is_step, (whole, error.hint, str(again))
            assert again is None or again.position != error.position or again.text != spelling, (whole, error.hint)
    assert refused > 50


def test_a_range_over_the_weekend_is_taken_or_the_advice_is() -> None:
    assert refusal("0 9 * * 7-1") is None
    assert refusal("0 9 * * sat-sun") is None
    for schedule, advice in (
        ("0 9 * * 6-1", "6-6,0-1"),
        ("0 22-2/3 * * *", "22,1"),
        ("0 9 * nov-feb *", "nov-12,1-feb"),
    ):
        error = refusal(schedule)
        assert error is not None
        assert error.hint == f"Write {advice}"
        assert refusal(schedule.replace(error.text, advice)) is None


@pytest.mark.parametrize("text", ["@reboot", "@dayly", "@daily 5", "@every", "@every 0s", "@every 1w", "@every 400d"])
def test_every_alias_that_is_offered_is_one(text: str) -> None:
    error = refusal(text)
    assert error is not None
    offered = re.findall(r"@every \w+|@\w+", error.hint or "")
    assert offered
    assert [refusal(one) for one in offered] == [None] * len(offered)


@pytest.mark.parametrize("zone", ["europe/amsterdm", "Amsterdam", "GMT+25", "", "nowhere at all"])
def test_every_zone_that_is_offered_is_one(zone: str) -> None:
    error = refusal("@daily", zone)
    assert error is not None
    offered = re.findall(r"[A-Z]\w*(?:/[\w+-]+)+|UTC", error.hint or "")
    assert offered
    assert [refusal("@daily", one) for one in offered] == [None] * len(offered)


def test_the_jitter_that_is_offered_is_accepted() -> None:
    for schedule in ("* * * * *", "*/7 * * * * *", "0 9,10 * * *", "@every 90s"):
        params: dict[str, Any] = {"schedule": schedule, "jitter": 3_600}
        for issue in CronTrigger.check(params):
            allowed = re.fullmatch(r"Allow ([\d.]+) s at most\.", issue.hint or "")
            assert allowed
            assert not CronTrigger.check({**params, "jitter": float(allowed[1])})


@pytest.mark.parametrize(
    "path",
    ["", "a//b", "/", "a/../b", "{x", "{x}y", "{1}", "a b", "é", "a?b", "{x}/{x}", "%zz", "~test/x", "${{ vars.p }}"],
)
def test_a_refused_path_says_what_to_write(path: str) -> None:
    for issue in WebhookTrigger.check({"path": path}):
        assert issue.hint
        for quoted in re.findall(r"write ([\w%/{}.-]+)", issue.hint):
            assert not WebhookTrigger.check({"path": quoted}), (path, issue.hint)
