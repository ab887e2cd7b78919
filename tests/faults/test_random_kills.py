"""Workers are killed at random moments, again and again, until everything that was accepted has come to its right end.

AICFLOW_FAULT_ROUNDS sets how many kills there are (some hundred by default, a fifth as many on PostgreSQL, where each
worker takes longer to start), AICFLOW_FAULT_SEED repeats a run."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.databases import left_behind
from tests.faults.history import World
from tests.faults.processes import Refused, Site, WorkerProcess
from tests.faults.workflows import DOCUMENTS, EXPECTED

ROUNDS = int(os.environ.get("AICFLOW_FAULT_ROUNDS", "240"))
SEED = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
KILLS_A_SITE = 12
PARTS = 4


class Client:
    """Starts executions and remembers what was accepted; repeats what it got no answer to, with the same key."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._unanswered: list[tuple[str, str, Any]] = []
        self._count = 0
        self.accepted: dict[str, tuple[str, Any]] = {}
        self.keys: dict[str, str] = {}
        self.to_answer: set[str] = set()
        self.to_cancel: set[str] = set()

    def use(self, worker: WorkerProcess, many: int) -> None:
        """Start `many` executions; stops when the worker dies."""
        for _ in range(many):
            self._count += 1
            name = self._chance.choice(list(EXPECTED))
            self._unanswered.append((f"k{self._count}", name, {"n": self._count}))
        self.settle_accounts(worker)

    def settle_accounts(self, worker: WorkerProcess) -> None:
        """Repeat what was not answered; answer what asks, cancel what is long."""
        try:
            while self._unanswered:
                key, name, given = self._unanswered[0]
                execution_id = worker.ask("start", workflow_id=name, input=given, key=key)
                self.accepted[execution_id] = (name, given)
                assert self.keys.setdefault(key, execution_id) == execution_id
                self._unanswered.pop(0)
                if name == "long":
                    self.to_cancel.add(execution_id)
                elif name == "asks":
                    self.to_answer.add(execution_id)
            for execution_id in sorted(self.to_cancel):
                if self._chance.random() < 0.5:
                    worker.ask("cancel", execution_id=execution_id)
                    self.to_cancel.discard(execution_id)
            for execution_id in sorted(self.to_answer):
                try:
                    worker.ask("resume", execution_id=execution_id, node_id="w", value=7)
                except Refused as refusal:
                    if "has an answer" not in str(refusal):
                        continue  # it does not wait yet
                self.to_answer.discard(execution_id)
        except EOFError:
            return


def kill_round(site: Site, client: Client, chance: random.Random) -> None:
    """Start a worker, give it work, kill it at some moment."""
    worker = site.worker()
    if chance.random() < 0.8:
        worker.up()
        client.use(worker, chance.randrange(6))
        time.sleep(chance.choice((0.0, chance.uniform(0.0, 0.03), chance.uniform(0.0, 0.15))))
    else:
        time.sleep(chance.uniform(0.0, 0.05))  # while it starts
    worker.kill()


def look(site: Site, where: str) -> World:
    """Check what a dead worker left."""
    return World.read(left_behind(site.spec.db, site.folder), Path(site.spec.ledger)).check(where)


def finish(site: Site, client: Client, where: str) -> World:
    """Let a last worker bring everything to its end, and hold every execution to what it must have come to."""
    worker = site.worker().up()
    end = time.monotonic() + 60
    while client.to_answer or client.to_cancel or client._unanswered:
        assert time.monotonic() < end, f"{where}: {client.to_answer or client.to_cancel} could not be settled"
        client.settle_accounts(worker)
        time.sleep(0.005)
    world = site.settled(list(site.world().executions))
    worker.signal(15)
    assert worker.join() == 0, where
    world = site.world().check(where)
    assert all(one.ended for one in world.executions.values())
    lost = client.accepted.keys() - world.executions.keys()
    assert not lost, f"{where}: accepted and lost: {lost}"
    keys = [one.row["idempotency_key"] for one in world.executions.values() if one.row["trigger_kind"] == "api"]
    assert len(keys) == len(set(keys)) == len(client.accepted), f"{where}: twice"
    for execution_id, (name, given) in client.accepted.items():
        story = world.executions[execution_id]
        problem = EXPECTED[name].broken(world, story, given)
        assert problem is None, f"{where}: {name} {problem}\n{story.story()}"
    return world


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_is_done_twice(make_site: Any, store: Any, part: int) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    rounds = ROUNDS // PARTS // (1 if store() is None else 5)
    for number in range(0, rounds, KILLS_A_SITE):
        where = f"seed {SEED}, part {part}, site {number // KILLS_A_SITE}"
        chance = random.Random(f"{SEED} {part} {number}")
        site = make_site(f"site{number}", engine=chance.choice(("native", "native", "langgraph")))
        worker = site.worker().up()
        for name, document in DOCUMENTS.items():
            worker.ask("save", workflow_id=name, document=document)
        client = Client(chance)
        client.use(worker, 4)
        worker.kill()
        for kill in range(min(KILLS_A_SITE, rounds - number)):
            kill_round(site, client, chance)
            look(site, f"{where}, kill {kill}")
        finish(site, client, where)
        shutil.rmtree(site.folder)
