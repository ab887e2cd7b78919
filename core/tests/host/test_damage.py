"""Rows of events that cannot be read any more: every read says so by name, everything else works on, repair helps."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import ECHO, Host, problem

ASK = {
    "aicflow": 1,
    "name": "ask",
    "nodes": [{"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}],
}
BODIES = {
    "no JSON": "x'6e6f7065'",
    "no text": "x'00ff'",
    "half": "substr(body, 1, length(body) / 2)",
    "another's": 'CAST(\'{"seq":1,"type":"step.log","data":{}}\' AS BLOB)',
}


def damage(tmp_path: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "aicflow.db", timeout=20)) as connection, connection:
        assert connection.execute(sql, values).rowcount == 1


def reads(host: Host, id: str, waiting: str) -> dict[str, Callable[[], Any]]:
    """Every call that reads an execution's events."""
    get, post, url = host.client.get, host.client.post, host.url.replace("http", "ws")
    auth = {"authorization": f"Bearer {host.key}"}

    def socket() -> Any:
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(
                f"{url}/api/v1/executions/{id}/stream",
                additional_headers=auth,
                subprotocols=["aicflow.v1"],  # type: ignore[list-item]
            ),
        ):
            pass
        return refused.value.response

    return {
        "steps": lambda: get(f"/executions/{id}/steps"),
        "events": lambda: get(f"/executions/{id}/events"),
        "later events": lambda: get(f"/executions/{id}/events", params={"after": 3}),
        "stream": lambda: get(f"/executions/{id}/stream"),
        "socket": socket,
        "rerun": lambda: post(f"/executions/{id}/rerun", json={"from_node": "say"}),
        "why": lambda: get(f"/executions/{waiting}/why"),
        "steps of one that waits": lambda: get(f"/executions/{waiting}/steps"),
        "resume": lambda: post(f"/executions/{waiting}/resume", json={"value": 1}),
    }


@pytest.mark.parametrize("body", BODIES)
def test_every_read_names_the_execution_and_the_events(new_host: Callable[..., Any], tmp_path: Path, body: str) -> None:
    with new_host() as host:
        host.save(ECHO, id="echo")
        host.save(ASK, id="ask")
        sound, id = host.start("echo", 1)["id"], host.start("echo", 2)["id"]
        waiting = host.start("ask", wait=None)["id"]
        host.until(lambda: host.client.get(f"/executions/{waiting}").json()["status"] == "waiting")
        for one in (id, waiting):
            damage(
                tmp_path,
                f"UPDATE events SET body = {BODIES[body]} WHERE execution_id = ? AND first_seq = 4",
                one,
            )
        for name, read in reads(host, id, waiting).items():
            answer = read()
            if name == "socket":
                told = json.loads(answer.body)
                assert (answer.status_code, told["type"]) == (503, "urn:aicflow:problem:record-damaged")
            else:
                told = problem(answer, 503, "record-damaged")
            [error] = told["errors"]
            assert error["execution_id"] in (id, waiting), name
            assert error["execution_id"] in told["detail"]
            assert error["first_seq"] == 4
            assert "--repair" in told["hint"]
        assert {one["id"] for one in host.client.get("/executions").json()["data"]} == {sound, id, waiting}
        assert host.client.get(f"/executions/{id}").json()["output"] == 2
        assert len(host.client.get(f"/executions/{sound}/steps").json()["data"]) == 1
        assert host.client.post(f"/executions/{id}/rerun", json={}).status_code == 202
        # nobody can go on with it, so it ends, and says why
        assert host.client.post(f"/executions/{waiting}/cancel").status_code == 202
        host.until(lambda: host.client.get(f"/executions/{waiting}").json()["status"] == "cancelled")


def test_one_whose_history_is_lost_fails_instead_of_doing_it_again(
    new_host: Callable[..., Any], tmp_path: Path
) -> None:
    with new_host() as host:
        host.save(ASK, id="ask")
        ids = [host.start("ask", wait=None)["id"] for _ in range(2)]
        for id in ids:
            host.until(lambda id=id: host.client.get(f"/executions/{id}").json()["status"] == "waiting")
        damage(tmp_path, "DELETE FROM events WHERE execution_id = ? AND first_seq = 4", ids[0])
        damage(tmp_path, "UPDATE executions SET due_at = -1 WHERE id = ?", ids[0])
        host.client.post(f"/executions/{ids[1]}/resume", json={"value": 1})
        host.until(lambda: host.client.get(f"/executions/{ids[1]}").json()["status"] == "succeeded")
        host.until(lambda: host.client.get(f"/executions/{ids[0]}").json()["status"] == "failed")
        error = host.client.get(f"/executions/{ids[0]}").json()["error"]
        assert error["code"] == "cannot-run"
        # how many events share the lost row depends on how busy the writer was
        assert re.search(rf"Execution {ids[0]}: (events 4 to|event 4 cannot)", error["message"]), error["message"]


def test_lists_go_on_over_a_row_whose_own_values_are_damaged(new_host: Callable[..., Any], tmp_path: Path) -> None:
    with new_host() as host:
        host.save(ECHO, id="echo")
        id = host.start("echo", 1)["id"]
        damage(tmp_path, "UPDATE executions SET error = CAST('{\"code' AS BLOB) WHERE id = ?", id)
        [one] = host.client.get("/executions").json()["data"]
        assert one["error"]["code"] == "record-damaged"
        assert id in problem(host.client.get(f"/executions/{id}"), 503, "record-damaged")["detail"]
        damage(tmp_path, "UPDATE executions SET error = NULL, input = x'ff' WHERE id = ?", id)
        problem(host.client.get(f"/executions/{id}"), 503, "record-damaged")
        assert host.client.get("/executions").status_code == 200
