"""How many executions of one key may be queued: exact under concurrent starts, over restarts, and for every way in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from .conftest import ECHO, Host, problem


def _key(host: Host, **more: Any) -> httpx2.Client:
    made = host.client.post("/api-keys", json={"name": "batch", "scopes": ["read", "execute"], **more})
    assert made.status_code == 201, made.text
    return host.bare(authorization=f"Bearer {made.json()['key']}")


def _starts(client: httpx2.Client, times: int) -> Counter[int]:
    def start(_: int) -> int:
        return client.post("/executions", json={"workflow_id": "echo", "input": 1}).status_code

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(start, range(times)))


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_the_queue_of_a_key_is_exact_and_survives_a_restart(new_host: Any) -> None:
    with new_host(running=0, max_queued_per_key=10) as host:
        host.save(ECHO, id="echo")
        with _key(host) as client, _key(host, max_queued=3) as small:
            assert _starts(client, 40) == {202: 10, 429: 30}
            assert _starts(small, 10) == {202: 3, 429: 7}, "a key may have a limit of its own"
            refused = client.post(
                "/executions", json={"workflow_id": "echo", "input": 1}, headers={"idempotency-key": "once"}
            )
            told = problem(refused, 429, "queue-full")
            assert told["detail"].startswith("10 executions that key:ak_")
            assert int(refused.headers["retry-after"]) >= 1
            key = client.headers["authorization"]
        [listed] = [one for one in host.client.get("/api-keys").json()["data"] if one["max_queued"] == 3]
        shown = host.client.get("/executions").json()["data"]
        assert Counter(one["trigger"]["started_by"] for one in shown)[f"key:{listed['id']}"] == 3
    with new_host(running=0, max_queued_per_key=10) as host, host.bare(authorization=key) as client:
        problem(client.post("/executions", json={"workflow_id": "echo", "input": 1}), 429, "queue-full")
        assert _starts(host.client, 2) == {202: 2}, "another key has its own"
    with new_host(max_queued_per_key=10) as host, host.bare(authorization=key) as client:
        _until(lambda: host.client.get("/executions?status=queued").json()["data"] == [])
        again = client.post(
            "/executions?wait=10", json={"workflow_id": "echo", "input": 1}, headers={"idempotency-key": "once"}
        )
        assert again.status_code == 200, "the refused request used no key up"
        assert "idempotent-replayed" not in again.headers


def test_every_way_to_start_counts(new_host: Any) -> None:
    with new_host() as host:
        host.save(ECHO, id="echo")
        bell = {"id": "in", "type": "test.bell", "params": {}}
        host.save({**ECHO, "name": "rung", "triggers": [bell]}, id="rung")
        done = [host.start("echo", number) for number in range(4)]
        rung = host.client.post("/triggers/rung:in/fire", json={"payload": 1}).json()
        assert rung["trigger"]["started_by"].startswith("key:ak_")
        [delivery] = host.client.get("/triggers/rung:in/deliveries").json()["data"]
    with new_host(running=0) as host, _key(host, max_queued=2) as client:
        assert client.post(f"/executions/{done[0]['id']}/rerun").status_code == 202
        bulk = client.post("/executions/bulk-rerun", json={"workflow_id": "echo", "status": ["succeeded"]}).json()
        assert (bulk["done"], bulk["failed"]) == (1, 3)
        assert {one["error"]["code"] for one in bulk["results"] if one["error"]} == {"queue-full"}
        problem(client.post(f"/executions/{done[0]['id']}/rerun"), 429, "queue-full")
        problem(client.post("/triggers/rung:in/fire", json={"payload": 2}), 429, "queue-full")
        problem(client.post(f"/triggers/rung:in/deliveries/{delivery['id']}/replay"), 429, "queue-full")
        assert len(host.client.get("/triggers/rung:in/deliveries").json()["data"]) == 1, "nothing is kept of it"
        assert host.runtime.trigger_runtime.failures == {}
