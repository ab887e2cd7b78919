"""Two servers on one PostgreSQL database, killed in turn while they take deliveries and fire schedules, and with clocks
that are an hour wrong: each delivery that was accepted and each instant of a schedule has exactly one execution. What
one of them runs is seen on both as it happens.

AICFLOW_FAULT_ROUNDS sets how many deliveries and instants there are, AICFLOW_FAULT_SEED repeats a run."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import psycopg
import pytest
from aicflow_sdk import AICFlow

from tests.faults.databases import emptied
from tests.faults.processes import until
from tests.faults.workflows import document
from tests.support.outside import Outside
from tests.support.plugin import plugin_path
from tests.support.server import Server, start_server

ROUNDS = int(os.environ.get("AICFLOW_FAULT_ROUNDS", "0"))
SEED = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
DELIVERIES = max(300, ROUNDS)
INSTANTS = max(200, ROUNDS)
SCHEDULES = 20
HOUR = 3_600
LEASE = 3.0
SOON = 90.0
_WRONG_CLOCK = """
import os, time
_true = time.time
time.time = lambda: _true() + float(os.environ["WRONG_BY"])
"""


class Site:
    """Two servers that do everything, and what they did outside."""

    def __init__(self, db: str, folder: Path, wrong_by: tuple[float, float], **variables: str) -> None:
        self.db, self._folder, self._wrong_by = db, folder, wrong_by
        self.outside = Outside()
        self.outside.on("PUT", "/done/(.+)")(lambda asked: {})
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(_WRONG_CLOCK)
        self._environment = {
            "AICFLOW_STORE": db,
            "AICFLOW_STORE_PATIENCE": "30",
            "AICFLOW_SERVER_SECRET_FILE": str(folder / "server.secret"),
            "AICFLOW_LEASE": str(LEASE),
            "AICFLOW_HTTP_ALLOW_HOSTS": self.outside.url.removeprefix("http://"),
            "AICFLOW_BLOCKED_PLUGINS": "agent,python",
            "PYTHONPATH": os.pathsep.join(
                [str(folder / "clock"), plugin_path(folder / "plugin", "faults", "tests.faults.nodes")]
            ),
            **variables,
        }
        self.servers: list[Server] = []
        for number in range(2):
            self.servers.append(self._start(number))
        self.headers = self.servers[0].headers

    def _start(self, number: int) -> Server:
        data = self._folder / f"server{number}"
        if self.servers and not data.exists():  # only the first makes the admin key
            data.mkdir()
            shutil.copy(self.servers[0].data / "admin.key", data)
        return start_server(data, {**self._environment, "WRONG_BY": str(self._wrong_by[number])})

    def kill_and_start(self, number: int) -> None:
        self.servers[number].kill()
        self.servers[number] = self._start(number)

    def call(self, number: int, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        url = self.servers[number].url + path
        return httpx2.request(method, url, json=body, headers={**self.headers, **headers}, timeout=SOON)

    def save(self, id: str, given: dict[str, Any]) -> None:
        saved = self.call(0, "POST", f"/api/v1/workflows?id={id}", given)
        assert saved.status_code == 201, saved.text

    def effect(self, what: str) -> dict[str, Any]:
        return {
            "id": "e",
            "type": "http.request",
            "params": {"method": "PUT", "url": f"{self.outside.url}/done/{what}"},
        }

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.db) as connection:
            return connection.execute(query.encode()).fetchall()

    def idle(self) -> bool:
        return self.rows("SELECT count(*) FROM executions WHERE finished_at IS NULL") == [(0,)]

    def outputs(self) -> list[tuple[str, str, Any]]:
        """The id, the workflow and the output of every execution, all of which have succeeded."""
        rows = self.rows("SELECT id, workflow_id, status, output FROM executions ORDER BY n")
        assert {status for _, _, status, _ in rows} <= {"succeeded"}, rows
        return [(id, workflow, json.loads(output)) for id, workflow, _, output in rows]

    def done(self) -> Counter[str]:
        return Counter(unquote(one.path.removeprefix("/done/")) for one in list(self.outside.asked))

    def close(self) -> None:
        for server in self.servers:
            server.kill()
        self.outside.close()


@pytest.fixture
def make_site(one_database: str, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes a site; its servers end with the test."""
    made: list[Site] = []

    def make(wrong_by: tuple[float, float] = (0.0, 0.0), **variables: str) -> Site:
        made.append(Site(emptied(one_database), tmp_path, wrong_by, **variables))
        return made[-1]

    yield make
    for site in made:
        site.close()


