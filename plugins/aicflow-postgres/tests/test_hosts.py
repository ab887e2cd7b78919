"""Real servers and workers over one database: what one of them is told holds for all, and one that dies is no loss."""

from __future__ import annotations

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aicflow.testing.postgres import MISSING, binaries, running_postgres
from site_kit import ADDS, SOON, Server, Site, until


def _hook(name: str, path: str) -> dict[str, Any]:
    trigger = {"id": "in", "type": "trigger.webhook", "params": {"path": path}}
    return {
        "aicflow": 1,
        "name": name,
        "triggers": [trigger],
        "nodes": [{"id": "kept", "type": "wait", "params": {"seconds": 0}}],
    }


def test_what_one_server_is_told_holds_on_all(site: Site) -> None:
    one, other = site.server(), site.server()
    site.worker()

    # a webhook that one server has saved is there on the other, and its path is taken
    assert one.save("hook", _hook("hook", "orders")).status_code == 201
    until(lambda: other.client.post("/hooks/orders", json={}).status_code == 202)
    taken = other.save("thief", _hook("thief", "orders"))
    assert taken.status_code == 422
    assert taken.json()["errors"][0]["code"] == "trigger.conflict"

    # paused and switched off here, paused and switched off there
    assert other.client.post("/api/v1/triggers/hook:in/pause").status_code == 200
    until(lambda: one.client.get("/api/v1/triggers/hook:in").json()["status"] == "paused")
    assert one.client.patch("/api/v1/node-types/wait", json={"enabled": False}).status_code == 200
    until(lambda: not other.client.get("/api/v1/node-types/wait").json()["enabled"])
    assert one.client.patch("/api/v1/node-types/wait", json={"enabled": True}).status_code == 200
    until(lambda: other.client.get("/api/v1/node-types/wait").json()["enabled"])

    # a key of one is a key of all, until it is revoked
    key = one.client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}).json()
    asked = {"authorization": f"Bearer {key['key']}"}
    assert other.client.get("/api/v1/workflows", headers=asked).status_code == 200
    assert one.client.delete(f"/api/v1/api-keys/{key['id']}").status_code == 204
    until(lambda: other.client.get("/api/v1/workflows", headers=asked).status_code == 401)

    assert one.client.delete("/api/v1/workflows/hook").status_code == 204
    until(lambda: other.client.post("/hooks/orders", json={}).status_code == 404)


def test_what_a_worker_leaves_behind_another_goes_on_with(site: Site) -> None:
    server, first = site.server(), site.worker()
    assert server.save("adds", ADDS).status_code == 201
    ids = [server.begin("adds") for _ in range(40)]
    until(lambda: server.succeeded("adds"))
    first.send_signal(signal.SIGKILL)
    site.worker()
    until(lambda: server.succeeded("adds") == len(ids))
    # each step that counts has counted once
    assert server.client.get("/api/v1/workflows/adds/state/n").json()["value"] == len(ids)


def test_a_host_with_another_secret_is_refused(site: Site, tmp_path: Path) -> None:
    site.server()
    stranger = site.start("serve", "--port", "0", AICFLOW_SERVER_SECRET_FILE=str(tmp_path / "another.secret"))
    assert stranger.wait(SOON) != 0


def test_several_processes_behind_one_address(site: Site) -> None:
    server = site.server("--worker", "--processes", "3")
    parent = server.process.pid

    def children() -> set[int]:
        return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}

    until(lambda: len(children()) == 3)
    assert server.save("adds", ADDS).status_code == 201
    ids: list[str] = []
    while len(ids) < 60:
        if len(ids) == 30:
            os.kill(min(children()), signal.SIGKILL)
        with suppress(httpx2.TransportError):  # it was not accepted
            ids.append(server.begin("adds"))
    until(lambda: server.succeeded("adds") >= len(ids))
    until(lambda: len(children()) == 3)
    for id in ids:
        assert server.client.get(f"/api/v1/executions/{id}").json()["status"] == "succeeded"

    left = children()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SOON) == 0
    for pid in left:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_processes_of_a_parent_that_was_killed_end(site: Site) -> None:
    server = site.server("--worker", "--processes", "2")
    parent = server.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children")
    until(lambda: len(children.read_text().split()) == 2)
    left = [Path(f"/proc/{pid}") for pid in children.read_text().split()]
    server.process.kill()
    until(lambda: not any(one.exists() for one in left))


