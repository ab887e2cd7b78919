"""What webhooks start is told in the audit as the doing of the trigger; killed servers leave a whole chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import Server, running_server, start_server

HOOK = {"id": "hook", "type": "trigger.webhook", "params": {"path": "told", "methods": ["POST"]}}
WORKFLOW = {
    "aicflow": 1,
    "name": "told",
    "nodes": [{"id": "a", "type": "wait", "params": {"seconds": 0}}],
    "triggers": [HOOK],
}


def client(server: Server) -> httpx2.Client:
    """For the API, with the admin's key."""
    return httpx2.Client(base_url=server.url + "/api/v1", headers=server.headers, timeout=20)


@pytest.mark.parametrize("starts", ["each", "merged"])
def test_a_webhook_s_start_is_told_once(tmp_path: Path, starts: str) -> None:
    with running_server(tmp_path, {"AICFLOW_AUDIT_STARTS": starts}) as server, client(server) as api:
        assert api.post("/workflows?id=told", json=WORKFLOW).status_code == 201
        answer = httpx2.post(server.url + "/hooks/told", json={})
        assert answer.status_code == 202, answer.text
        assert httpx2.get(server.url + "/hooks/told").status_code == 405
        found: list[Any] = api.get("/audit").json()["data"]
        (entry,) = [one for one in found if one["action"] == "start_execution"]
        assert (entry["actor"], entry["made"]) == ("trigger:told:hook", answer.json()["execution_id"])
        assert entry["address"] == "127.0.0.1"
        assert not [one for one in found if one["actor"] == "anonymous"]


def test_after_a_kill_each_change_has_its_entry_and_the_chain_is_whole(tmp_path: Path) -> None:
    for number in range(3):
        server = start_server(tmp_path)
        with client(server) as api:
            for more in range(10):
                saved = api.post(f"/workflows?id=wf-{number}-{more}", json={**WORKFLOW, "triggers": []})
                assert saved.status_code == 201
            server.kill()
    with running_server(tmp_path) as server, client(server) as api:
        made = {entry["made"] for entry in api.get("/audit?action=create_workflow&limit=200").json()["data"]}
        assert made == {f"wf-{number}-{more}" for number in range(3) for more in range(10)}
        assert api.get("/audit/verify").json()["problems"] == []
