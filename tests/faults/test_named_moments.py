"""A worker dies at one exact moment; the next one brings everything to its right end."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.faults.processes import Site, WorkerProcess, until
from tests.faults.worker import Failpoint
from tests.faults.workflows import document, effect

TWO = document("two", [effect("a"), effect("b")], ["a > b"], output="${{ nodes.b.output }}")


def save(site: Site, **documents: Any) -> None:
    """Save workflows with a worker that ends cleanly."""
    worker = site.worker().up()
    for name, given in documents.items():
        worker.ask("save", workflow_id=name, document=given)
    worker.signal(signal.SIGTERM)
    assert worker.join() == 0


def dies(worker: WorkerProcess) -> None:
    """Wait for the end that a failpoint brings."""
    assert worker.join() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("point", "again"),
    [
        (Failpoint("create"), None),
        (Failpoint("create", after=True), None),  # the start of `a` is durable with it, and `a` has not begun
        (Failpoint("append", "step.succeeded", "a"), ["a"]),
        (Failpoint("append", "step.succeeded", "a", after=True), []),
        (Failpoint("append", "step.started", "b"), ["a"]),
        (Failpoint("append", "step.started", "b", after=True), []),
        (Failpoint("append", "step.succeeded", "b"), ["b"]),
        (Failpoint("append", "execution.succeeded"), ["b"]),
        (Failpoint("append", "execution.succeeded", after=True), []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_between_what_was_done_and_what_is_written(site: Site, point: Failpoint, again: list[str] | None) -> None:
    save(site, two=TWO)
    worker = site.worker(failpoint=point).up()
    worker.send("start", workflow_id="two", key="k")
    dies(worker)
    site.world().check()
    worker = site.worker().up()
    execution = worker.ask("start", workflow_id="two", key="k")  # as a client does that got no answer
    story = site.settled([execution]).check().executions[execution]
    assert (story.status, story.output) == ("succeeded", "b")
    assert len(site.world().executions) == 1
    words = story.words()
    assert set(words) == {"a", "b"}
    # only what was done and not yet written is done again
    assert sorted(word for word, count in words.items() if count == 2) == (again or [])


@pytest.mark.parametrize("rule", ["retry", "fail"])
def test_what_began_with_its_acceptance_and_never_ran(site: Site, rule: str) -> None:
    save(site, both=document("both", [{**effect("a"), "on_recovery": rule}, effect("b")], []))
    # one execution a site: a worker that is started to accept a second one would go on with the first
    worker = site.worker(failpoint=Failpoint("create", after=True)).up()
    worker.send("start", workflow_id="both")
    dies(worker)
    [story] = site.world().check().executions.values()
    assert story.status == "running"
    site.worker().up()
    story = site.settled([story.id]).check().executions[story.id]
    assert (story.status, story.words()) == ("succeeded", {"a": 1, "b": 1})


def test_before_anyone_claims(site: Site) -> None:
    save(site, two={**TWO, "settings": {"max_concurrency": 1}}, long=document("long", [effect("l", before=0.2)], []))
    worker = site.worker(max_running=1).up()
    ids = [worker.ask("start", workflow_id="long"), *(worker.ask("start", workflow_id="two") for _ in range(3))]
    assert [one.status for one in site.world().executions.values()] == ["running", "queued", "queued", "queued"]
    worker.kill()
    dying = site.worker(failpoint=Failpoint("claim", after=True))
    dies(dying)
    site.world().check()
    site.worker().up()
    world = site.settled(ids).check()
    assert all(world.executions[one].status == "succeeded" for one in ids)
    assert all(world.executions[one].words() == {"a": 1, "b": 1} for one in ids[1:])


def test_in_the_middle_of_a_node(site: Site) -> None:
    nodes = [effect("a"), {"id": "m", "type": "faults.block", "params": {"word": "m", "before": 0.3}}, effect("z")]
    save(site, middle=document("middle", nodes, ["a > m", "m > z"]))
    worker = site.worker().up()
    execution = worker.ask("start", workflow_id="middle")
    site.happened("m-begins")
    worker.kill()
    site.worker().up()
    story = site.settled([execution]).check().executions[execution]
    assert story.words() == {"a": 1, "m-begins": 2, "m": 1, "z": 1}
    assert [one["attempt"] for one in story.of("step.started", node="m")] == [1, 2]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("point", ["request_cancel", "execution.cancelled"])
def test_during_a_cancel(site: Site, point: str, after: bool) -> None:
    save(site, long=document("long", [effect("a", before=60), effect("b")], ["a > b"]))
    failpoint = Failpoint(point, after=after) if point == "request_cancel" else Failpoint("append", point, after=after)
    worker = site.worker(failpoint=failpoint).up()
    execution = worker.ask("start", workflow_id="long")
    site.happened("a-begins")
    worker.send("cancel", execution_id=execution)
    dies(worker)
    worker = site.worker().up()
    if point == "request_cancel" and not after:
        worker.ask("cancel", execution_id=execution)  # nobody told the client that it was noted
    story = site.settled([execution], 5).check().executions[execution]
    assert story.status == "cancelled"
    assert set(story.words()) == {"a-begins"}


@pytest.mark.parametrize("park_after", [0.02, 60.0])
def test_during_a_backoff(site: Site, park_after: float) -> None:
    retry = {"max_attempts": 5, "initial_delay": 0.5, "jitter": False, "multiplier": 1}
    node = {"id": "f", "type": "faults.flaky", "params": {"word": "f", "failures": 2}, "retry": retry}
    save(site, flaky=document("flaky", [effect("a"), node], ["a > f"]))
    worker = site.worker(park_after=park_after).up()
    execution = worker.ask("start", workflow_id="flaky")
    site.happened("f")
    wanted = "waiting" if park_after < 1 else "running"

    def backing_off() -> bool:
        story = site.world().executions[execution]
        return bool(story.of("step.retrying")) and story.status == wanted

    until(backing_off)
    worker.kill()
    site.worker().up()
    story = site.settled([execution]).check().executions[execution]
    assert story.status == "succeeded"
    assert story.words() == {"a": 1, "f": 3}
    retries, starts = story.of("step.retrying"), story.of("step.started", node="f")
    assert [one["attempt"] for one in starts] == [1, 2, 3]
    for retry_event, start in zip(retries, starts[1:], strict=True):
        assert start["time"] >= retry_event["time"], "the pause was not kept"


def test_during_a_shutdown(site: Site) -> None:
    save(site, two=TWO, long=document("long", [effect("l", before=1.2)], []))
    worker = site.worker(grace=0.3, failpoint=Failpoint("hand_back")).up()
    ids = [worker.ask("start", workflow_id="long"), worker.ask("start", workflow_id="two")]
    site.happened("l-begins")
    worker.signal(signal.SIGTERM)
    dies(worker)
    site.world().check()
    site.worker().up()
    world = site.settled(ids).check()
    assert {world.executions[one].status for one in ids} == {"succeeded"}


def test_while_waiting(site: Site) -> None:
    ask = {"id": "w", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}
    soon = {"id": "w", "type": "wait", "params": {"seconds": 0.3}}
    save(
        site,
        asks=document("asks", [effect("a"), ask, effect("z")], ["a > w", "w > z"], output="${{ nodes.w.output }}"),
        soon=document("soon", [effect("a"), soon, effect("z")], ["a > w", "w > z"]),
    )
    worker = site.worker().up()
    asks, waits = worker.ask("start", workflow_id="asks"), worker.ask("start", workflow_id="soon")

    until(lambda: {one.status for one in site.world().executions.values()} == {"waiting"})
    worker.kill()
    worker = site.worker(failpoint=Failpoint("answer", after=True)).up()
    worker.send("resume", execution_id=asks, node_id="w", value=7)
    dies(worker)
    site.worker().up()
    world = site.settled([asks, waits]).check()
    assert world.executions[asks].output == {"answered": True, "answer": 7}
    assert world.executions[asks].words() == world.executions[waits].words() == {"a": 1, "z": 1}


@pytest.mark.parametrize(
    "point",
    [
        Failpoint("create", nth=2),
        Failpoint("create", nth=2, after=True),
        Failpoint("append", "step.waiting", "k"),
        Failpoint("append", "execution.waiting"),
        Failpoint("append", "execution.waiting", after=True),
        Failpoint("append", "step.succeeded", "k"),
        Failpoint("append", "execution.succeeded"),
        Failpoint("append", "execution.succeeded", after=True),
        Failpoint("append", "execution.succeeded", nth=2),
    ],
)
def test_between_a_parent_and_its_child(site: Site, point: Failpoint) -> None:
    call = {"id": "k", "type": "workflow.call", "params": {"workflow": "child"}}
    save(
        site,
        child=document("child", [effect("c", after=0.05)], [], output="${{ nodes.c.output }}"),
        parent=document("parent", [call, effect("z")], ["k > z"], output="${{ nodes.k.output.output }}"),
    )
    worker = site.worker(failpoint=point).up()
    parent = worker.ask("start", workflow_id="parent", key="k")
    dies(worker)
    site.world().check()
    site.worker().up()
    world = site.settled([parent], 10).check()
    assert (world.executions[parent].status, world.executions[parent].output) == ("succeeded", "c")
    [child] = world.of("child")
    assert child.status == "succeeded"
    assert world.executions[parent].words()["z"] in (1, 2)


@pytest.mark.parametrize("after", [False, True])
def test_during_a_rerun(site: Site, after: bool) -> None:
    save(site, two=TWO)
    worker = site.worker(failpoint=Failpoint("create", nth=2, after=after)).up()
    first = worker.ask("start", workflow_id="two")
    site.settled([first])
    worker.send("rerun", execution_id=first, from_node="b")
    dies(worker)
    site.worker().up()
    world = site.settled(list(site.world().executions)).check()
    assert len(world.executions) == 1 + after
    for story in world.executions.values():
        assert story.status == "succeeded"
        assert story.words() == ({"a": 1, "b": 1} if story.id == first else {"b": 1})


@pytest.mark.parametrize(("rule", "status"), [("fail", "failed"), ("wait", "succeeded")])
def test_a_step_that_must_not_simply_run_again(site: Site, rule: str, status: str) -> None:
    node = {**effect("p", before=0.4), "on_recovery": rule}
    save(site, pay=document("pay", [node], []))
    worker = site.worker().up()
    execution = worker.ask("start", workflow_id="pay")
    site.happened("p-begins")
    worker.kill()
    worker = site.worker().up()
    if rule == "wait":
        until(lambda: site.world().executions[execution].status == "waiting")
        assert site.lines("p-begins") == 1
        worker.kill()
        worker = site.worker().up()
        worker.ask("resume", execution_id=execution, node_id="p", action="skip")
    story = site.settled([execution]).check().executions[execution]
    assert story.status == status
    assert story.words() == {"p-begins": 1}


@pytest.mark.parametrize("params", [{"answer_schema": {"type": "integer"}}, {"seconds": 0.3}], ids=["answer", "time"])
@pytest.mark.parametrize("twice", [False, True])
def test_between_the_end_of_a_wait_and_what_it_led_to(site: Site, params: dict[str, Any], twice: bool) -> None:
    nodes = [{"id": "w", "type": "wait", "params": params}, effect("z")]
    save(site, waits=document("waits", nodes, ["w > z"], output="${{ nodes.w.output.answer }}"))
    worker = site.worker().up()
    execution = worker.ask("start", workflow_id="waits")
    until(lambda: site.world().executions[execution].status == "waiting")
    if "seconds" not in params:
        worker.kill()
        worker = site.worker(failpoint=Failpoint("append", "step.succeeded", "w")).up()
        worker.send("resume", execution_id=execution, node_id="w", value=7)
    else:
        worker.kill()
        worker = site.worker(failpoint=Failpoint("append", "step.succeeded", "w"))
    dies(worker)
    if twice:
        dies(site.worker(failpoint=Failpoint("append", "step.succeeded", "w")))
    site.world().check()
    site.worker().up()
    story = site.settled([execution], 10).check().executions[execution]
    assert (story.status, story.output) == ("succeeded", 7 if "seconds" not in params else None)
    assert len(story.of("step.waiting")) == 1, "it was asked, or waited, again"
