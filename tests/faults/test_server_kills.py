"""A server is killed at random over forms, state, events, repeats, maps and files together, on both engines, with
their effects on a service of its own: what was accepted ends as it should, and nothing that ended runs again.

AICFLOW_FAULT_ROUNDS sets how many kills there are (a few unless `make proof` asks for more), AICFLOW_FAULT_SEED repeats
a run."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from tests.faults.databases import end_leases
from tests.support.outside import Asked, Outside
from tests.support.server import start_server

ROUNDS = int(os.environ.get("AICFLOW_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("AICFLOW_FAULT_SEED", str(random.SystemRandom().randrange(1_000_000))))
ENGINES = ("native", "langgraph")
PASSES, ITEMS = 3, 4
KILLS_A_SHOP = 12


def effect(id: str, what: str) -> dict[str, Any]:
    """A step that asks the service outside to do something."""
    return {"id": id, "type": "http.request", "params": {"method": "PUT", "url": "${{ vars.outside }}/done/" + what}}


def add(id: str, key: str) -> dict[str, Any]:
    return {"id": id, "type": "state.add", "params": {"key": key}}


def order(outside: str, engine: str) -> dict[str, Any]:
    """Poll, ask a person, wait for a payment, do what each item needs, write a file."""
    poll = {
        "while": f"${{{{ carry < {PASSES} }}}}",
        "max": 9,
        "delay": 0.05,
        "carry": 0,
        "nodes": [effect("p", "${{ input }}/poll/${{ index }}"), add("seen", "passes")],
        "edges": [{"from": "p", "to": "seen"}],
        "output": "${{ carry + 1 }}",
    }
    each = {
        "over": list(range(ITEMS)),
        "concurrency": 2,
        "nodes": [
            effect("i", "${{ input }}/item/${{ item }}"),
            {"id": "rest", "type": "wait", "params": {"seconds": "${{ 0.02 * item }}"}},
            add("each_seen", "items"),
        ],
        "edges": [{"from": "i", "to": "rest"}, {"from": "rest", "to": "each_seen"}],
        "output": "${{ item }}",
    }
    event = {"name": "paid", "key": "${{ input }}"}
    nodes = [
        {"id": "poll", "repeat": poll},
        {"id": "ask", "type": "form.wait", "params": {"title": "Order ${{ input }}?"}},
        {"id": "paid", "type": "wait", "params": {"event": event}},
        {"id": "each", "map": each},
        {"id": "file", "type": "file.write", "params": {"name": "r.txt", "text": "report ${{ input }}"}},
        add("count", "orders"),
        effect("end", "${{ input }}/end"),
    ]
    edges = [("poll", "ask"), ("paid", "each"), ("each", "file"), ("file", "count"), ("count", "end")]
    answers = [{"from": "ask", "port": port, "to": "paid"} for port in ("approve", "reject", "timeout")]
    return {
        "aicflow": 1,
        "name": engine,
        "vars": {"outside": outside},
        "nodes": nodes,
        "edges": [{"from": one, "to": other} for one, other in edges] + answers,
        "output": {
            "answer": "${{ nodes.ask.output.answer?.comment }}",
            "paid": "${{ nodes.paid.output.answer?.data }}",
            "items": "${{ nodes.each.output.items }}",
            "passes": "${{ nodes.poll.output.passes }}",
            "file": "${{ nodes.file.output.file }}",
        },
        "settings": {"engine": engine},
    }


def follower(outside: str) -> dict[str, Any]:
    """What each payment starts."""
    trigger = {"id": "on", "type": "trigger.event", "params": {"name": "paid"}, "input": "${{ trigger.data }}"}
    nodes = [add("count", "payments"), effect("tell", "${{ input }}/paid")]
    rest = {"edges": [{"from": "count", "to": "tell"}], "output": "${{ input }}"}
    return {"aicflow": 1, "name": "paid", "vars": {"outside": outside}, "triggers": [trigger], "nodes": nodes, **rest}


class Shop:
    """A server that is killed, what it accepted, and what was done outside."""

    def __init__(self, data: Path, chance: random.Random, db: str | None = None) -> None:
        self._data = data
        self._db = db
        self._chance = chance
        self.outside = Outside()
        self.outside.on("PUT", "/done/(.+)")(self._do)
        self._environment = {
            "AICFLOW_BLOCKED_PLUGINS": "agent,python",
            "AICFLOW_HTTP_ALLOW_HOSTS": self.outside.url.removeprefix("http://"),
            **({"AICFLOW_STORE": db} if db else {}),
        }
        self.orders: dict[str, str] = {}  # name of the order → execution
        self._open: dict[str, str] = {}  # those of them that are not known to have ended
        self._sent: set[str] = set()  # orders whose payment was accepted
        self._answers: dict[str, str] = {}  # order → the one answer that was accepted
        self._asked: Counter[str] = Counter()
        self._ended: dict[tuple[str, str], int] = {}  # (execution, step) → effects when it was seen to have ended
        self.start()
        for engine in ENGINES:
            self.save(engine, order(self.outside.url, engine))
        self.save("paid", follower(self.outside.url))

    def _do(self, asked: Asked) -> Any:
        time.sleep(self._chance.choice((0.0, 0.0, 0.01, 0.04)))
        return {"done": asked.parts[0]}

    def start(self) -> None:
        if self._db:
            end_leases(self._db)
        self.server = start_server(self._data, self._environment)
        self.api = httpx2.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=30)

    def kill(self) -> None:
        self.server.kill()
        self.api.close()

    def save(self, name: str, document: dict[str, Any]) -> None:
        saved = self.api.post("/workflows", params={"id": name}, json=document)
        assert saved.status_code == 201, saved.text

    def get(self, path: str, **params: Any) -> Any:
        return self.api.get(path, params=params).raise_for_status().json()

    def begin(self, name: str) -> None:
        """Start an order; the same again where no answer came."""
        body = {"workflow_id": name.partition("-")[0], "input": name}
        started = self.api.post("/executions", json=body, headers={"idempotency-key": name}).raise_for_status()
        id = str(started.json()["id"])
        assert self.orders.setdefault(name, id) == id
        self._open[name] = id

    def answer(self, name: str) -> None:
        """Answer an order's form with words of its own, twice, if it asks."""
        links = self.api.get(f"{self.server.url}/form-links/{self.orders[name]}/ask")
        if links.status_code != 200:
            return
        for _ in range(2):
            self._asked[name] += 1
            said = f"answer {self._asked[name]} to {name}"
            choice = self._chance.choice(("approve", "reject"))
            link = httpx2.URL(links.json()["data"][0]["link"]).path
            status = self.api.post(self.server.url + link, data={"choice": choice, "comment": said}).status_code
            assert status in (200, 410), status
            if status == 200:
                assert name not in self._answers, f"{name} took two answers"
                self._answers[name] = said

    def pay(self, name: str) -> None:
        """Send an order's payment; the same event again where no answer came, and sometimes where one did."""
        if name not in self._sent or self._chance.random() < 0.2:
            body = {"id": f"e-{name}", "name": "paid", "key": name, "data": name}
            self.api.post("/events", json=body).raise_for_status()
            self._sent.add(name)

    def work(self, names: list[str]) -> bool:
        """Do what the orders need from outside, once around; whether all that was begun has ended."""
        for name in names:
            if name not in self.orders:
                self.begin(name)
                if self._chance.random() < 0.5:
                    self.pay(name)  # before it is waited for
        for name, id in list(self._open.items()):
            if self.get(f"/executions/{id}")["finished_at"] is not None:
                del self._open[name]
                continue
            self.answer(name)
            if self._chance.random() < 0.3:
                self.pay(name)
        return not self._open

    def effects(self) -> Counter[str]:
        return Counter(one.parts[0] for one in list(self.outside.asked))

    def look(self) -> None:
        """Nothing was done again for a step that was seen to have ended."""
        seen: list[tuple[str, str]] = []
        for name, id in self.orders.items():
            for event in self.events(id):
                if event["type"] == "step.succeeded":
                    what = {"p": "poll", "i": "item", "end": "end"}.get(event["node_id"].rpartition(".")[2])
                    if what is not None:
                        place = event["node_id"].partition("[")[2].partition("]")[0]
                        seen.append((id, "/".join(filter(None, (name, what, place)))))
        done = self.effects()
        for key, before in self._ended.items():
            assert done[key[1]] == before, f"{key[1]} was done again after it had ended"
        self._ended = {key: done[key[1]] for key in seen}
        assert all(self._ended.values()), "ended without its effect"

    def events(self, execution_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.get(f"/executions/{execution_id}/events", after=found[-1]["seq"] if found else 0)["data"]:
            found += page
        return found

    def check(self) -> None:
        """Everything that was accepted has come to its one right end."""
        for name, id in self.orders.items():
            execution = self.get(f"/executions/{id}")
            assert execution["status"] == "succeeded", (name, execution)
            output = execution["output"]
            file = output.pop("file")
            assert self.api.get(f"/files/{file['$blob']}").text == f"report {name}"
            said = output.pop("answer")
            assert said == self._answers.get(name, said), f"{name} went on with another answer than it took"
            assert output == {"paid": name, "items": list(range(ITEMS)), "passes": PASSES}
        many = len(self.orders)
        for engine in ENGINES:
            mine = sum(name.startswith(engine) for name in self.orders)
            state = {one["key"]: one["value"] for one in self.get(f"/workflows/{engine}/state")["data"]}
            assert state == {"passes": mine * PASSES, "items": mine * ITEMS, "orders": mine}
        assert self.get("/workflows/paid/state")["data"][0]["value"] == many
        done = self.effects()
        wanted = {f"{name}/poll/{i}" for name in self.orders for i in range(PASSES)}
        wanted |= {f"{name}/item/{i}" for name in self.orders for i in range(ITEMS)}
        wanted |= {f"{name}/{what}" for name in self.orders for what in ("end", "paid")}
        assert done.keys() == wanted
        for status in ("queued", "running", "waiting", "failed"):
            assert self.get("/executions", status=status)["data"] == []

    def close(self) -> None:
        self.kill()
        self.outside.close()


def kill_often(shop: Shop, kills: int, orders: int, chance: random.Random) -> None:
    """Kill the server over orders of both engines, a few new ones each time, until all have ended."""
    begun: list[str] = []
    for kill in range(kills):
        begun += [f"{engine}-{kill}-{one}" for engine in ENGINES for one in range(orders)]
        moment = threading.Timer(chance.choice((0.1, 0.5, 1.5)) * chance.random(), shop.server.process.kill)
        moment.start()
        try:
            while not shop.work(begun) or moment.is_alive():
                time.sleep(0.01)
        except httpx2.TransportError:
            pass
        moment.join()
        shop.kill()
        shop.start()
        shop.look()
    deadline = time.monotonic() + 90
    while not shop.work(begun):
        assert time.monotonic() < deadline, "stuck"
        time.sleep(0.05)
    while shop.get("/executions", status="running,queued,waiting")["data"] or not followed(shop):
        assert time.monotonic() < deadline, "stuck"
        time.sleep(0.05)
    shop.look()
    shop.check()


def followed(shop: Shop) -> bool:
    """Whether each payment has started its execution, and that has ended."""
    state = shop.get("/workflows/paid/state")["data"]
    return bool(state) and state[0]["value"] >= len(shop.orders)


def test_kills_over_everything_at_once(tmp_path: Path, store: Callable[[], str | None]) -> None:
    print(f"AICFLOW_FAULT_SEED={SEED}")
    for number in range(0, ROUNDS, KILLS_A_SHOP):
        chance = random.Random(f"{SEED} {number}")
        shop = Shop(tmp_path / f"shop{number}", chance, store())
        try:
            kill_often(shop, min(KILLS_A_SHOP, ROUNDS - number), 2, chance)
        finally:
            shop.close()
        shutil.rmtree(tmp_path / f"shop{number}")
