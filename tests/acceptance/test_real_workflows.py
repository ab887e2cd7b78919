"""Workflows as people run them elsewhere, from the files of `examples/real_workflows`: on a real server, against
services that listen on this machine, on both engines."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.support.outside import Asked, Outside
from tests.support.server import Server, start_server

FOLDER = Path(__file__).parents[2] / "examples" / "real_workflows"
PUBLIC = "https://flow.example.com"


def until[T](ask: Callable[[], T | None], seconds: float = 60) -> T:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return answer


class Place:
    """A data folder with a server on it, and the services that its workflows talk to."""

    def __init__(self, data: Path, engine: str) -> None:
        self._data = data
        self.outside = Outside()
        self._environment = {
            "AICFLOW_ENGINE": engine,
            "AICFLOW_BLOCKED_PLUGINS": "agent,python",
            "AICFLOW_PUBLIC_URL": PUBLIC,
            "AICFLOW_HTTP_ALLOW_HOSTS": self.outside.url.removeprefix("http://"),
        }
        self.start()

    def start(self) -> None:
        self.server: Server = start_server(self._data, self._environment)
        self.api = httpx2.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=60)
        self.web = httpx2.Client(base_url=self.server.url, timeout=60)  # anybody: no key

    def kill(self) -> None:
        self.api.close()
        self.web.close()
        self.server.kill()

    def deploy(self, name: str, id: str | None = None, **changed: Any) -> str:
        """Save an example as it stands, but for its `vars`; returns the workflow's id."""
        document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        document.pop("triggers", None)  # nothing begins but what a test begins
        known = document.get("vars", {})
        document["vars"] = {key: self.outside.url if isinstance(old, str) else old for key, old in known.items()}
        document["vars"] |= changed
        query = {} if id is None else {"id": id}
        saved = self.api.post("/workflows", params=query, json=document)
        assert saved.status_code in (201, 409), saved.text
        return str(id if saved.status_code == 409 else saved.json()["id"])

    def begin(self, workflow_id: str, input: Any = None) -> str:
        started = self.api.post("/executions", json={"workflow_id": workflow_id, "input": input})
        return str(started.raise_for_status().json()["id"])

    def ended(self, execution_id: str) -> dict[str, Any]:
        return until(lambda: (one := self.api.get(f"/executions/{execution_id}").json())["finished_at"] and one)

    def output(self, execution_id: str) -> Any:
        execution = self.ended(execution_id)
        assert execution["status"] == "succeeded", execution
        return execution["output"]

    def mailed(self, to: str) -> str:
        """The path of the link that somebody got by mail."""

        def found() -> str | None:
            texts = [one.json()["text"] for one in self.outside.of("POST", "/messages") if one.json()["to"] == to]
            return texts[-1] if texts else None

        link = until(found)
        assert link.startswith(PUBLIC)
        return link.removeprefix(PUBLIC)


