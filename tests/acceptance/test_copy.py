"""A site moves to PostgreSQL and back while executions wait: everything is there, and they go on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing.postgres import MISSING, Postgres, binaries, running_postgres

from tests.support.server import Server, start_server

_SETTINGS = {
    "AICFLOW_BLOCKED_PLUGINS": "agent,http,python",
    "AICFLOW_PUBLIC_URL": "https://flow.example.com",
    "AICFLOW_SECRETS_SOURCES": "store",
}
_DOCUMENTS: dict[str, dict[str, Any]] = {
    "asks": {"nodes": [{"id": "ask", "type": "form.wait", "params": {"title": "Pay?", "approvers": ["ann", "bob"]}}]},
    "awaits": {"nodes": [{"id": "paid", "type": "wait", "params": {"event": {"name": "paid", "key": "A-1"}}}]},
    "sleeps": {"nodes": [{"id": "nap", "type": "wait", "params": {"seconds": 8}}]},
    "counts": {
        "labels": {"team": "ops"},
        "triggers": [{"id": "in", "type": "trigger.webhook", "params": {"path": "orders"}}],
        "settings": {"concurrency": {"limit": 1}},
        "nodes": [{"id": "sum", "type": "state.add", "params": {"key": "n", "by": 1}}],
    },
    "fires": {
        "triggers": [{"id": "often", "type": "trigger.cron", "params": {"schedule": "@every 2s"}}],
        "nodes": [{"id": "sum", "type": "state.add", "params": {"key": "n", "by": 1}}],
    },
    "large": {
        "nodes": [{"id": "made", "type": "data.set", "params": {"value": "${{ input.text }}"}}],
        "output": "${{ nodes.made.output }}",
    },
}


class Site:
    """One data folder, served from one store after the other."""

    def __init__(self, data: Path, stack: ExitStack) -> None:
        self.data, self._stack = data, stack

    def serve(self, store: str) -> Server:
        server = start_server(self.data, {**_SETTINGS, "AICFLOW_STORE": store})
        self._stack.callback(lambda: server.process.poll() is None and server.kill())
        self.api = httpx2.Client(base_url=server.url, headers=server.headers, timeout=60)
        self._stack.callback(self.api.close)
        return server

    def begin(self, workflow_id: str, **more: Any) -> str:
        answer = self.api.post("/api/v1/executions", json={"workflow_id": workflow_id}, **more)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["id"])

    def execution(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/api/v1/executions/{id}").json()
        return found

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "aicflow.cli", *words, "--data-dir", str(self.data)]

    def copy(self, source: str, target: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command("db", "copy", source, target), capture_output=True, text=True, check=False)


def _until[T](ask: Callable[[], T | None]) -> T:
    end = time.monotonic() + 60
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip(MISSING)
    with running_postgres(fsync="off") as server:
        yield server


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path / "data", stack)


@pytest.mark.slow
def test_what_waits_goes_on_in_the_other_store_and_back_again(site: Site, url: str, tmp_path: Path) -> None:
    first, back = f"sqlite:///{tmp_path}/first.db", f"sqlite:///{tmp_path}/back.db"
    server = site.serve(first)
    for id, rest in _DOCUMENTS.items():
        saved = site.api.post("/api/v1/workflows", params={"id": id}, json={"aicflow": 1, "name": id, **rest})
        assert saved.status_code == 201, saved.text
    kept = site.api.put("/api/v1/secrets/token", json={"value": "hunter2-hunter2"})
    assert kept.status_code in (200, 201), kept.text
    asked, awaits, sleeps = site.begin("asks"), site.begin("awaits"), site.begin("sleeps")
    once = {"headers": {"idempotency-key": "once"}}
    counted = site.begin("counts", **once)
    large = {"workflow_id": "large", "input": {"text": "ä" * 40_000}}
    large_id = site.api.post("/api/v1/executions", json=large).json()["id"]
    assert site.api.post("/hooks/orders", json={"n": 1}).status_code == 202
    links = _until(lambda: site.api.get(f"/form-links/{asked}/ask").json().get("data"))
    _until(lambda: site.execution(large_id)["status"] == "succeeded")
    _until(lambda: site.execution(counted)["status"] == "succeeded")
    _until(lambda: site.execution(awaits)["status"] == "waiting" == site.execution(sleeps)["status"])
    fired = _until(lambda: site.api.get("/api/v1/workflows/fires/state/n").json().get("value"))
    events = site.api.get(f"/api/v1/executions/{counted}/events").json()

    refused = site.copy(first, url)
    assert refused.returncode != 0
    assert "in use" in refused.stderr
    server.kill()

    copied = site.copy(first, url)
    assert copied.returncode == 0, copied.stdout + copied.stderr
    assert "problem" not in copied.stdout
    again = site.copy(first, url)
    assert again.returncode != 0
    assert "not empty" in again.stderr

    server = site.serve(url)
    [told] = site.api.get("/api/v1/audit", params={"action": "db.copy"}).json()["data"]
    assert (told["actor"], told["target"], told["outcome"]) == ("cli", "store", "done")
    assert site.api.get(f"/api/v1/executions/{counted}/events").json() == events
    assert site.execution(large_id)["output"] == "ä" * 40_000
    assert site.begin("counts", **once) == counted
    assert site.api.get("/api/v1/workflows", params={"labels": "team=ops"}).json()["data"][0]["id"] == "counts"
    link = links[0]["link"].removeprefix("https://flow.example.com")
    assert site.api.post(link, data={"choice": "approve"}).status_code == 200
    _until(lambda: site.execution(asked)["status"] == "succeeded")
    _until(lambda: site.execution(sleeps)["status"] == "succeeded")
    assert site.api.post("/hooks/orders", json={"n": 2}).status_code == 202
    _until(lambda: site.api.get("/api/v1/workflows/counts/state/n").json()["value"] == 3)
    _until(lambda: site.api.get("/api/v1/workflows/fires/state/n").json()["value"] > fired)
    assert [one["name"] for one in site.api.get("/api/v1/secrets").json()["data"]] == ["token"]
    assert site.execution(awaits)["status"] == "waiting"

    refused = site.copy(url, back)
    assert refused.returncode != 0
    assert "in use" in refused.stderr
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    (tmp_path / "back.db").unlink(missing_ok=True)
    home = site.copy(url, back)
    assert home.returncode == 0, home.stdout + home.stderr
    assert "problem" not in home.stdout

    site.serve(back)
    assert site.api.get(f"/api/v1/executions/{counted}/events").json() == events
    sent = site.api.post("/api/v1/events", json={"name": "paid", "key": "A-1", "data": {"total": 1}})
    assert sent.status_code in (200, 201, 202), sent.text
    _until(lambda: site.execution(awaits)["status"] == "succeeded")
    assert site.begin("counts", **once) == counted


def test_a_copy_that_is_killed_leaves_nothing_and_is_called_again(site: Site, url: str, tmp_path: Path) -> None:
    path = tmp_path / "first.db"
    asyncio.run(_fill(path))
    source = f"sqlite:///{path}"
    with subprocess.Popen(site.command("db", "copy", source, url), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "workflows: 1\n"
        process.kill()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('workflows')").fetchone() == (None,)
    done = site.copy(source, url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "state: 2000" in done.stdout


async def _fill(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.workflows.create("w", {"aicflow": 1, "name": "w", "nodes": []}, now=1.0)
    for i in range(2_000):
        await store.state.put("w", f"k{i}", "x" * 1000, version=0)
    await store.close()
