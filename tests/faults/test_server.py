"""The whole server: killed, stopped and cancelled over HTTP, with the nodes that people use."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.conftest import sqlite_only
from tests.faults.databases import end_leases
from tests.faults.history import World
from tests.faults.processes import alive, until
from tests.faults.workflows import DOCUMENTS, EXPECTED, document, effect
from tests.support.plugin import plugin_path
from tests.support.server import Server, start_server

NAMES = ("chain", "fan", "fails", "saved", "waits", "calls", "single")
LOOP = "n = 0\nwhile True:\n    n += sum(range(50_000_000))\n"
CODE = {"type": "python.code", "params": {"code": LOOP, "cpu_seconds": 60, "timeout": 60}}


class Place:
    """A data folder, the server on it, and a client."""

    def __init__(self, folder: Path, db: str | None) -> None:
        self.db = db
        self.ledger = folder / "ledger"
        self.data = folder / "data"
        self.ledger.touch()
        self.environment = {
            "PYTHONPATH": plugin_path(folder / "plugin", "faults", "tests.faults.nodes"),
            "AICFLOW_FAULT_LEDGER": str(self.ledger),
            "AICFLOW_ENGINE": "native",
            "AICFLOW_GRACE": "1",
            "AICFLOW_HTTP_ALLOW_HOSTS": "127.0.0.1",
            "AICFLOW_PYTHON_CPU_SECONDS": "60",
            "AICFLOW_PYTHON_TIMEOUT": "60",
            **({"AICFLOW_STORE": db} if db else {}),
        }
        self.server: Server | None = None

    def start(self) -> httpx2.Client:
        """Start the server; gives a client."""
        if self.server is not None and self.db:
            end_leases(self.db)
        self.server = start_server(self.data, self.environment)
        return httpx2.Client(base_url=self.server.url + "/api/v1", headers=self.server.headers, timeout=20)

    def kill(self) -> None:
        """kill -9."""
        assert self.server is not None
        self.server.kill()

    def world(self) -> World:
        return World.read(self.db or str(self.data / "aicflow.db"), self.ledger)

    def settled(self, ids: list[str], seconds: float = 30.0) -> World:
        until(lambda: all(self.world().executions[one].ended for one in ids), seconds, "the end of every execution")
        return self.world().check()


@pytest.fixture
def place(tmp_path: Path, store: Callable[[], str | None]) -> Iterator[Place]:
    """A place whose server ends with the test."""
    made = Place(tmp_path, store())
    yield made
    if made.server is not None and made.server.process.poll() is None:
        made.server.kill()


def save(client: httpx2.Client, name: str, given: dict[str, Any]) -> None:
    response = client.post("/workflows", params={"id": name}, json=given)
    assert response.status_code == 201, response.text


def start(client: httpx2.Client, workflow: str, given: Any = None, key: str | None = None) -> str:
    headers = {"idempotency-key": key} if key else {}
    response = client.post("/executions", json={"workflow_id": workflow, "input": given}, headers=headers)
    assert response.status_code in (200, 202), response.text
    execution: str = response.json()["id"]
    return execution


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again(place: Place) -> None:
    seed = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
    print(f"AICFLOW_FAULT_SEED={seed}")
    chance = random.Random(seed)
    wanted = {f"key-{i}": (chance.choice(NAMES), {"n": i}) for i in range(60)}
    accepted: dict[str, str] = {}
    with place.start() as client:
        for name in ("report", *NAMES):
            save(client, name, DOCUMENTS[name])
    for _ in range(4):
        place.kill()
        place.world().check(f"seed {seed}")
        with place.start() as client:
            end = time.monotonic() + chance.uniform(0.0, 0.2)
            for key, (name, given) in list(wanted.items()):
                if time.monotonic() > end:
                    break
                if key not in accepted:
                    accepted[key] = start(client, name, given, key)
    place.kill()
    with place.start() as client:
        for key, (name, given) in wanted.items():
            execution = start(client, name, given, key)  # what was accepted is not accepted twice
            assert accepted.setdefault(key, execution) == execution
        world = place.settled(list(accepted.values()))
        for key, (name, given) in wanted.items():
            story = world.executions[accepted[key]]
            assert EXPECTED[name].broken(world, story, given) is None, story.story()
    assert sum(one.row["trigger_kind"] == "api" for one in world.executions.values()) == len(wanted)


@pytest.mark.slow
def test_a_server_that_is_told_to_stop(place: Place) -> None:
    deaf = {"id": "d", "type": "faults.deaf", "params": {"word": "d"}}
    block = {"id": "b", "type": "faults.block", "params": {"word": "b", "after": 600}}
    with place.start() as client:
        for name in ("report", *NAMES):
            save(client, name, DOCUMENTS[name])
        save(client, "deaf", document("deaf", [deaf], []))
        save(client, "block", document("block", [block], []))
        ids = {start(client, name, {"n": 1}): name for name in NAMES * 3}
        stuck = [start(client, "deaf"), start(client, "block")]
        until(lambda: "d-begins" in place.ledger.read_text())
    assert place.server is not None
    place.server.process.send_signal(signal.SIGTERM)
    assert place.server.process.wait(20) == 0, (place.data / "server.log").read_text()[-3000:]
    assert not [one.status for one in place.world().check().executions.values() if one.status == "running"]
    with place.start() as client:
        for one in stuck:
            assert client.post(f"/executions/{one}/cancel").status_code == 202
        world = place.settled([*ids, *stuck])
        for execution, name in ids.items():
            assert EXPECTED[name].broken(world, world.executions[execution], {"n": 1}) is None
        assert {world.executions[one].status for one in stuck} == {"cancelled"}


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says anything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def descendants(pid: int) -> list[int]:
    """Ids of all processes that come from this one."""
    rows = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for row in rows.splitlines():
        child, parent = map(int, row.split())
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        queue += (more := children.get(queue.pop(), []))
        found += more
    return found


@pytest.mark.slow
@sqlite_only
def test_cancel_stops_code_requests_and_agents(place: Place, silent: str) -> None:
    nodes: dict[str, dict[str, Any]] = {
        "code": CODE,
        "request": {"type": "http.request", "params": {"method": "GET", "url": silent}},
        "agent": {
            "type": "ai.agent",
            "params": {"model": "openai:any", "base_url": f"{silent}/v1", "api_key": "k", "prompt": "hello"},
        },
    }
    with place.start() as client:
        ids = {}
        for name, node in nodes.items():
            save(client, name, document(name, [{"id": "l", **node}, effect("next")], ["l > next"]))
            ids[name] = start(client, name)
        until(lambda: all(place.world().executions[one].of("step.started") for one in ids.values()))
        time.sleep(1.0)
        assert {one.status for one in place.world().executions.values()} == {"running"}
        for one in ids.values():
            client.post(f"/executions/{one}/cancel")
        world = place.settled(list(ids.values()), 8)
        assert {one.status for one in world.executions.values()} == {"cancelled"}
        assert not place.ledger.read_text()
        assert place.server is not None
        busy = (one for one in descendants(place.server.process.pid) if cpu_share(one) > 0.5)
        assert not list(busy), "code that was cancelled still runs"


def cpu_share(pid: int, seconds: float = 0.3) -> float:
    """How much of a core a process uses."""

    def used() -> float:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


@pytest.mark.slow
@sqlite_only
def test_the_processes_of_a_killed_server_go_with_it(place: Place) -> None:
    with place.start() as client:
        save(client, "code", document("code", [{"id": "l", **CODE}], []))
        execution = start(client, "code")
        assert place.server is not None
        until(lambda: place.world().executions[execution].of("step.started"))
        until(lambda: descendants(place.server.process.pid))
        time.sleep(0.5)
        children = descendants(place.server.process.pid)
        place.server.kill()
    until(lambda: not any(alive(one) for one in children), 10, "the end of the sandbox's processes")


def test_a_bulk_rerun_whose_server_is_killed_is_finished_by_its_repeat(place: Place) -> None:
    count = 40
    with place.start() as client:
        save(client, "single", DOCUMENTS["single"])
        old = {start(client, "single", {"n": n}) for n in range(count)}
        place.settled(list(old))
        request = {"json": {"workflow_id": "single", "status": ["succeeded"]}, "headers": {"idempotency-key": "again"}}
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.post, "/executions/bulk-rerun", **request)
            until(lambda: len(place.world().executions) > count + 3, 10, "some reruns")
            place.kill()
            with suppress(httpx2.HTTPError):
                call.result()
    with place.start() as client:
        answers = [client.post("/executions/bulk-rerun", **request).json() for _ in range(2)]
        started = [{result["execution_id"]: result["started"] for result in one["results"]} for one in answers]
        assert started[0] == started[1], answers
        assert started[0].keys() == old
        world = place.settled(list(started[0].values()))
    assert len(world.executions) == 2 * count
