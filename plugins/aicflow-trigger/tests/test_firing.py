"""Schedules at work: what fires when, in time that the test moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aicflow import StoreUnavailable
from aicflow_trigger.schedule import Schedule
from hypothesis import given, settings
from hypothesis import strategies as st

from .simulated import Recorder, SimulatedTime, at, away, lab, settle

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


async def test_each_time_fires_once_with_what_it_was_due_for() -> None:
    async with lab("2026-06-01T11:59:30") as time:
        await time.put("0 14 * * *", timezone="Europe/Amsterdam", overlap="queue", version=3)
        await time.clock.advance(29.9)
        assert time.runtime.fires == []
        await time.clock.advance(0.2)
        await time.clock.advance(DAY)
        assert time.runtime.times("%d %H:%M") == ["01 12:00", "02 12:00"]
    fire = time.runtime.fires[0]
    assert fire["payload"] == {
        "scheduled_for": "2026-06-01T12:00:00.000Z", "local": "2026-06-01T14:00:00+02:00",
        "timezone": "Europe/Amsterdam", "fired_at": "2026-06-01T12:00:00.000Z", "note": None,
    }  # fmt: skip
    assert (fire["at"], fire["scheduled_for"]) == (at("2026-06-01T12:00"), at("2026-06-01T12:00"))
    assert (fire["overlap"], fire["binding"].version) == ("queue", 3)


async def test_a_night_with_a_missing_hour_and_one_with_a_doubled_hour() -> None:
    async with lab("2026-03-28T12:00") as time:
        await time.put("30 2 * * *", timezone="Europe/Amsterdam")
        await time.clock.advance(DAY)
        assert [fire["payload"]["local"] for fire in time.runtime.fires] == ["2026-03-29T03:00:00+02:00"]
        assert time.runtime.fires[0]["payload"]["note"] == "gap"
    async with lab("2026-10-24T12:00") as time:
        await time.put("30 2 * * *", timezone="Europe/Amsterdam")
        await time.clock.advance(DAY)
        assert [fire["payload"]["local"] for fire in time.runtime.fires] == ["2026-10-25T02:30:00+02:00"]


SCHEDULES = ["* * * * *", "*/5 * * * *", "2 * * * *", "*/20 * * * * *", "@every 7m", "0 9 * * *"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SCHEDULES), st.integers(0, 40).map(lambda n: n * 15.5)), max_size=6))
def test_a_schedule_edited_at_any_moment_fires_what_was_in_force_exactly_once(
    edits: list[tuple[str, float]],
) -> None:
    async def story() -> None:
        async with lab("2026-06-01T08:55:00") as time:
            expected: set[str] = set()
            for version, (schedule, held) in enumerate(edits, 1):
                await time.put(schedule, version=version, overlap="allow")
                start = datetime.fromtimestamp(time.clock.now(), UTC)
                # the clock stands at the edit when a fire is due: the old schedule has not had its turn yet
                time.clock.set(time.clock.now() + held)
                end = datetime.fromtimestamp(time.clock.now(), UTC)
                found = Schedule.parse(schedule, "UTC").fires_between(start, end)
                recent = [fire.at for fire in found if fire.at > end - timedelta(seconds=60)]
                older = [fire.at for fire in Schedule.parse(schedule, "UTC").fires_between(start, end)][-1:]
                expected |= {moment.strftime("%H:%M:%S") for moment in recent or older}
            await time.put("0 0 1 1 *", version=99)
            assert len(time.runtime.fires) == len(expected)
            assert set(time.runtime.times("%H:%M:%S")) == expected
            assert time.runtime.duplicates == 0

    asyncio.run(story())


async def test_an_edit_while_the_fire_is_under_way_neither_loses_nor_doubles_it() -> None:
    async with lab("2026-06-01T11:59:59") as time:
        await time.put("0 12 * * *")
        time.runtime.hold = asyncio.Event()
        await time.clock.advance(1)  # it is due and hangs in the store
        editing = asyncio.create_task(time.put("0 12 * * 1-5", version=2))
        await settle()
        assert not editing.done()
        time.runtime.hold.set()
        await editing
        await time.clock.advance(HOUR)
        assert time.runtime.times() == ["12:00"]
        assert time.runtime.duplicates == 0


async def test_a_clock_set_forward_by_ten_minutes_follows_the_catch_up_rule() -> None:
    for catchup, expected in (
        ("latest", ["12:10"]),
        ("none", ["12:10"]),
        ("all", [f"12:{m:02}" for m in range(1, 11)]),
    ):
        async with lab("2026-06-01T12:00:30") as time:
            await time.put("* * * * *", catchup=catchup)
            time.clock.set(at("2026-06-01T12:10:20"))
            await time.clock.advance(31)  # the jump is noticed within half a minute
            assert time.runtime.times() == expected, catchup
    async with lab("2026-06-01T12:00:30") as time:
        await time.put("5 * * * *", catchup="none")
        time.clock.set(at("2026-06-01T12:10:20"))
        await time.clock.advance(40)
        assert time.runtime.times() == [], "missed, and not made up for"


async def test_a_clock_set_back_by_ten_minutes_fires_nothing_twice_and_goes_on() -> None:
    async with lab("2026-06-01T12:00:30") as time:
        await time.put("* * * * *")
        await time.clock.advance(10 * MINUTE)
        assert len(time.runtime.fires) == 10
        time.clock.set(at("2026-06-01T12:00:31"))
        await time.clock.advance(9 * MINUTE)
        assert len(time.runtime.fires) == 10
        await time.clock.advance(5 * MINUTE)
        assert time.runtime.times() == [f"12:{m:02}" for m in range(1, 15)]


async def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule() -> None:
    async with lab("2036-06-01T12:00:30") as time:
        await time.put("*/10 * * * *")
        await time.clock.advance(10 * MINUTE)
        time.clock.set(at("2026-06-01T12:00:30"))
        await time.clock.advance(31 * MINUTE)
        assert time.runtime.times("%Y %H:%M") == ["2036 12:10", "2026 12:10", "2026 12:20", "2026 12:30"]


async def test_a_store_that_is_away_is_tried_again_until_the_fire_is_kept() -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 12 * * *")
        with away(time.runtime):
            await time.clock.advance(40)
            assert 3 < time.runtime.refused < 9, "with pauses that grow"
        await time.clock.advance(30)
        assert time.runtime.times() == ["12:00"]
        await time.clock.advance(DAY)
        assert time.runtime.times() == ["12:00", "12:00"]
        with away(time.runtime), pytest.raises(StoreUnavailable):
            await time.put("0 13 * * *", version=2)
        assert time.trigger._entries["wf:t"].binding.version == 1, "it goes on as it was"


async def test_what_is_fired_while_the_state_cannot_be_saved_is_saved_later() -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 12 * * *")
        fire = time.runtime.fire

        async def fire_then_fail(*given: Any, **more: Any) -> Any:
            fired = await fire(*given, **more)
            time.runtime.away = True
            return fired

        time.runtime.fire = fire_then_fail  # type: ignore[method-assign]
        await time.clock.advance(20)
        assert time.runtime.state["wf:t"]["last"] < at("2026-06-01T12:00")
        time.runtime.away, time.runtime.fire = False, fire  # type: ignore[method-assign]
        await time.clock.advance(60)
        assert time.runtime.state["wf:t"]["last"] >= at("2026-06-01T12:00")
        assert (time.runtime.times(), time.runtime.duplicates) == (["12:00"], 0)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["12:00", "20:00"]),
        ({"catchup": "none"}, ["12:00"]),
        ({"catchup": "all"}, ["12:00", *(f"{hour}:00" for hour in range(13, 21))]),
        ({"catchup": "all", "window": 2.5 * HOUR}, ["12:00", "18:00", "19:00", "20:00"]),
    ],
)
async def test_a_restart_makes_up_for_what_the_rule_says(params: dict[str, Any], expected: list[str]) -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 * * * *", **params)
        await time.clock.advance(MINUTE)
        await time.restart(after=8 * HOUR + 5 * MINUTE)
        await time.put("0 * * * *", **params)
        await time.clock.advance(1)
        assert time.runtime.times() == expected
        await time.restart()
        await time.put("0 * * * *", **params)
        await time.clock.advance(1)
        assert time.runtime.times() == expected


async def test_a_host_that_dies_again_and_again_while_catching_up_makes_up_for_the_whole_window() -> None:
    async with lab("2026-06-01T12:00:30") as time:
        await time.put("* * * * *", catchup="all", overlap="allow")
        await time.restart(after=2 * DAY)
        expected = [
            datetime.fromtimestamp(at("2026-06-02T12:01") + MINUTE * minute, UTC).strftime("%d %H:%M")
            for minute in range(1440)
        ]
        deaths, fire = 0, time.runtime.fire
        while len(time.runtime.fires) < 1440:
            left = 0

            async def die_after_some(*given: Any, **more: Any) -> Any:
                nonlocal left
                left += 1
                if left > 137:
                    await asyncio.Event().wait()
                return await fire(*given, **more)

            time.runtime.fire = die_after_some  # type: ignore[method-assign]
            await time.put("* * * * *", catchup="all", overlap="allow")
            for _ in range(200):
                await time.clock.advance(0.01)
            for turn in time.trigger._turns:
                turn.cancel()
            deaths += 1
            await time.restart(after=5 * HOUR)
        assert deaths > 5, "each death puts the window off by five hours"
        assert time.runtime.times("%d %H:%M")[:1440] == expected
        assert time.runtime.duplicates <= deaths * 100, "no more than a batch is asked for again"


async def test_saving_a_workflow_does_not_wait_for_its_schedule_to_catch_up() -> None:
    async with lab("2026-06-01T12:00:30") as time:
        await time.put("* * * * *", catchup="all")
        time.clock.set(at("2026-06-02T12:00:20"))
        await time.put("* * * * *", catchup="all", version=2)
        assert 0 < len(time.runtime.fires) < 200
        await time.clock.advance(1)
        while len(time.runtime.fires) < 1440:
            await time.clock.advance(0.01)
        assert time.runtime.times("%d %H:%M")[-1] == "02 12:00"
        assert time.runtime.duplicates == 0


async def test_another_schedule_after_a_restart_has_missed_nothing() -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 * * * *")
        await time.restart(after=DAY)
        await time.put("30 * * * *", catchup="all")
        await time.clock.advance(1)
        assert time.runtime.fires == []


async def test_a_pause_is_not_made_up_for_not_even_over_a_restart() -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 * * * *", catchup="all")
        await time.clock.advance(MINUTE)
        await time.put("0 * * * *", catchup="all", paused=True)
        await time.clock.advance(3 * HOUR)
        await time.restart(after=HOUR)
        await time.put("0 * * * *", catchup="all", paused=True)
        await time.clock.advance(HOUR)
        await time.put("0 * * * *", catchup="all")
        assert time.runtime.times() == ["12:00"]
        await time.clock.advance(HOUR)
        assert time.runtime.times() == ["12:00", "18:00"]


async def test_switching_off_stops_at_once_and_switching_on_begins_anew() -> None:
    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 * * * *")
        await time.drop()
        await time.clock.advance(3 * HOUR)
        assert time.runtime.fires == []
        await time.put("0 * * * *")
        await time.clock.advance(1)
        assert time.runtime.fires == [], "what it named while it was off was not missed"
        await time.clock.advance(HOUR)
        assert time.runtime.times() == ["15:00"]
        time.runtime.state.clear()  # the workflow is deleted, then its triggers are dropped
        await time.drop()
        assert time.runtime.state == {}


async def test_dropping_in_the_middle_of_catching_up_ends_it() -> None:
    async with lab("2026-06-01T12:00:30") as time:
        await time.put("* * * * *", catchup="all")
        time.clock.set(at("2026-06-01T12:10:20"))
        time.runtime.hold = asyncio.Event()
        await time.clock.advance(31)
        await time.drop()
        time.runtime.hold.set()
        await settle()
        assert len(time.runtime.fires) <= 1


async def test_jitter_puts_off_and_loses_nothing() -> None:
    async with lab("2026-06-01T00:00:01") as time:
        await time.put("0 * * * *", jitter=3600, catchup="none", overlap="allow")
        await time.clock.advance(12 * HOUR)
        late = [fire["at"] - fire["scheduled_for"] for fire in time.runtime.fires]
        assert time.runtime.times() == [f"{hour:02}:00" for hour in range(1, len(late) + 1)]
        assert len(late) >= 11
        assert all(0 <= seconds <= 3600 for seconds in late)
        assert max(late) - min(late) > 600
        # the same on another host
        other = Recorder(SimulatedTime(at("2026-06-01T00:00:01")))
        async with lab("", other) as twin:
            await twin.put("0 * * * *", jitter=3600, catchup="none", overlap="allow")
            await twin.clock.advance(12 * HOUR)
        assert [fire["at"] for fire in other.fires] == [fire["at"] for fire in time.runtime.fires]


async def test_a_fire_that_starts_nothing_is_over_and_the_schedule_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    from aicflow import InputInvalid

    async with lab("2026-06-01T11:59:50") as time:
        await time.put("0 * * * *")
        fire = time.runtime.fire

        async def refuse(*given: Any, **more: Any) -> Any:
            raise InputInvalid([("/order", "is missing")])

        time.runtime.fire = refuse  # type: ignore[method-assign]
        await time.clock.advance(10 * MINUTE)
        assert caplog.text.count("started nothing for 2026-06-01T12:00:00.000Z") == 1
        time.runtime.fire = fire  # type: ignore[method-assign]
        await time.clock.advance(HOUR)
        assert time.runtime.times() == ["13:00"]


async def test_a_thousand_idle_schedules_wake_nobody() -> None:
    async with lab("2026-06-01T12:00") as time:
        for number in range(1_000):
            await time.put(f"{number % 60} {number % 24} 1 1 *", id=f"wf{number}:t")
        await settle()
        time.clock.waits = 0
        await time.clock.advance(10 * MINUTE)
        # the clock is looked at every half minute, whatever there is
        assert time.clock.waits <= 21
        for number in range(500):
            await time.drop(f"wf{number}:t")
        for _ in range(2_000):
            await time.put("0 0 1 1 *", id="wf999:t")
        assert len(time.trigger._timer._heap) < 1_200, "what was dropped or changed leaves nothing behind"


async def test_stopping_lets_a_fire_under_way_finish() -> None:
    async with lab("2026-06-01T11:59:59") as time:
        await time.put("0 12 * * *")
        time.runtime.hold = asyncio.Event()
        await time.clock.advance(1)
        stopping = asyncio.create_task(time.trigger.stop())
        await settle()
        assert not stopping.done()
        time.runtime.hold.set()
        await stopping
        assert time.runtime.times() == ["12:00"]
