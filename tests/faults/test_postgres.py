"""Workers on one PostgreSQL database are killed and stopped past their lease, connections are ended at random, the
network between them and the database is cut, late, silent or half-open, the database's disk is full, and it falls over
under load: what was accepted ends as it should, counts once and leaves no gap.

AICFLOW_FAULT_ROUNDS sets how many rounds there are, AICFLOW_FAULT_SEED repeats a run."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from aicflow.testing.postgres import MISSING, Postgres, binaries, postgres_folder, running_postgres
from aicflow.testing.proxy import proxied
from aicflow_postgres.store import PostgresStore

from tests.faults.test_disk_and_locks import fill, mounted
from tests.support.outside import Asked, Outside
from tests.support.server import start_server

ROUNDS = max(1, int(os.environ.get("AICFLOW_FAULT_ROUNDS", "1")) // 50)  # one takes half a minute
SEED = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
EACH = 12
LEASE = 2.0


def order(outside: str) -> dict[str, Any]:
    def effect(id: str) -> dict[str, Any]:
        url = f"{outside}/done/${{{{ input }}}}/{id}"
        return {"id": id, "type": "http.request", "params": {"method": "PUT", "url": url}}

    nodes = [
        effect("first"),
        {"id": "count", "type": "state.add", "params": {"key": "n"}},
        {"id": "nap", "type": "wait", "params": {"seconds": 0.3}},
        effect("last"),
    ]
    edges = [{"from": one["id"], "to": other["id"]} for one, other in itertools.pairwise(nodes)]
    return {"aicflow": 1, "name": "order", "nodes": nodes, "edges": edges, "output": "${{ input }}"}


KEEP = {
    "aicflow": 1,
    "name": "keep",
    "nodes": [{"id": "w", "type": "wait", "params": {"seconds": 0.1}}],
    "output": "${{ input }}",
}


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


class Site:
    """A server that only takes orders, two workers, and what was done outside."""

    def __init__(self, postgres: Postgres, folder: Path, stack: ExitStack) -> None:
        self.postgres, self._folder, self._stack = postgres, folder, stack
        self.url = postgres.new_database()
        self.networks = [stack.enter_context(proxied(self.url)) for _ in range(3)]  # of the server, of each worker
        self.outside = Outside()
        self.outside.on("PUT", "/done/(.+)/(.+)")(self._do)
        self._environment = {
            "AICFLOW_STORE_PATIENCE": "30",
            "AICFLOW_STORE_TIMEOUT": str(LEASE),
            "AICFLOW_SERVER_SECRET_FILE": str(folder / "server.secret"),
            "AICFLOW_LEASE": str(LEASE),
            "AICFLOW_HTTP_ALLOW_HOSTS": self.outside.url.removeprefix("http://"),
            "AICFLOW_BLOCKED_PLUGINS": "agent,python",
        }
        server = start_server(folder / "server", self._on(0) | {"AICFLOW_WORKER": "no"})
        stack.callback(server.process.wait)
        stack.callback(server.process.kill)
        self.api = httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60)
        stack.callback(self.api.close)
        self.api.post("/workflows", params={"id": "order"}, json=order(self.outside.url)).raise_for_status()
        self.orders: list[str] = []
        self.workers = [self.worker(number) for number in range(2)]

    def _on(self, network: int) -> dict[str, str]:
        return {**self._environment, "AICFLOW_STORE": self.networks[network].url}

    def _do(self, asked: Asked) -> Any:
        return {"done": asked.parts[0]}

    def worker(self, number: int) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
        with (self._folder / f"worker{number}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "aicflow.cli", "worker"],
                env={**inherited, **self._on(number + 1), "AICFLOW_DATA_DIR": str(self._folder / f"worker{number}")},
                stdout=log,
                stderr=log,
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def begin(self) -> None:
        """Start some orders, the same again where no answer came."""
        for _ in range(EACH):
            name = f"o{len(self.orders)}"
            body = {"workflow_id": "order", "input": name}
            while (
                answer := self.api.post("/executions", json=body, headers={"idempotency-key": name})
            ).status_code == 503:
                time.sleep(0.1)  # no database now, and nothing was accepted
            self.orders.append(answer.raise_for_status().json()["id"])

    def ended(self) -> int:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT count(*) FROM executions WHERE workflow_id = 'order' AND finished_at IS NOT NULL"
            ).fetchone()
        return found[0] if found else 0

    def get(self, id: str) -> Any:
        return self.api.get(f"/executions/{id}").raise_for_status().json()

    def reachable(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def at_work(self) -> None:
        """Returns when some of the newest have begun."""
        before = len(self.outside.asked)
        self.begin()
        until(lambda: len(self.outside.asked) > before + EACH // 3)


type Fault = Callable[[Site, random.Random], None]


def kill(site: Site, chance: random.Random) -> None:
    victim = chance.randrange(2)
    site.workers[victim].kill()
    site.workers[victim].wait()
    site.workers[victim] = site.worker(victim)


def stop_past_the_lease(site: Site, chance: random.Random) -> None:
    victim = chance.choice(site.workers)
    victim.send_signal(signal.SIGSTOP)
    time.sleep(LEASE * 1.5)
    victim.send_signal(signal.SIGCONT)


def end_connections(site: Site, chance: random.Random) -> None:
    with psycopg.connect(site.url, autocommit=True) as connection:
        mine = "datname = current_database() AND pid <> pg_backend_pid()"
        for _ in range(6):
            connection.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine} AND random() < 0.5"
            )
            time.sleep(chance.random() / 4)


def fall_over(site: Site, chance: random.Random) -> None:
    site.postgres.stop("immediate")
    time.sleep(chance.random())
    site.postgres.start()


def cut_network(site: Site, chance: random.Random) -> None:
    for _ in range(6):
        chance.choice(site.networks).cut()
        time.sleep(chance.random() / 4)


def delay_network(site: Site, chance: random.Random) -> None:
    for network in site.networks:
        network.delay = chance.random() / 4
    time.sleep(LEASE)
    for network in site.networks:
        network.delay = 0.0


def silence_network(site: Site, chance: random.Random) -> None:
    victim = chance.choice(site.networks)
    victim.silent = True
    time.sleep(LEASE * 1.5)
    victim.silent = False


def half_open_network(site: Site, chance: random.Random) -> None:
    for network in site.networks:
        assert network.half_open()


KILLS = (kill, stop_past_the_lease, end_connections, fall_over)
NETWORK = (cut_network, delay_network, silence_network, half_open_network)


@pytest.mark.slow
@pytest.mark.parametrize("faults", [KILLS, NETWORK], ids=["kills", "network"])
def test_faults_lose_nothing_and_do_nothing_twice(tmp_path: Path, faults: Sequence[Fault]) -> None:
    if binaries() is None:
        pytest.skip(MISSING)
    chance = random.Random(SEED)
    with running_postgres() as postgres, ExitStack() as stack:
        site = Site(postgres, tmp_path, stack)
        for _ in range(ROUNDS):
            for fault in chance.sample(faults, len(faults)):
                site.at_work()
                fault(site, chance)
        check(site)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 160 megabytes."""
    if binaries() is None:
        pytest.skip(MISSING)
    with postgres_folder() as folder, mounted(folder, "160m"):
        folder.chmod(0o755)
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("log", ["apart", "beside"])
def test_a_full_disk_is_said_and_waited_for(small_disk: Path, tmp_path: Path, log: str) -> None:
    """Where the log of writes is on the full disk, PostgreSQL ends itself, and somebody must start it again."""
    folder = binaries()
    assert folder is not None
    with postgres_folder() as elsewhere, ExitStack() as stack:
        if os.geteuid() == 0:
            shutil.chown(elsewhere, "postgres")
        postgres = Postgres(small_disk, folder, elsewhere / "wal" if log == "apart" else None)
        postgres.start()
        stack.callback(postgres.stop)
        site = Site(postgres, tmp_path, stack)
        saved = site.api.post("/workflows", params={"id": "keep"}, json=KEEP)
        saved.raise_for_status()
        site.at_work()
        ballast = small_disk / "ballast"
        fill(ballast)
        kept: dict[str, str] = {}
        while True:
            body = {"workflow_id": "keep", "input": f"{len(kept)}" + random.Random(len(kept)).randbytes(100_000).hex()}
            answer = site.api.post("/executions", json=body)
            if answer.status_code != 202:
                break
            kept[answer.json()["id"]] = body["input"]
        assert answer.status_code == 503, answer.text
        assert log == "beside" or "No space left on device" in answer.json()["detail"], answer.text
        time.sleep(LEASE)
        ballast.unlink()
        if not site.reachable():
            assert log == "beside"
            with suppress(subprocess.CalledProcessError):
                postgres.stop()
            postgres.start()
        site.begin()
        check(site)
        until(lambda: all(site.get(id)["status"] == "succeeded" for id in kept))
        assert all(site.get(id)["output"] == input for id, input in kept.items())


