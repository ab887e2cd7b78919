"""Two workers on one database: one of them stands still past its lease, or both work at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.faults.processes import Site, stop, until
from tests.faults.workflows import DOCUMENTS, EXPECTED, document, effect

LEASE = 1.0


def test_a_worker_that_stood_still_writes_nothing_any_more(make_site: Callable[..., Site]) -> None:
    site = make_site(shared=True, lease=LEASE)
    stopped = site.worker().up()
    nodes = [effect("a"), effect("m", before=0.6), effect("z")]
    stopped.ask("save", workflow_id="three", document=document("three", nodes, ["a > m", "m > z"]))
    ids = [stopped.ask("start", workflow_id="three") for _ in range(5)]
    until(lambda: site.lines("m-begins") == 5)
    stop(stopped)
    site.worker().up()
    world = site.settled(ids).check()
    written = {one: world.executions[one].row["last_seq"] for one in ids}
    stopped.signal(signal.SIGCONT)
    until(lambda: site.log().count("is another worker's now") >= 5, what="the refusal of what the stale worker writes")
    time.sleep(0.3)
    world = site.world().check("after the stale worker went on")
    assert {one: world.executions[one].row["last_seq"] for one in ids} == written
    for one in ids:
        story = world.executions[one]
        assert story.status == "succeeded"
        assert [event["attempt"] for event in story.of("step.started", node="m")] == [1, 2]
        assert story.words()["a"] == story.words()["z"] == 1
    # and it is none the worse for it
    again = stopped.ask("start", workflow_id="three")
    assert site.settled([again]).check().executions[again].status == "succeeded"


def test_a_worker_that_stood_still_alone_goes_on_with_what_it_held(make_site: Callable[..., Site]) -> None:
    site = make_site(shared=True, lease=LEASE)
    worker = site.worker().up()
    worker.ask("save", workflow_id="slow", document=document("slow", [effect("m", before=2.0)], []))
    ids = [worker.ask("start", workflow_id="slow") for _ in range(5)]
    until(lambda: site.lines("m-begins") == 5)
    stop(worker)
    time.sleep(2 * LEASE)
    worker.signal(signal.SIGCONT)
    world = site.settled(ids).check()
    for one in ids:
        assert world.executions[one].words() == {"m-begins": 1, "m": 1}, world.executions[one].story()


def test_two_workers_share_the_work_and_one_is_killed(make_site: Callable[..., Site]) -> None:
    site = make_site(shared=True, lease=LEASE)
    workers = [site.worker().up(), site.worker().up()]
    for name, given in DOCUMENTS.items():
        workers[0].ask("save", workflow_id=name, document=given)
    names = ["chain", "fan", "fails", "saved", "waits", "single"]
    started = {
        workers[i % 2].ask("start", workflow_id=name, input={"n": i}): (name, {"n": i})
        for i, name in enumerate(names * 5)
    }
    time.sleep(0.05)
    workers[0].kill()
    world = site.settled(list(started)).check()
    for execution, (name, given) in started.items():
        assert EXPECTED[name].broken(world, world.executions[execution], given) is None
