"""A map of two hundred requests on a real server: watched, read item by item, cancelled, and killed on its way."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from tests.support.server import Server, running_server, start_server

ITEMS = 200
MISSING = 13


class Shop:
    """A web server with an order at each number but one. `gate` holds its answers from `hold_after` on."""

    def __init__(self) -> None:
        shop = self
        self.calls: Counter[int] = Counter()
        self.hold_after = ITEMS * 10
        self.gate = threading.Event()

        class Orders(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                number = int(self.path.rpartition("/")[2])
                shop.calls[number] += 1
                if sum(shop.calls.values()) > shop.hold_after:
                    shop.gate.wait(60)
                body = json.dumps({"total": number * 10}).encode()
                self.send_response(404 if number == MISSING else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # who asked is gone

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.close()


def document(shop: Shop) -> dict[str, Any]:
    get = {"id": "get", "type": "http.request", "params": {"url": shop.url + "/orders/${{ number }}"}}
    each = {
        "id": "each",
        "map": {
            "over": "${{ input }}", "as": "number", "key": "${{ 'A-' + str(number) }}", "concurrency": 20,
            "on_item_error": "continue", "nodes": [get], "output": "${{ nodes.get.output.body.total }}",
        },
    }  # fmt: skip
    numbers = {"type": "array", "items": {"type": "integer"}}
    return {
        "aicflow": 1,
        "name": "orders",
        "input_schema": numbers,
        "nodes": [each],
        "output": "${{ nodes.each.output }}",
    }


def environment(shop: Shop) -> dict[str, str]:
    blocked = {"AICFLOW_ENGINE": "native", "AICFLOW_BLOCKED_PLUGINS": "agent,python"}
    return {**blocked, "AICFLOW_HTTP_ALLOW_HOSTS": shop.url.removeprefix("http://")}


@contextmanager
def client_of(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
        yield api


def start(api: httpx2.Client, shop: Shop) -> str:
    api.post("/workflows?id=orders", json=document(shop)).raise_for_status()
    started = api.post("/executions", json={"workflow_id": "orders", "input": list(range(ITEMS))})
    return str(started.raise_for_status().json()["id"])


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def check(output: dict[str, Any]) -> None:
    """Nothing is lost, and everything stands in its place."""
    assert (output["count"], output["succeeded"]) == (ITEMS, ITEMS - 1)
    assert output["items"] == [None if number == MISSING else number * 10 for number in range(ITEMS)]
    assert [(item["index"], item["key"]) for item in output["failed"]] == [(MISSING, f"A-{MISSING}")]


def test_a_map_is_watched_and_its_items_are_read(tmp_path: Path, shop: Shop) -> None:
    with running_server(tmp_path / "data", environment(shop)) as server, client_of(server) as api:
        execution_id = start(api, shop)
        address = server.url.replace("http", "ws") + f"/api/v1/executions/{execution_id}/stream"
        with connect(address, additional_headers=server.headers) as stream:
            events = [json.loads(line) for frame in stream for line in str(frame).splitlines()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        progress = [event["data"] for event in events if event["type"] == "step.progress"]
        assert all(one["count"] == ITEMS for one in progress)
        assert [one["ended"] for one in progress] == sorted({one["ended"] for one in progress})
        assert progress[-1] == {"count": ITEMS, "ended": ITEMS, "failed": 1}
        failed = [event for event in events if event["type"] == "step.failed"]
        assert [event["node_id"] for event in failed] == [f"each[{MISSING}].get"]
        done = {event["node_id"] for event in events if event["type"] == "step.succeeded"}
        assert len(done) == ITEMS, "199 requests and the map"

        path = f"/executions/{execution_id}"
        check(api.get(path).json()["output"])
        (item,) = api.get(f"{path}/steps/each/items?status=failed").json()["data"]
        assert (item["id"], item["key"], item["error"]["node_id"]) == ("each[13]", "A-13", "each[13].get")
        seen: list[int] = []
        query: dict[str, Any] = {"status": "succeeded", "limit": 60, "fields": "output"}
        while True:
            page = api.get(f"{path}/steps/each/items", params=query).json()
            seen += [item["output"] for item in page["data"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert seen == [number * 10 for number in range(ITEMS) if number != MISSING]
        (outer,) = api.get(f"{path}/steps").json()["data"]
        assert outer["node_id"] == "each"
        (step,) = api.get(f"{path}/steps?parent=each[7]&fields=output").json()["data"]
        assert (step["node_id"], step["output"]["body"]) == ("each[7].get", {"total": 70})


def test_a_cancelled_map_stops_its_requests(tmp_path: Path, shop: Shop) -> None:
    shop.hold_after = 50
    with running_server(tmp_path / "data", environment(shop)) as server, client_of(server) as api:
        execution_id = start(api, shop)
        path = f"/executions/{execution_id}"
        until(lambda: sum(shop.calls.values()) == 70)
        assert "each: 20 items run, such as each[" in api.get(f"{path}/why").json()["sentence"]
        running = api.get(f"{path}/steps/each/items?status=running").json()["data"]
        assert len(running) == 20
        assert api.post(f"{path}/cancel").status_code == 202
        execution = until(lambda: api.get(path).json()["finished_at"] and api.get(path).json())
        assert execution["status"] == "cancelled"
        events = api.get(f"{path}/events?limit=10000").json()["data"]
        stopped = [event["node_id"] for event in events if event["type"] == "step.cancelled"]
        assert sorted(stopped) == sorted(["each", *(item["id"] + ".get" for item in running)])
        assert sum(shop.calls.values()) == 70, "no item began afterwards"
        assert len(api.get(f"{path}/steps/each/items?limit=200").json()["data"]) == 50


@pytest.mark.slow
def test_a_map_whose_server_is_killed_is_finished_by_the_next(tmp_path: Path, shop: Shop) -> None:
    shop.hold_after = 80
    server = start_server(tmp_path / "data", environment(shop))
    try:
        with client_of(server) as api:
            execution_id = start(api, shop)
            items = f"/executions/{execution_id}/steps/each/items?limit=200"
            until(lambda: sum(shop.calls.values()) == 100)
            kept = until(
                lambda: len(found := api.get(f"{items}&status=succeeded,failed").json()["data"]) == 80 and found
            )
        server.kill()
        shop.gate.set()
        server = start_server(tmp_path / "data", environment(shop))
        with client_of(server) as api:
            until(lambda: api.get(f"/executions/{execution_id}").json()["status"] == "succeeded")
            check(api.get(f"/executions/{execution_id}").json()["output"])
        assert {shop.calls[item["index"]] for item in kept} == {1}, "what had ended did not run again"
        assert sum(shop.calls.values()) == ITEMS + 20, "the twenty under way did"
    finally:
        server.process.kill()
        server.process.wait()