def check(site: Site) -> None:
    """Everything that was accepted comes to its right end."""
    until(lambda: site.ended() == len(site.orders))
    counted = site.api.get("/workflows/order/state/n").raise_for_status().json()["value"]
    assert counted == len(site.orders), SEED
    done = Counter(one.path for one in site.outside.asked)
    assert all(done[f"/done/o{i}/{step}"] for i in range(len(site.orders)) for step in ("first", "last")), SEED
    asyncio.run(_check(site))


async def _check(site: Site) -> None:
    """By the database: each has succeeded, has one end and no gap."""
    store = PostgresStore(site.url)
    await store.open()
    try:
        assert await store.maintenance.integrity() == []
        for id in site.orders:
            execution = await store.executions.get(id)
            events = [json.loads(event) for event in await store.executions.events(id)]
            assert execution.status == "succeeded", SEED
            assert [event["seq"] for event in events] == list(range(1, execution.last_seq + 1)), SEED
            ends = Counter(event["type"] for event in events if event["type"].startswith("execution."))
            assert ends["execution.succeeded"] == 1, SEED
            steps = Counter(event.get("node_id") for event in events if event["type"] == "step.succeeded")
            assert steps == dict.fromkeys(("first", "count", "nap", "last"), 1), SEED
    finally:
        with suppress(Exception):
            await store.close()
