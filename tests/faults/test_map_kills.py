"""Workers are killed again and again over maps, repeats and groups: no item is lost, and none that ended runs again.

AICFLOW_FAULT_ROUNDS sets how many kills the long story has (200 by default, a fifth as many on PostgreSQL),
AICFLOW_FAULT_SEED repeats a run."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.faults.databases import ended_items, is_postgres, left_behind
from tests.faults.history import World
from tests.faults.processes import Site
from tests.faults.test_random_kills import look
from tests.faults.workflows import document, effect

ROUNDS = int(os.environ.get("AICFLOW_FAULT_ROUNDS", "200"))
SEED = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
RETRY = {"max_attempts": 1_000, "initial_delay": 0.03, "multiplier": 1, "jitter": False}


def in_map(name: str, nodes: list[dict[str, Any]], edges: list[str], **more: Any) -> dict[str, Any]:
    """A workflow that is one map over as many items as its input says."""
    body = document("body", nodes, edges)
    entry = {"over": "${{ input }}", "nodes": body["nodes"], "edges": body["edges"], "output": "${{ item }}", **more}
    return document(name, [{"id": "each", "map": entry}], [])


ADD = {"id": "n", "type": "faults.add", "params": {"n": "${{ item }}"}}
WAIT = {"id": "w", "type": "wait", "params": {"seconds": "${{ 0.01 + 0.005 * (item % 40) }}"}}
EFFECTS = in_map("effects", [effect("a"), ADD, effect("b", after=0.02)], ["a > n", "n > b"], concurrency=10)
WAITS = in_map("waits", [effect("a"), WAIT, effect("b")], ["a > w", "w > b"], concurrency=5)
POLL = document(
    "poll",
    [
        {
            "id": "poll",
            "repeat": {
                "while": "${{ carry < 6 }}",
                "max": 50,
                "delay": 0.04,
                "carry": 0,
                "nodes": [effect("p", after=0.005)],
                "output": "${{ carry + 1 }}",
            },
        }
    ],
    [],
)
TRIES = document(
    "tries",
    [
        {
            "id": "g",
            "group": {
                "nodes": [
                    effect("a"),
                    {"id": "each", "map": {"over": [1, 2, 3], "nodes": [effect("i")], "output": "${{ item }}"}},
                    {"id": "x", "type": "faults.later", "params": {"word": "x", "times": 4}},
                ],
                "edges": [{"from": "a", "to": "each"}, {"from": "each", "to": "x"}],
                "output": "${{ nodes.each.output.items }}",
            },
            "retry": RETRY,
        }
    ],
    [],
)


class Ended:
    """Items that were seen to have ended, and what had been done for them until then."""

    def __init__(self) -> None:
        self._done: dict[tuple[str, str, int], int] = {}

    def note(self, db: str, world: World) -> None:
        """Look at a dead worker's database; nothing more may have been done for what had ended before."""
        rows = [row.values() for row in ended_items(db)]
        lines = Counter(
            (line.execution, line.node.rpartition(".")[0]) for one in world.executions.values() for line in one.lines
        )
        items = {(execution, step, i): lines[execution, f"{step}[{i}]"] for execution, step, i in rows}
        for key, done in self._done.items():
            if not key[1].startswith("g."):  # a group that begins again runs its items again
                assert items.get(key) == done, f"{key} was lost, or ran again after it had ended"
        self._done = items


def kill_often(site: Site, kills: int, size: int, chance: random.Random, check_every: int) -> World:
    """Kill workers over these workflows; the world when all that was started has ended."""
    worker = site.worker().up()
    given = {"effects": list(range(size)), "waits": list(range(size // 4)), "poll": None, "tries": None}
    for one in (EFFECTS, WAITS, POLL, TRIES):
        worker.ask("save", workflow_id=one["name"], document=one)
    started = {worker.ask("start", workflow_id=name, input=value): name for name, value in given.items()}
    ended = Ended()
    for kill in range(kills):
        if kill % 6 == 5:  # one that is never brought forward would be ended as stuck
            time.sleep(0.3)
        time.sleep(chance.choice((0.0, chance.uniform(0.0, 0.02), chance.uniform(0.0, 0.08))))
        worker.kill()
        if kill % check_every == 0:
            world = look(site, f"kill {kill}")
            ended.note(left_behind(site.spec.db, site.folder), world)
            for name in given:
                if all(world.executions[id].ended for id in started if started[id] == name):
                    again = site.worker().up()
                    started[again.ask("start", workflow_id=name, input=given[name])] = name
                    again.kill()
        worker = site.worker()
        if chance.random() < 0.8 or kill % 6 == 4:
            worker.up()
    world = site.settled(list(started), 120)
    worker.signal(15)
    assert worker.join() == 0
    ended.note(site.spec.db, world)
    world.check()
    for id, name in started.items():
        story = world.executions[id]
        assert story.status == "succeeded", story.story()
        if name == "poll":
            assert story.output == {"carry": 6, "passes": 6, "done": True}
        elif name == "tries":
            assert story.output == [1, 2, 3]
        else:
            assert story.output["items"] == given[name]
            done = Counter((line.node, line.word) for line in story.lines)
            assert len(done) == 2 * len(given[name])
    return world


@pytest.mark.parametrize("engine", ["native", "langgraph"])
def test_some_kills_over_items(make_site: Any, engine: str) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    kill_often(make_site("site", engine=engine), 10, 80, random.Random(f"{SEED} {engine}"), 2)


@pytest.mark.slow
def test_many_kills_over_a_thousand_items(make_site: Any) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    site = make_site("site")
    kill_often(site, ROUNDS // 5 if is_postgres(site.spec.db) else ROUNDS, 1_000, random.Random(SEED), 10)