def deliver(site: Site, name: str, chance: random.Random) -> str | None:
    """Post one delivery, the same again where it was not answered if it has an id; the execution that was promised."""
    headers = {"x-delivery": name} if name.startswith("id") else {}
    while True:
        try:
            answer = site.call(chance.randrange(2), "POST", "/hooks/orders", {"name": name}, **headers)
        except httpx2.TransportError:
            if not headers:
                return None
        else:
            if answer.status_code in (200, 202):
                return str(answer.json()["execution_id"])
            # it has just started and does not know the workflow yet, or is about to end
            assert answer.status_code in (404, 503), answer.text
        time.sleep(0.05)


@pytest.mark.slow
def test_every_accepted_delivery_has_exactly_one_execution(make_site: Callable[..., Site]) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    site = make_site()
    trigger = {"id": "in", "type": "trigger.webhook", "params": {"path": "orders", "delivery_header": "X-Delivery"}}
    nodes = [{"id": "n", "type": "state.add", "params": {"key": "n"}}, site.effect("${{ trigger.body.name }}")]
    given = document("hook", nodes, ["n > e"], triggers=[trigger], output="${{ trigger.body.name }}")
    site.save("hook", given)
    until(lambda: site.call(1, "GET", "/api/v1/triggers/hook:in").status_code == 200)
    names = [f"{chance.choice(('id', 'once'))}-{number}" for number in range(DELIVERIES)]
    ended = threading.Event()

    def kill() -> None:
        for number in range(max(4, DELIVERIES // 100)):
            if ended.wait(chance.uniform(0.2, 1.5)):
                return
            site.kill_and_start(number % 2)

    with ThreadPoolExecutor(9) as pool:
        killing = pool.submit(kill)
        seeds = [random.Random(chance.random()) for _ in names]
        promised = dict(zip(names, pool.map(deliver, [site] * len(names), names, seeds), strict=True))
        ended.set()
        killing.result()
    until(site.idle, SOON, "the end of every execution")
    made = site.outputs()
    counted = Counter(output for _, _, output in made)
    ids = {id: output for id, _, output in made}
    for name, id in promised.items():
        assert id is None or ids.get(id) == name, f"{name} was accepted as {id}, which is {ids.get(id)}"
        assert counted[name] == 1 or (id is None and counted[name] == 0), (name, counted[name])
    assert sum(id is not None for id in promised.values()) > DELIVERIES / 2
    assert site.done().keys() == counted.keys()
    state = site.call(0, "GET", "/api/v1/workflows/hook/state/n").json()
    assert state["value"] == len(made)


def schedule(site: Site, id: str) -> dict[str, Any]:
    params = {"schedule": "* * * * * *", "overlap": "allow", "catchup": "all"}
    trigger = {"id": "t", "type": "trigger.cron", "params": params}
    nodes = [site.effect(id + "/${{ trigger.scheduled_for }}")]
    return document(id, nodes, [], triggers=[trigger], output="${{ trigger.scheduled_for }}")


def instants(site: Site) -> dict[str, list[datetime]]:
    """The instants of each schedule that have an execution, each once, without a hole; what each did outside."""
    found: dict[str, list[datetime]] = {}
    for _, workflow, output in site.outputs():
        if workflow.startswith("c"):
            found.setdefault(workflow, []).append(datetime.fromisoformat(output))
            assert site.done()[f"{workflow}/{output}"]
    for workflow, each in found.items():
        first, last = min(each), max(each)
        wanted = [first + timedelta(seconds=n) for n in range(round((last - first).total_seconds()) + 1)]
        assert sorted(each) == wanted, f"{workflow} fired twice or not at all"
    return found


def stop_schedules(site: Site, ids: list[str]) -> None:
    for id in ids:
        assert site.call(0, "PATCH", f"/api/v1/workflows/{id}", {"enabled": False}).status_code == 200
    time.sleep(1.5)
    until(site.idle, SOON, "the end of every execution")


@pytest.mark.slow
def test_two_servers_fire_each_instant_once(make_site: Callable[..., Site]) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    site = make_site()
    ids = [f"c{number}" for number in range(SCHEDULES)]
    for id in ids:
        site.save(id, schedule(site, id))
    number = 0
    while site.rows("SELECT count(*) FROM executions")[0][0] < INSTANTS or number < 3:
        time.sleep(chance.uniform(0.2, 1.5))
        site.kill_and_start(number % 2)
        number += 1
    stop_schedules(site, ids)
    assert instants(site).keys() == set(ids)


@pytest.mark.slow
def test_clocks_that_are_an_hour_wrong(make_site: Callable[..., Site]) -> None:
    site = make_site((HOUR, -HOUR), AICFLOW_RETENTION_AGE="30m", AICFLOW_RETENTION_EVERY="1")
    retry = {"max_attempts": 3, "initial_delay": 0.2, "jitter": False}
    flaky = {**site.effect("again/${{ input }}"), "id": "f", "retry": retry}
    wait = {"id": "w", "type": "wait", "params": {"seconds": 0.5}}
    tries: Counter[str] = Counter()

    @site.outside.on("PUT", "/again/(.+)")
    def again(asked: Any) -> Any:
        tries[asked.parts[0]] += 1
        return (503, {}) if tries[asked.parts[0]] == 1 else {}

    flaky["params"] = {"method": "PUT", "url": f"{site.outside.url}/again/${{{{ input }}}}"}
    slow = {"id": "s", "type": "http.request", "params": {"method": "PUT", "url": f"{site.outside.url}/slow"}}

    @site.outside.on("PUT", "/slow")
    def slowly(asked: Any) -> Any:
        time.sleep(LEASE * 1.5)
        return {}

    site.save("waits", document("waits", [flaky, wait, site.effect("w${{ input }}")], ["f > w", "w > e"]))
    site.save("slow", document("slow", [slow], []))
    site.save("c", schedule(site, "c"))
    for number in range(2):
        until(lambda n=number: site.call(n, "GET", "/api/v1/workflows/c").status_code == 200)  # type: ignore[misc]
        for workflow in ("waits", "slow"):
            body = {"workflow_id": workflow, "input": number}
            assert site.call(number, "POST", "/api/v1/executions", body).status_code == 202
    until(lambda: not site.rows("SELECT 1 FROM executions WHERE workflow_id <> 'c' AND finished_at IS NULL"), 30)
    until(lambda: len(site.rows("SELECT 1 FROM executions WHERE workflow_id = 'c'")) >= 8, 30)
    stop_schedules(site, ["c"])
    # nothing is from the past or the future, was taken from who held it, or was removed before its time
    [(first, last)] = site.rows("SELECT min(created_at), max(created_at) FROM executions")
    assert time.time() - SOON < first / 1e6 <= last / 1e6 < time.time() + 1
    [each] = instants(site).values()
    assert time.time() - SOON < min(each).timestamp() <= max(each).timestamp() < time.time() + 1
    assert site.rows("SELECT DISTINCT epoch FROM executions WHERE workflow_id = 'slow'") == [(1,)]
    assert len(site.rows("SELECT 1 FROM executions WHERE workflow_id <> 'c'")) == 4
    assert sum(one.path == "/slow" for one in site.outside.asked) == 2


def spoken(events: Any) -> list[int]:
    """The numbers that were said before the end."""
    text = ""
    for event in events:
        if event["type"] == "step.delta":
            text += event["data"]["text"]
    return [int(word) for word in text.split()]


def by_sdk(site: Site, number: int, id: str) -> list[int]:
    with AICFlow(site.servers[number].url, site.servers[number].key) as client:
        return spoken({"type": one.type, "data": one.data} for one in client.executions.stream(id))


def by_sse(site: Site, number: int, id: str) -> list[int]:
    url = f"{site.servers[number].url}/api/v1/executions/{id}/stream"
    with httpx2.stream("GET", url, headers=site.headers, timeout=SOON) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        return spoken(json.loads(line) for line in lines)


@pytest.mark.slow
def test_what_a_step_says_is_heard_on_both_servers(make_site: Callable[..., Site]) -> None:
    site = make_site()
    many = 150
    speaks = {"id": "s", "type": "faults.speak", "params": {"words": many}}
    site.save("speaks", document("speaks", [speaks], []))
    until(lambda: site.call(1, "GET", "/api/v1/workflows/speaks").status_code == 200)
    with ThreadPoolExecutor(4) as pool:
        for number in range(2):
            id = site.call(number, "POST", "/api/v1/executions", {"workflow_id": "speaks"}).json()["id"]
            heard = [pool.submit(by, site, one, id) for by in (by_sdk, by_sse) for one in range(2)]
            for one in heard:
                words = one.result()
                assert words == sorted(set(words)), "something was said twice, or in another order"
                assert len(words) > many / 10
                assert words[-1] == many - 1
