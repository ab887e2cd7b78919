"""Cancel ends an execution whatever it is doing, and what was to come after it does not happen.

The promise is two seconds; a test on a busy machine allows some more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.history import ExecutionStory
from tests.faults.processes import Site, WorkerProcess, alive, until
from tests.faults.workflows import document, effect

SOON = 6.0


def cancelled(site: Site, worker: WorkerProcess, execution: str) -> ExecutionStory:
    """Cancel and wait for the end."""
    worker.ask("cancel", execution_id=execution)
    story = site.settled([execution], SOON).check().executions[execution]
    assert story.status == "cancelled", story.story()
    return story


@pytest.mark.parametrize(("engine", "timeout"), [("native", None), ("langgraph", None), ("native", 60)])
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("effect", {"word": "l", "before": 1.5}),
        ("block", {"word": "l", "before": 1.5}),
        ("block", {"word": "first", "after": 1.5}),
        ("deaf", {"word": "first-begins", "seconds": 1.5}),
        ("child", {"word": "l"}),
        ("child", {"word": "l", "patience": 0.2}),
    ],
)
def test_a_running_node(
    make_site: Callable[..., Site], kind: str, params: dict[str, Any], engine: str, timeout: int | None
) -> None:
    site = make_site(engine=engine)
    worker = site.worker().up()
    node = {"id": "l", "type": f"faults.{kind}", "params": params, **({"timeout": timeout} if timeout else {})}
    worker.ask("save", workflow_id="long", document=document("long", [node, effect("next")], ["l > next"]))
    execution = worker.ask("start", workflow_id="long")
    until(lambda: site.world().executions[execution].lines)
    story = cancelled(site, worker, execution)
    time.sleep(1.6)  # the time at which it would have had its effect
    later = site.world().executions[execution]
    if kind != "deaf":  # which does not listen, and is told so: its effect is its own
        assert later.words() == story.words()
        assert not later.words().keys() & {"l", "next"}
    assert "next" not in later.words()
    until(lambda: worker.ask("running") == 0)
    if "patience" in params:  # else the node itself waits for its child for a minute, and is left behind
        pid = int(next(iter(later.words())).rpartition("-")[2])
        until(lambda: not alive(pid), what="the end of the child process")


def test_a_slot_that_a_deaf_node_keeps_is_given_away(make_site: Callable[..., Site]) -> None:
    site = make_site(max_running=1)
    worker = site.worker().up()
    deaf = {"id": "d", "type": "faults.deaf", "params": {"word": "d"}}
    worker.ask("save", workflow_id="deaf", document=document("deaf", [deaf], []))
    worker.ask("save", workflow_id="quick", document=document("quick", [effect("q")], []))
    execution = worker.ask("start", workflow_id="deaf")
    site.happened("d-begins")
    other = worker.ask("start", workflow_id="quick")
    cancelled(site, worker, execution)
    assert site.settled([other], SOON).executions[other].status == "succeeded"


def test_many_blocking_nodes_do_not_use_up_the_threads(site: Site) -> None:
    worker = site.worker().up()
    block = {"id": "b", "type": "faults.block", "params": {"word": "b", "after": 60}}
    worker.ask("save", workflow_id="block", document=document("block", [block], []))
    quick = {"id": "q", "type": "faults.block", "params": {"word": "q"}}
    worker.ask("save", workflow_id="quick", document=document("quick", [quick], []))
    ids = [worker.ask("start", workflow_id="block") for _ in range(32)]
    until(lambda: site.lines("b") == 32)
    for one in ids:
        worker.ask("cancel", execution_id=one)
    site.settled(ids, 10)
    other = worker.ask("start", workflow_id="quick")
    assert site.settled([other], SOON).check().executions[other].status == "succeeded"


@pytest.mark.parametrize("park_after", [0.02, 60.0])
def test_a_pause_or_a_wait(make_site: Callable[..., Site], park_after: float) -> None:
    site = make_site(park_after=park_after)
    worker = site.worker().up()
    retry = {"max_attempts": 9, "initial_delay": 1, "jitter": False, "multiplier": 1}
    flaky = {"id": "f", "type": "faults.flaky", "params": {"word": "f"}, "retry": retry}
    wait = {"id": "w", "type": "wait", "params": {"seconds": 1}}
    worker.ask("save", workflow_id="flaky", document=document("flaky", [flaky, effect("next")], ["f > next"]))
    worker.ask("save", workflow_id="waits", document=document("waits", [wait, effect("next")], ["w > next"]))
    ids = [worker.ask("start", workflow_id=name) for name in ("flaky", "waits")]
    until(lambda: all(site.world().executions[one].of("step.retrying", "step.waiting") for one in ids))
    for one in ids:
        cancelled(site, worker, one)
    time.sleep(1.2)
    assert site.lines("next") == 0
    assert site.lines("f") == 1


@pytest.mark.parametrize("full", ["workflow", "worker"])
def test_a_queued_one(make_site: Callable[..., Site], full: str) -> None:
    site = make_site(max_running=1 if full == "worker" else 100)
    worker = site.worker().up()
    settings = {"max_concurrency": 1} if full == "workflow" else {}
    given = {**document("long", [effect("l", before=60)], []), "settings": settings}
    worker.ask("save", workflow_id="long", document=given)
    running, *queued = [worker.ask("start", workflow_id="long") for _ in range(3)]
    site.happened("l-begins")
    for one in queued:
        assert not cancelled(site, worker, one).lines
    assert site.world().executions[running].status == "running"


def test_a_parent_and_its_children(site: Site) -> None:
    worker = site.worker().up()
    worker.ask("save", workflow_id="leaf", document=document("leaf", [effect("l", before=60)], []))
    for name, callee in (("middle", "leaf"), ("top", "middle")):
        call = {"id": "k", "type": "workflow.call", "params": {"workflow": callee}}
        worker.ask("save", workflow_id=name, document=document(name, [call, effect("next")], ["k > next"]))
    top = worker.ask("start", workflow_id="top")
    site.happened("l-begins")
    cancelled(site, worker, top)
    world = site.settled(list(site.world().executions), SOON).check()
    assert {one.status for one in world.executions.values()} == {"cancelled"}
    assert site.lines("next") == 0


@pytest.mark.parametrize("action", ["skip", "fail"])
def test_a_call_that_a_person_ends(site: Site, action: str) -> None:
    worker = site.worker().up()
    worker.ask("save", workflow_id="leaf", document=document("leaf", [effect("l", before=60)], []))
    call = {"id": "k", "type": "workflow.call", "params": {"workflow": "leaf"}}
    worker.ask("save", workflow_id="top", document=document("top", [call, effect("next")], ["k > next"]))
    top = worker.ask("start", workflow_id="top")
    site.happened("l-begins")
    until(lambda: site.world().executions[top].status == "waiting")
    worker.ask("resume", execution_id=top, node_id="k", action=action)
    world = site.settled(list(site.world().executions), SOON).check()
    assert world.executions[top].status == ("succeeded" if action == "skip" else "failed")
    assert [one.status for one in world.of("leaf")] == ["cancelled"]
    assert len(world.executions[top].events) < 20


def test_an_execution_that_takes_too_long(site: Site) -> None:
    worker = site.worker().up()
    given = {**document("long", [effect("l", before=2.0), effect("next")], ["l > next"]), "settings": {"timeout": 0.3}}
    worker.ask("save", workflow_id="long", document=given)
    execution = worker.ask("start", workflow_id="long")
    story = site.settled([execution], SOON).check().executions[execution]
    assert (story.status, story.error["code"]) == ("failed", "execution-timeout")
    time.sleep(2.0)
    assert site.world().executions[execution].words() == {"l-begins": 1}


def test_fail_fast_ends_the_children_too(site: Site) -> None:
    worker = site.worker().up()
    worker.ask("save", workflow_id="leaf", document=document("leaf", [effect("l", before=60)], []))
    call = {"id": "k", "type": "workflow.call", "params": {"workflow": "leaf"}}
    boom = {"id": "x", "type": "faults.boom", "params": {"word": "x"}}
    nodes = [call, effect("soon", before=0.5), boom]
    given = {**document("top", nodes, ["soon > x"]), "settings": {"fail_fast": True}}
    worker.ask("save", workflow_id="top", document=given)
    top = worker.ask("start", workflow_id="top")
    world = site.settled([top], SOON)
    assert world.executions[top].status == "failed"
    world = site.settled(list(site.world().executions), SOON).check()
    assert [one.status for one in world.of("leaf")] == ["cancelled"]