@pytest.fixture(scope="module", params=["native", "langgraph"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp(request.param) / "data", request.param)
    yield made
    made.kill()
    made.outside.close()


@pytest.fixture
def place(shared: Place) -> Place:
    shared.outside.asked.clear()
    return shared


def test_twenty_pages_one_after_the_other(place: Place) -> None:
    """The example's pause is three seconds; a shorter one is the same workflow."""
    tries: Counter[int] = Counter()

    @place.outside.on("GET", "/products")
    def page(asked: Asked) -> Any:
        n = int(asked.query["page"])
        tries[n] += 1
        if n == 7 and tries[n] == 1:
            return 503, "busy"  # tried again
        item = '<li class="product"><h2>P{0}</h2><b class="price">{0}.50</b><a href="/p/{0}">look</a></li>'
        return "<ul>" + "".join(item.format(10 * n + one) for one in range(2)) + "<li>advertisement</li></ul>"

    document = yaml.safe_load((FOLDER / "product_pages.yaml").read_text())
    assert (document["vars"]["pages"], document["nodes"][0]["repeat"]["delay"]) == (20, 3)
    document["nodes"][0]["repeat"]["delay"] = 0.1
    document["nodes"][0]["repeat"]["nodes"][0]["retry"]["initial_delay"] = 0.05
    document["vars"]["site"] = place.outside.url
    saved = place.api.post("/workflows", json=document).raise_for_status().json()
    output = place.output(place.begin(saved["id"]))
    assert output["pages"] == 20
    assert [one["name"] for one in output["products"]] == [f"P{10 * n + one}" for n in range(1, 21) for one in (0, 1)]
    assert output["products"][-1] == {"name": "P201", "price": "201.50", "link": "/p/201"}
    assert tries == {n: 1 + (n == 7) for n in range(1, 21)}


class Files:
    """Three projects with files; `gate` holds the copies from `hold_after` on."""

    def __init__(self, outside: Outside, projects: int = 3, files: int = 6) -> None:
        self.files = {
            f"p{p}": [{"n": n, "path": f"p{p}-{n}.txt"} for n in range(1, files + 1)] for p in range(projects)
        }
        self.copied: Counter[str] = Counter()
        self.hold_after = 10_000
        self.gate = threading.Event()
        outside.on("GET", "/projects")(lambda asked: list(self.files))
        outside.on("GET", r"/projects/(\w+)/files")(self._after)
        outside.on("GET", r"/files/([\w.-]+)")(lambda asked: f"text of {asked.parts[0]}")
        outside.on("PUT", r"/documents/(\w+)/(\d+)")(self._store)

    def _after(self, asked: Asked) -> Any:
        return [one for one in self.files[asked.parts[0]] if one["n"] > int(asked.query["after"])]

    def _store(self, asked: Asked) -> Any:
        project, n = asked.parts
        assert asked.body == f"text of {project}-{n}.txt".encode()
        if sum(self.copied.values()) >= self.hold_after:
            self.gate.wait(60)
            return 503, "shutting down"
        self.copied[f"{project}/{n}"] += 1
        return {}


def test_files_of_projects_are_copied_from_where_the_last_execution_came_to(place: Place) -> None:
    files = Files(place.outside)
    workflow_id = place.deploy("sync_projects")
    assert place.output(place.begin(workflow_id)) == {"copied": 18, "failed": []}
    assert set(files.copied.values()) == {1}
    state = place.api.get(f"/workflows/{workflow_id}/state").json()["data"]
    assert {one["key"]: one["value"] for one in state} == {"cursor:p0": 6, "cursor:p1": 6, "cursor:p2": 6}

    assert place.output(place.begin(workflow_id)) == {"copied": 0, "failed": []}
    files.files["p1"] += [{"n": n, "path": f"p1-{n}.txt"} for n in (7, 8)]
    files.files["new"] = [{"n": 1, "path": "new-1.txt"}]
    assert place.output(place.begin(workflow_id)) == {"copied": 3, "failed": []}
    assert len(files.copied) == 21
    assert set(files.copied.values()) == {1}


def test_a_cancelled_copy_is_taken_up_by_the_next_execution(place: Place) -> None:
    files = Files(place.outside, files=8)
    workflow_id = place.deploy("sync_projects")
    files.hold_after = 11
    execution_id = place.begin(workflow_id)
    until(lambda: sum(files.copied.values()) == 11 and len(place.outside.of("PUT", "/documents")) == 14)
    place.api.post(f"/executions/{execution_id}/cancel").raise_for_status()
    assert place.ended(execution_id)["status"] == "cancelled"
    files.gate.set()
    files.hold_after = 10_000
    before = Counter(files.copied)
    assert place.output(place.begin(workflow_id))["copied"] == 24 - 11
    assert all(files.copied[key] == 1 for key in before), "none a second time"
    assert len(files.copied) == 24


@pytest.mark.slow
def test_a_copy_whose_server_is_killed_goes_on_where_it_was(place: Place) -> None:
    files = Files(place.outside, files=8)
    workflow_id = place.deploy("sync_projects")
    files.hold_after = 11
    execution_id = place.begin(workflow_id)
    until(lambda: sum(files.copied.values()) == 11 and len(place.outside.of("PUT", "/documents")) == 14)
    place.kill()
    done = Counter(files.copied)
    files.gate.set()
    files.hold_after = 10_000
    place.start()
    assert place.output(execution_id) == {"copied": 24, "failed": []}
    assert len(files.copied) == 24
    assert {files.copied[key] for key in done} == {1}, "what had ended did not run again"
    state = place.api.get(f"/workflows/{workflow_id}/state").json()["data"]
    assert {one["value"] for one in state} == {8}


def test_parcels_take_different_ways_and_are_joined(place: Place) -> None:
    outside = place.outside
    outside.on("POST", "/rides")(lambda asked: {"price": 12})
    outside.on("GET", "/quotes")(lambda asked: {"price": 2 * float(asked.query["kg"])})

    @outside.on("POST", "/freight")
    def book(asked: Asked) -> Any:
        return (404, {"error": "no truck"}) if asked.json()["parcel"] == "E" else {"booked": asked.json()}

    parcels = [
        {"id": "A", "kind": "letter", "kg": 0.1},
        {"id": "B", "kind": "freight", "kg": 100},
        {"id": "C", "kind": "courier", "kg": 2},
        {"id": "D", "kind": "courier", "kg": 31},
        {"id": "E", "kind": "freight", "kg": 5},
    ]
    output = place.output(place.begin(place.deploy("parcels"), {"parcels": parcels}))
    assert output["labels"] == [
        {"id": "A", "by": "default", "price": 1.5},
        {"id": "B", "by": "heavy", "price": 200},
        {"id": "C", "by": "courier", "price": 12},
        {"id": "D", "by": "heavy", "price": 62},
        None,
    ]
    assert output["failed"] == ["E"]
    assert {one["key"]["by"]: (one["count"], one["totals"]["price"]) for one in output["ways"]} == {
        "default": (1, 1.5),
        "heavy": (2, 262),
        "courier": (1, 12),
    }
    assert len(outside.of("POST", "/rides")) == 1
    empty = place.output(place.begin(place.deploy("parcels"), {"parcels": []}))
    assert empty == {"labels": [], "ways": [], "failed": []}


@pytest.mark.parametrize("ending", ["ready", "broken", "never"])
def test_a_job_is_asked_for_until_it_is_ready(place: Place, ending: str) -> None:
    asked_for: list[str] = []

    @place.outside.on("POST", "/jobs")
    def order(asked: Asked) -> Any:
        assert asked.headers["idempotency-key"]
        return 201, {"id": "j1"}

    @place.outside.on("GET", "/jobs/j1")
    def look(asked: Asked) -> Any:
        asked_for.append("once")
        return {"state": ending if len(asked_for) == 4 else "works"}

    place.outside.on("GET", "/jobs/j1/result")(lambda asked: {"pixels": 9})
    place.outside.on("DELETE", "/jobs/j1")(lambda asked: {})
    document = yaml.safe_load((FOLDER / "render_job.yaml").read_text())
    document["vars"]["service"] = place.outside.url
    document["nodes"][1]["repeat"] |= {"delay": {"initial": 0.01, "multiplier": 2, "max": 0.04}, "max": 6}
    saved = place.api.post("/workflows", json=document).raise_for_status().json()
    output = place.output(place.begin(saved["id"], {"scene": "sea"}))
    tries = 6 if ending == "never" else 4
    state = "works" if ending == "never" else ending
    result = {"pixels": 9} if ending == "ready" else None
    assert output == {"state": state, "tries": tries, "result": result}
    assert len(asked_for) == tries
    assert len(place.outside.of("DELETE", "/jobs/j1")) == (ending != "ready")


@pytest.mark.parametrize("escalated", [False, True])
def test_a_release_is_approved_by_link_or_by_the_next_person(place: Place, escalated: bool) -> None:
    place.outside.on("POST", "/messages")(lambda asked: (202, {}))
    place.outside.on("POST", "/releases")(lambda asked: (201, asked.json()))
    place.deploy("send_link", "send-link")
    workflow_id = place.deploy("release", patience=1 if escalated else 600)
    execution_id = place.begin(workflow_id, {"version": "1.2"})
    who = "director" if escalated else "lead"
    first = place.mailed("lead@example.com")
    link = place.mailed(f"{who}@example.com")
    assert "1.2" in place.web.get(link).text
    if escalated:
        late = place.web.post(first, data={"choice": "approve"})
        assert late.status_code == 410
    assert place.web.post(link, data={"choice": "approve"}).status_code == 200
    output = place.output(execution_id)
    assert output == {"released": True, "by": f"{who}@example.com", "escalated": escalated}
    (released,) = place.outside.of("POST", "/releases")
    assert released.json() == {"version": "1.2", "by": f"{who}@example.com"}
    assert place.web.post(link, data={"choice": "reject"}).status_code == 410


def test_the_first_of_two_responders_counts(place: Place) -> None:
    """By page, by JSON, and by the API with a key: one of them counts, and the others are told."""
    place.outside.on("POST", "/messages")(lambda asked: (202, {}))
    place.deploy("send_link", "send-link")
    workflow_id = place.deploy("on_call")
    execution_id = place.begin(workflow_id, {"incident": "disk"})
    ann, bob = (place.mailed(f"{who}@example.com") for who in ("ann", "bob"))
    assert place.web.post(bob, data={"choice": "take", "minutes": "0"}).status_code == 422
    assert place.web.post(bob, data={"choice": "take", "minutes": "15"}).status_code == 200
    late = place.web.post(ann, data={"choice": "take", "minutes": "5"})
    assert late.status_code == 410
    assert "answered already" in late.text
    assert "answered already" in until(lambda: (page := place.web.get(ann)).status_code == 410 and page.text)
    assert place.web.post(ann, json={"choice": "take", "answer": {"minutes": 5}}).status_code == 410
    resume = {"node_id": "who", "value": {"choice": "take", "answer": {"minutes": 5}, "by": "eve"}}
    assert place.api.post(f"/executions/{execution_id}/resume", json=resume).status_code == 409
    output = place.output(execution_id)
    assert output == {"by": "bob@example.com", "choice": "take", "answer": {"minutes": 15}}


def test_of_answers_at_the_same_moment_one_counts(place: Place) -> None:
    place.outside.on("POST", "/messages")(lambda asked: (202, {}))
    place.deploy("send_link", "send-link")
    workflow_id = place.deploy("on_call")
    for _ in range(5):
        place.outside.asked.clear()
        execution_id = place.begin(workflow_id, {"incident": "disk"})
        links = [place.mailed(f"{who}@example.com") for who in ("ann", "bob")]

        def by_link(n: int, link: str) -> tuple[int, int]:
            return n, place.web.post(link, data={"choice": "take", "minutes": str(n)}).status_code

        def by_key(n: int, execution_id: str = execution_id) -> tuple[int, int]:
            value = {"choice": "take", "answer": {"minutes": n}, "by": "eve"}
            answer = place.api.post(f"/executions/{execution_id}/resume", json={"node_id": "who", "value": value})
            return n, answer.status_code

        with ThreadPoolExecutor(6) as pool:
            running = [pool.submit(by_link, 1, links[0]), pool.submit(by_link, 2, links[1]), pool.submit(by_key, 3)]
            running += [pool.submit(by_link, 4, links[0]), pool.submit(by_link, 5, links[1]), pool.submit(by_key, 6)]
            statuses = dict(one.result() for one in running)
        winners = [n for n, status in statuses.items() if status in (200, 202)]
        assert len(winners) == 1, statuses
        (won,) = winners
        assert {status for n, status in statuses.items() if n != won} <= {409, 410}, statuses
        assert place.output(execution_id)["answer"] == {"minutes": won}


def test_an_order_is_shipped_when_all_its_events_have_come(place: Place) -> None:
    workflow_id = place.deploy("ship_order")

    def send(name: str, key: str, data: Any) -> None:
        place.api.post("/events", json={"name": name, "key": key, "data": data}).raise_for_status()

    send("parcel.packed", "A", 1)  # before the order is known here
    a = place.begin(workflow_id, {"order": "A", "parcels": 3})
    b = place.begin(workflow_id, {"order": "B", "parcels": 1})
    send("order.paid", "A", {"amount": 20})
    for n in (2, 3):
        send("parcel.packed", "A", n)
    send("parcel.packed", "B", 1)
    assert place.output(a) == {"order": "A", "amount": 20, "parcels": [1, 2, 3]}
    assert place.api.get(f"/executions/{b}").json()["status"] in ("running", "waiting")
    send("order.paid", "B", {"amount": 5})
    assert place.output(b) == {"order": "B", "amount": 5, "parcels": [1]}


def test_an_order_whose_events_do_not_come_in_time_is_given_up(place: Place) -> None:
    workflow_id = place.deploy("ship_order", patience=0.5)
    unpaid, unpacked = (place.begin(workflow_id, {"order": one, "parcels": 1}) for one in ("C", "D"))
    place.api.post("/events", json={"name": "parcel.packed", "key": "C", "data": 1}).raise_for_status()
    place.api.post("/events", json={"name": "order.paid", "key": "D", "data": {"amount": 1}}).raise_for_status()
    assert place.output(unpaid) == {"order": "C", "missing": "payment"}
    assert place.output(unpacked) == {"order": "D", "missing": "parcels"}


def test_every_file_is_valid_without_a_warning(place: Place) -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert len(files) == 8
    for file in files:
        answer = place.api.post("/workflows/validate", json=yaml.safe_load(file.read_text()))
        assert answer.status_code == 200, answer.text
        assert answer.json()["issues"] == [], file.name