def test_several_processes_need_a_store_that_they_share(site: Site, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/one.db"
    assert site.start("serve", "--port", "0", "--processes", "2", AICFLOW_STORE=store).wait(SOON) != 0


def test_how_many_workers_are_wanted(site: Site) -> None:
    server = site.server()
    assert server.save("adds", ADDS).status_code == 201
    for _ in range(3):
        server.begin("adds")
    found = server.client.get("/api/v1/scaling").json()
    assert (found["queued"], found["running"], found["wanted_workers"]) == (3, 0, 1)
    assert found["queue_seconds"] > 0
    site.worker()
    until(lambda: server.succeeded("adds") == 3)
    found = server.client.get("/api/v1/scaling").json()
    assert (found["queued"], found["queue_seconds"], found["wanted_workers"]) == (0, 0, 0)


def _ask(servers: list[Server], times: int, path: str = "/api/v1/node-types", **more: Any) -> Counter[int]:
    """Ask both in turns, several at once."""

    def ask(number: int) -> int:
        return servers[number % 2].client.get(path, **more).status_code

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(ask, range(times)))


def test_two_servers_share_the_rates_of_keys_and_addresses(site: Site) -> None:
    """Small ones exactly, large ones to two hundredths for each server; and no request waits for the database long."""
    rates = {"AICFLOW_RATE_KEY": "40/h", "AICFLOW_RATE_ADDRESS": "900/h", "AICFLOW_RATE_WRONG_KEYS": "20/h"}
    two = [site.server(**rates), site.server(**rates)]
    key = two[0].client.post("/api/v1/api-keys", json={"name": "k", "scopes": ["read"]}).json()["key"]
    asked = {"headers": {"authorization": f"Bearer {key}"}}
    assert _ask(two, 4) == {200: 4}, "the admin's key has rates of its own, and is known to both from now on"
    statuses = [two[number % 2].client.get("/api/v1/node-types", **asked).status_code for number in range(60)]
    assert statuses == [200] * 40 + [429] * 20
    refused = two[1].client.get("/api/v1/node-types", **asked)
    assert refused.json()["type"] == "urn:aicflow:problem:rate-limited"
    assert refused.headers["ratelimit"].startswith('"key";r=0;')
    assert int(refused.headers["retry-after"]) > 3000

    wrong = {"headers": {"authorization": "Bearer wrong"}}
    statuses = [two[number % 2].client.get("/api/v1/node-types", **wrong).status_code for number in range(40)]
    assert statuses == [401] * 20 + [429] * 20, "who guesses gains nothing by asking another server"

    # 5 + 40 + 20 requests of this address were let in
    found = _ask(two, 1100, "/readyz")
    assert 900 - 65 - 2 * 9 <= found[200] <= 900 - 65 + 2 * 18, found
    assert found[200] + found[429] == 1100


def test_two_servers_share_the_queue_of_a_key_exactly(site: Site) -> None:
    two = [site.server(AICFLOW_MAX_QUEUED_PER_KEY="25") for _ in range(2)]
    assert two[0].save("adds", ADDS).status_code == 201

    def begin(number: int) -> int:
        return two[number % 2].client.post("/api/v1/executions", json={"workflow_id": "adds"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(begin, range(100))) == {202: 25, 429: 75}
    site.worker()
    until(lambda: two[0].succeeded("adds") == 25)
    assert begin(0) == 202


def test_rates_hold_up_nothing_while_the_database_is_away(tmp_path: Path) -> None:
    if binaries() is None:
        pytest.skip(MISSING)
    with running_postgres() as database, ExitStack() as stack:
        site = Site(database.new_database(), tmp_path, stack)
        two = [site.server(AICFLOW_RATE_ADDRESS="90/h") for _ in range(2)]
        assert _ask(two, 40, "/docs") == {200: 40}
        database.stop()
        assert _ask(two, 20, "/docs") == {200: 20}, "each counts for itself"
        database.start()
        until(lambda: _ask(two, 2, "/docs")[429])
