"""Events and ends of executions, with the server killed between them and their effects: each has its effects once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import Server, start_server

EVENTS, KILLS = 60, 2
WAITS = {
    "aicflow": 1,
    "name": "waits",
    "nodes": [{"id": "w", "type": "wait", "params": {"event": {"name": "paid", "key": "${{ input }}"}}}],
    "output": "${{ nodes.w.output.answer?.data }}",
}
STARTS = {
    "aicflow": 1,
    "name": "starts",
    "triggers": [{"id": "on", "type": "trigger.event", "params": {"name": "paid"}, "input": "${{ trigger.data }}"}],
    "nodes": [{"id": "w", "type": "wait", "params": {"seconds": 0}}],
    "output": "${{ input }}",
}


def client(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30)


def ended(api: httpx2.Client, workflow_id: str) -> list[dict[str, Any]]:
    query = {"workflow_id": workflow_id, "limit": "200", "status": "succeeded"}
    return list(api.get("/executions", params=query).json()["data"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_event_counts_once(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    try:
        with client(server) as api:
            waits, starts = (api.post("/workflows", json=one).json()["id"] for one in (WAITS, STARTS))
            ids = {
                api.post("/executions", json={"workflow_id": waits, "input": key}).json()["id"]: key
                for key in range(EVENTS)
            }
        left = list(range(EVENTS))
        for _ in range(KILLS + 1):
            with client(server) as api:
                last = len(left) <= EVENTS // (KILLS + 1)
                for i in left if last else left[: EVENTS // (KILLS + 1)]:
                    body = {"name": "paid", "key": i, "data": i, "id": f"e{i}"}
                    assert api.post("/events", json=body).status_code in (200, 201)
            if not last:
                server.kill()
                server = start_server(tmp_path / "data")
            left = left[EVENTS // (KILLS + 1) - 3 :]  # a few are sent again
        with client(server) as api:
            for i in range(EVENTS):  # and those at the end once more
                body = {"name": "paid", "key": i, "data": i, "id": f"e{i}"}
                assert api.post("/events", json=body).status_code in (200, 201)
            until(lambda: len(ended(api, waits)) == EVENTS and len(ended(api, starts)) >= EVENTS)
            for execution_id, key in ids.items():
                assert api.get(f"/executions/{execution_id}").json()["output"] == key
            assert Counter(one["trigger"]["key"] for one in ended(api, starts)) == {f"e{i}": 1 for i in range(EVENTS)}
    finally:
        server.kill()


@pytest.mark.parametrize("engine", ["native", "langgraph"])
def test_each_end_starts_what_waits_for_it_once(tmp_path: Path, engine: str) -> None:
    source = {**WAITS, "name": "source", "nodes": STARTS["nodes"], "output": "${{ input }}"}
    trigger = {"id": "end", "type": "trigger.workflow", "params": {"workflows": ["source"]}}
    follower = {**STARTS, "triggers": [{**trigger, "input": "${{ trigger.output }}"}]}
    server = start_server(tmp_path / "data")
    try:
        with client(server) as api:
            for name, document in (("source", source), ("follower", follower)):
                saved = api.post(f"/workflows?id={name}", json={**document, "settings": {"engine": engine}})
                assert saved.status_code == 201
        for kill in range(KILLS + 2):
            with client(server) as api:
                for i in range(kill * 20, kill * 20 + 20):
                    api.post("/executions", json={"workflow_id": "source", "input": i})
            if kill <= KILLS:
                server.kill()  # some have ended, some have been followed, some are under way
                server = start_server(tmp_path / "data")
        with client(server) as api:
            until(lambda: len(ended(api, "source")) == (KILLS + 2) * 20)
            until(lambda: len(ended(api, "follower")) >= (KILLS + 2) * 20)
            assert Counter(one["trigger"]["key"] for one in ended(api, "follower")) == {
                one["id"]: 1 for one in ended(api, "source")
            }
    finally:
        server.kill()
