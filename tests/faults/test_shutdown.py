"""SIGTERM: claim nothing more, let short steps end, hand the rest back, be gone in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.processes import Site
from tests.faults.workflows import document, effect

LATEST = 9.0
"""Seconds for an end that is promised after a grace period of one second: generous, for busy machines."""


def test_short_steps_end_and_the_rest_is_handed_back(make_site: Callable[..., Site]) -> None:
    site = make_site(grace=3.0)
    worker = site.worker().up()
    short = [effect("s", before=0.4), effect("t")]
    worker.ask("save", workflow_id="short", document=document("short", short, ["s > t"]))
    one = {**document("one", [effect("o", before=0.4)], []), "settings": {"max_concurrency": 1}}
    worker.ask("save", workflow_id="one", document=one)
    ids = [worker.ask("start", workflow_id="short"), *(worker.ask("start", workflow_id="one") for _ in range(2))]
    site.happened("s-begins")
    site.happened("o-begins")
    worker.signal(signal.SIGTERM)
    assert worker.join(LATEST) == 0
    world = site.world().check()
    # the steps under way ended, those after them did not begin, what was queued stayed so
    assert [world.executions[one].status for one in ids] == ["queued", "succeeded", "queued"]
    assert world.executions[ids[0]].words() == {"s-begins": 1, "s": 1}
    site.worker().up()
    world = site.settled(ids).check()
    assert {world.executions[one].status for one in ids} == {"succeeded"}
    assert world.executions[ids[0]].words() == {"s-begins": 1, "s": 1, "t": 1}


@pytest.mark.parametrize("kind", ["effect", "block", "deaf", "child"])
def test_a_long_step_is_interrupted_and_begins_again(make_site: Callable[..., Site], kind: str) -> None:
    params = {
        "effect": {"word": "l", "before": 60},
        "block": {"word": "l", "after": 60},
        "deaf": {"word": "l"},
        "child": {"word": "l"},
    }[kind]
    site = make_site(grace=0.3)
    worker = site.worker().up()
    long = document("long", [{"id": "l", "type": f"faults.{kind}", "params": params}], [])
    worker.ask("save", workflow_id="long", document=long)
    execution = worker.ask("start", workflow_id="long")
    while not site.world().executions[execution].lines:
        time.sleep(0.01)
    worker.signal(signal.SIGTERM)
    assert worker.join(LATEST) == 0
    assert site.world().check().executions[execution].status == "queued"
    worker = site.worker().up()
    while len(site.world().executions[execution].of("step.started")) < 2:
        time.sleep(0.01)
    worker.ask("cancel", execution_id=execution)
    story = site.settled([execution], 5).check().executions[execution]
    assert story.status == "cancelled"


def test_pauses_and_waits_do_not_hold_it_up(make_site: Callable[..., Site]) -> None:
    site = make_site(grace=60.0, park_after=60.0)  # nothing is parked by itself
    worker = site.worker().up()
    retry = {"max_attempts": 9, "initial_delay": 30, "jitter": False}
    flaky = {"id": "f", "type": "faults.flaky", "params": {"word": "f"}, "retry": retry}
    wait = {"id": "w", "type": "wait", "params": {"seconds": 30}}
    worker.ask("save", workflow_id="pauses", document=document("pauses", [flaky], []))
    worker.ask("save", workflow_id="waits", document=document("waits", [effect("a"), wait], ["a > w"]))
    ids = [worker.ask("start", workflow_id="pauses"), worker.ask("start", workflow_id="waits")]
    site.happened("f")
    while not all(site.world().executions[one].of("step.waiting", "step.retrying") for one in ids):
        time.sleep(0.01)
    worker.signal(signal.SIGTERM)
    assert worker.join(LATEST) == 0
    assert {one.status for one in site.world().check().executions.values()} == {"waiting"}
