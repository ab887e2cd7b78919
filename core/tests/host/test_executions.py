"""Starting, reading, repeating and stopping executions over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from aicflow.kernel.ports.executions import ExecutionFilter

from .conftest import ECHO, GATE, Host, problem


@pytest.fixture(autouse=True, scope="module")
def _workflows(host: Host) -> None:
    host.save(ECHO, id="echo")
    host.save(GATE, id="gate")


def test_an_execution_from_its_start_to_its_events(host: Host) -> None:
    answer = host.client.post("/executions?wait=10", json={"workflow_id": "echo", "input": {"ä": [1, None]}})
    assert answer.status_code == 200
    execution = answer.json()
    assert answer.headers["location"] == f"/api/v1/executions/{execution['id']}"
    assert execution["status"] == "succeeded"
    assert execution["input"] == execution["output"] == {"ä": [1, None]}
    assert execution["trigger"]["kind"] == "api"
    assert execution["error"] is None
    assert execution["created_at"] <= execution["started_at"] <= execution["finished_at"]

    path = f"/executions/{execution['id']}"
    assert host.client.get(path).json() == execution
    steps = host.client.get(f"{path}/steps?fields=output").json()["data"]
    assert [(s["node_id"], s["status"], s["output"]) for s in steps] == [("say", "succeeded", {"ä": [1, None]})]
    events = host.client.get(f"{path}/events").json()
    assert [event["seq"] for event in events["data"]] == list(range(1, execution["last_seq"] + 1))
    assert events["data"][0]["type"] == "execution.queued"
    assert events["data"][-1]["type"] == "execution.succeeded"
    later = host.client.get(f"{path}/events", params={"after": 2, "limit": 1}).json()
    assert [event["seq"] for event in later["data"]] == [3]
    assert later["last_seq"] == 3
    assert host.client.get(f"{path}/events", params={"after": 999}).json() == {"data": [], "last_seq": 999}
    assert "succeeded" in host.client.get(f"{path}/why").json()["sentence"]


def test_steps_come_in_pages_and_their_outputs_only_when_asked_for(host: Host) -> None:
    large = "x" * 3_000_000
    nodes = [{"id": f"n{i}", "type": "test.echo", "params": {"value": "${{ input }}"}} for i in range(6)]
    edges = [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(5)]
    host.save({"aicflow": 1, "name": "large", "nodes": nodes, "edges": edges}, id="large")
    path = f"/executions/{host.start('large', large)['id']}/steps"

    def page(**query: Any) -> Any:
        return host.client.get(path, params=query).json()

    first = page(limit=4)
    assert [step["node_id"] for step in first["data"]] == ["n0", "n1", "n2", "n3"]
    assert not any("output" in step for step in first["data"])
    rest = page(limit=4, cursor=first["next_cursor"])
    assert ([step["node_id"] for step in rest["data"]], rest["next_cursor"]) == (["n4", "n5"], None)
    whole = page(fields="output", cursor="n0")
    assert [step["output"] for step in whole["data"]] == [large] * 2, "a page of outputs is not larger than 8 MiB"
    assert whole["next_cursor"] == "n2"
    problem(host.client.get(path, params={"cursor": "n9"}), 422, "request-invalid")
    problem(host.client.get(path, params={"fields": "input"}), 422, "request-invalid")


def test_one_output_is_read_whole_or_in_parts(host: Host) -> None:
    path = f"/executions/{host.start('echo', ['ä', 'z' * 300_000])['id']}/steps/say/output"
    whole = host.client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/json")
    assert whole.json() == ["ä", "z" * 300_000]
    data, etag, size = whole.content, whole.headers["etag"], len(whole.content)

    def part(wanted: str, **headers: str) -> httpx2.Response:
        return host.client.get(path, headers={"range": wanted, **headers})

    for wanted, start, end in (("bytes=0-9", 0, 10), ("bytes=9-", 9, size), ("bytes=-3", size - 3, size)):
        for more in ({}, {"if-range": etag}):
            found = part(wanted, **more)
            assert (found.status_code, found.content, found.headers["etag"]) == (206, data[start:end], etag)
            assert found.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert part(f"bytes=9-{size * 2}").content == data[9:]
    for wanted in (f"bytes={size}-", "bytes=-0"):
        outside = part(wanted)
        problem(outside, 416, "range-not-satisfiable")
        assert outside.headers["content-range"] == f"bytes */{size}"
    for wanted in ("bytes=5-3", "bytes=-", "bytes=0-1,4-5", "rows=0-1"):
        assert (part(wanted).status_code, part(wanted).content) == (200, data)
    assert part("bytes=0-9", **{"if-range": '"another"'}).status_code == 200
    assert host.client.get(path, headers={"if-none-match": etag}).status_code == 304
    problem(host.client.get(path.replace("say", "none")), 404, "not-found")


def test_waiting_ends_when_the_time_is_up(host: Host, gate: threading.Event) -> None:
    answer = host.client.post("/executions", json={"workflow_id": "gate"}, headers={"prefer": "respond-async, wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    gate.set()
    second = host.client.post("/executions", json={"workflow_id": "gate"}, headers={"prefer": "wait=10"})
    assert (second.status_code, second.json()["status"]) == (200, "succeeded")


def test_the_same_idempotency_key_is_the_same_execution(host: Host) -> None:
    def start(key: str, body: dict[str, Any]) -> Any:
        return host.client.post("/executions", json=body, headers={"idempotency-key": key})

    first = start("once", {"workflow_id": "echo", "input": {"a": 1, "b": 2}})
    assert first.status_code == 202
    assert "idempotent-replayed" not in first.headers
    again = start("once", {"input": {"b": 2, "a": 1}, "workflow_id": "echo"})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["id"] == first.json()["id"]
    problem(start("once", {"workflow_id": "echo", "input": {"a": 2}}), 422, "idempotency-mismatch")
    assert start("twice", {"workflow_id": "echo"}).json()["id"] != first.json()["id"]


def test_a_key_used_at_the_same_time_starts_one_execution(host: Host) -> None:
    def start(_: int) -> str:
        body = {"workflow_id": "echo", "input": "race"}
        return host.client.post("/executions", json=body, headers={"idempotency-key": "race"}).json()["id"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(24)))) == 1


def test_keys_of_different_callers_do_not_meet(host: Host) -> None:
    made = host.client.post("/api-keys", json={"name": "other", "scopes": ["execute"]}).json()
    headers = {"idempotency-key": "shared"}
    mine = host.client.post("/executions", json={"workflow_id": "echo", "input": 1}, headers=headers)
    with host.bare(**{"x-api-key": made["key"]}) as other:
        theirs = other.post("/executions", json={"workflow_id": "echo", "input": 2}, headers=headers)
    assert theirs.status_code == 202
    assert theirs.json()["id"] != mine.json()["id"]


def test_cancelling_stops_the_work(host: Host, gate: threading.Event) -> None:
    execution = host.start("gate", wait=None)
    answer = host.client.post(f"/executions/{execution['id']}/cancel")
    assert answer.status_code == 202
    ended = host.until(lambda: (e := host.client.get(f"/executions/{execution['id']}").json())["finished_at"] and e)
    assert ended["status"] == "cancelled"
    assert not gate.is_set()
    assert host.client.post(f"/executions/{execution['id']}/cancel").json()["status"] == "cancelled"


def test_cancelling_too_late_shows_the_execution_as_it_is(host: Host) -> None:
    ended = host.start("echo", {"a": 1})
    shown = host.client.get(f"/executions/{ended['id']}").json()
    assert shown["output"] == {"a": 1}
    assert host.client.post(f"/executions/{ended['id']}/cancel").json() == shown


def test_instants_at_the_ends_of_time(host: Host) -> None:
    host.start("echo", 1)
    first, last = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
    between = {"created_after": first, "created_before": last, "limit": 1}
    assert len(host.client.get("/executions", params=between).json()["data"]) == 1
    assert host.client.get("/executions", params={"created_before": first}).json()["data"] == []


def test_rerunning_with_the_same_and_with_another_input(host: Host) -> None:
    first = host.start("echo", {"a": 1})
    path = f"/executions/{first['id']}/rerun"
    for body, expected in (({}, {"a": 1}), ({"input": None}, None), ({"input": 7, "version": "latest"}, 7)):
        answer = host.client.post(path, json=body)
        assert answer.status_code == 202
        again = answer.json()
        assert again["rerun_of"] == first["id"]
        ended = host.until(lambda e=again: host.client.get(f"/executions/{e['id']}").json()["finished_at"])
        assert ended
        assert host.client.get(f"/executions/{again['id']}").json()["output"] == expected
    assert host.client.post(path).status_code == 202, "a body is not needed"
    for wrong in ("newest", 0, 10**30, True):
        errors = problem(host.client.post(path, json={"version": wrong}), 422, "request-invalid")["errors"]
        assert [(error["pointer"], error["message"]) for error in errors] == [
            ("/version", "it must be 'pinned', 'latest' or the number of a version, from 1")
        ]


def test_answering_a_waiting_step(host: Host) -> None:
    node = {"id": "ask", "type": "wait", "params": {"answer_schema": {"type": "integer"}}}
    host.save({"aicflow": 1, "name": "ask", "nodes": [node], "output": "${{ nodes.ask.output.answer }}"}, id="ask")
    execution = host.start("ask", wait=None)
    path = f"/executions/{execution['id']}"
    host.until(lambda: host.client.get(path).json()["status"] == "waiting" or _waiting(host, path), "waiting")
    body = problem(host.client.post(f"{path}/resume", json={"value": "no"}), 422, "input-invalid")
    assert body["errors"][0]["message"]
    assert host.client.post(f"{path}/resume", json={"value": 42}).status_code == 202
    host.until(lambda: host.client.get(path).json()["finished_at"])
    assert host.client.get(path).json()["output"] == 42
    problem(host.client.post(f"{path}/resume", json={"value": 42}), 409, "not-waiting")


def _waiting(host: Host, path: str) -> bool:
    return any(step["status"] == "waiting" for step in host.client.get(f"{path}/steps").json()["data"])


def test_lists_are_filtered(host: Host, gate: threading.Event) -> None:
    workflow = host.save(GATE)["id"]
    before = datetime.now(UTC).isoformat()
    time.sleep(0.002)
    held = [host.start(workflow, wait=None)["id"] for _ in range(3)]
    host.client.post(f"/executions/{held[0]}/cancel")
    host.until(lambda: host.client.get(f"/executions/{held[0]}").json()["finished_at"])

    def ids(**params: Any) -> list[str]:
        page = host.client.get("/executions", params={"workflow_id": workflow, **params}).json()
        assert all("input" not in one and "output" not in one for one in page["data"])
        return [one["id"] for one in page["data"]]

    assert ids() == held[::-1]
    assert ids(status="cancelled") == [held[0]]
    assert set(ids(status="running,queued")) == set(held[1:])
    assert ids(created_before=before) == []
    assert ids(created_after=before, limit=2) == held[:0:-1]
    assert ids(trigger_kind="trigger") == []
    assert ids(trigger_kind="api") == held[::-1]
    refused = host.client.get("/executions", params={"trigger_kind": "webhook"})
    assert refused.status_code == 422
    assert all(kind in refused.json()["errors"][0]["message"] for kind in ("api", "trigger", "failure"))

    bulk = host.client.post("/executions/bulk-cancel", json={"workflow_id": workflow})
    assert [one["execution_id"] for one in bulk.json()["results"]] == held[:0:-1]
    host.until(lambda: len(ids(status="cancelled")) == 3)
    gate.set()
    rerun = host.client.post(
        "/executions/bulk-rerun", json={"workflow_id": workflow, "status": ["cancelled"], "limit": 2}
    )
    assert (rerun.json()["done"], rerun.json()["failed"], rerun.json()["has_more"]) == (2, 0, True)
    assert not {one["started"] for one in rerun.json()["results"]} & set(held)


def test_many_at_once_all_succeed(host: Host) -> None:
    def start(number: int) -> Any:
        return host.client.post("/executions?wait=30", json={"workflow_id": "echo", "input": number}).json()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(start, range(200)))
    assert [answer["output"] for answer in answers] == list(range(200))
    assert {answer["status"] for answer in answers} == {"succeeded"}


def test_who_waits_is_answered_when_the_host_stops(new_host: Callable[..., Any], gate: threading.Event) -> None:
    with new_host(store="memory://") as host, ThreadPoolExecutor(1) as pool:
        host.save(GATE, id="gate")
        waiting = pool.submit(host.client.post, "/executions?wait=60", json={"workflow_id": "gate"})
        host.until(lambda: host.do(host.runtime.store.executions.count(ExecutionFilter())).get("running"))
        host.server.should_exit = True
        answer = waiting.result(timeout=20)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")


def test_executions_and_workflows_are_found_by_labels_and_text(new_host: Callable[..., Any]) -> None:
    with new_host() as host:
        saved = host.save({**ECHO, "labels": {"team": "billing", "stage/env": "Größe 1"}}, id="bills")
        assert saved["labels"] == {"team": "billing", "stage/env": "Größe 1"}
        host.save(ECHO, id="plain")
        bill = host.start("bills", {"order": "A-17"})["id"]
        plain = host.start("plain", {"order": "A-17", "customer": "Zoë"})["id"]

        def found(path: str, **query: Any) -> list[str]:
            answer = host.client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            return [one["id"] for one in answer.json()["data"]]

        assert found("/workflows", labels="team=billing,stage/env=Größe 1") == ["bills"]
        assert found("/workflows", labels="team=sales") == []
        assert found("/executions", labels="team") == [bill]
        assert found("/executions", q="a-17") == [plain, bill]
        assert found("/executions", q="a-17", labels="team=billing") == [bill]
        assert found("/executions", q='"customer":"Zoë"', status="succeeded") == [plain]
        assert found("/executions", q="team=bill") == [bill]
        for wrong in ("", "=x", "team=", "a,,b", "team=a=b", " team"):
            problem(host.client.get("/executions", params={"labels": wrong}), 422, "request-invalid")
        problem(host.client.get("/executions", params={"q": ""}), 422, "request-invalid")
        for labels, pointer in (
            ({"": "x"}, "/labels"), ({"a b": "x"}, "/labels/a b"), ({"a": "x=y"}, "/labels/a"), ({"a": 1}, "/labels/a"),
            ([], "/labels"), ({f"l{i}": "x" for i in range(33)}, "/labels"),
        ):  # fmt: skip
            told = problem(host.client.post("/workflows", json={**ECHO, "labels": labels}), 422, "workflow-invalid")
            assert all(error["pointer"].startswith(pointer) for error in told["errors"]), told["errors"]
