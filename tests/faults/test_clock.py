"""The wall clock is moved by ten minutes while work is under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.conftest import sqlite_only
from tests.faults.processes import Site, until
from tests.faults.workflows import document, effect

TEN_MINUTES = 600.0
SHIFTS = [TEN_MINUTES, -TEN_MINUTES]


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """What the workers' clocks are wrong by."""
    file = tmp_path / "clock"
    file.write_text("0")
    return file


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("workers", [1, 2])
def test_leases_hold(make_site: Callable[..., Site], clock: Path, shift: float, workers: int) -> None:
    site = make_site(clock=str(clock), lease=1.0, shared=workers > 1)
    worker = site.worker().up()
    for _ in range(workers - 1):
        site.worker().up()
    worker.ask("save", workflow_id="slow", document=document("slow", [effect("s", before=2.0), effect("z")], ["s > z"]))
    ids = [worker.ask("start", workflow_id="slow") for _ in range(20)]
    until(lambda: site.lines("s-begins") == 20)
    clock.write_text(str(shift))
    world = site.settled(ids).check()
    for one in ids:
        assert world.executions[one].words() == {"s-begins": 1, "s": 1, "z": 1}, world.executions[one].story()


@pytest.mark.parametrize("shift", SHIFTS)
def test_pauses_last_as_long_as_they_should(make_site: Callable[..., Site], clock: Path, shift: float) -> None:
    site = make_site(clock=str(clock), park_after=60.0)
    worker = site.worker().up()
    retry = {"max_attempts": 3, "initial_delay": 1.0, "multiplier": 1, "jitter": False}
    flaky = {"id": "f", "type": "faults.flaky", "params": {"word": "f", "failures": 1}, "retry": retry}
    wait = {"id": "w", "type": "wait", "params": {"seconds": 1.0}}
    limited = {**effect("t", before=1.0), "timeout": 60, "step_timeout": 60}
    worker.ask("save", workflow_id="all", document=document("all", [flaky, wait, limited], []))
    execution = worker.ask("start", workflow_id="all")
    site.happened("f")
    until(lambda: site.world().executions[execution].of("step.retrying"))
    clock.write_text(str(shift))
    story = site.settled([execution], 10).check().executions[execution]
    assert story.status == "succeeded", story.story()
    assert story.words() == {"f": 2, "t-begins": 1, "t": 1}


@sqlite_only
def test_what_waits_for_an_instant_follows_the_wall_clock(make_site: Callable[..., Site], clock: Path) -> None:
    site = make_site(clock=str(clock), lease=1.0)
    worker = site.worker().up()
    instant = datetime.fromtimestamp(time.time() + 300, UTC).isoformat()
    wait = {"id": "w", "type": "wait", "params": {"until": instant}}
    worker.ask("save", workflow_id="waits", document=document("waits", [wait, effect("z")], ["w > z"]))
    beside = document("beside", [wait, effect("z"), effect("long", before=5.0)], ["w > z"])
    worker.ask("save", workflow_id="beside", document=beside)
    ids = [worker.ask("start", workflow_id=name) for name in ("waits", "beside")]
    until(lambda: site.world().executions[ids[0]].status == "waiting")
    clock.write_text(str(-TEN_MINUTES))
    time.sleep(0.8)
    assert not site.world().executions[ids[0]].ended
    clock.write_text(str(TEN_MINUTES))
    world = site.settled(ids, 10).check()
    assert {world.executions[one].status for one in ids} == {"succeeded"}
