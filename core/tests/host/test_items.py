"""What is inside of maps, repeats and groups, over HTTP: items by status, steps by parent, answers to one item."""

from __future__ import annotations

import time
from typing import Any

from .conftest import Host, problem


def _map(host: Host, workflow_id: str, nodes: list[dict[str, Any]], **more: Any) -> None:
    node = {"id": "each", "map": {"over": "${{ input }}", "nodes": nodes, **more}}
    host.save({"aicflow": 1, "name": workflow_id, "nodes": [node]}, id=workflow_id)


def _echo(node_id: str, value: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "test.echo", "params": {"value": value}}


def _until(host: Host, execution_id: str, status: str) -> None:
    deadline = time.monotonic() + 20
    while host.client.get(f"/executions/{execution_id}").json()["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_items_are_listed_by_status_page_by_page(host: Host) -> None:
    _map(host, "divide", [_echo("d", "${{ 10 // item }}")], on_item_error="continue", key="${{ 'k' + str(index) }}")
    path = f"/executions/{host.start('divide', [1, 0, 5, 0, 2])['id']}"

    def page(**query: Any) -> Any:
        return host.client.get(f"{path}/steps/each/items", params=query).json()

    first = page(limit=2)
    assert [(item["id"], item["key"], item["status"]) for item in first["data"]] == [
        ("each[0]", "k0", "succeeded"),
        ("each[1]", "k1", "failed"),
    ]
    assert not any("output" in item for item in first["data"])
    rest = page(cursor=first["next_cursor"], fields="output")
    assert [item["output"] for item in rest["data"]] == [2, None, 5]
    assert rest["next_cursor"] is None
    failed = page(status="failed", limit=1)
    assert [item["index"] for item in failed["data"]] == [1]
    assert failed["data"][0]["error"]["node_id"] == "each[1].d"
    again = page(status="failed", limit=1, cursor=failed["next_cursor"])
    assert ([item["index"] for item in again["data"]], again["next_cursor"]) == ([3], None)
    assert page(status="running,waiting") == {"data": [], "next_cursor": None}
    problem(host.client.get(f"{path}/steps/eech/items"), 404, "not-found")
    problem(host.client.get(f"{path}/steps/each/items?status=done"), 422, "request-invalid")
    for cursor in ("x", "-1", "9" * 40):
        problem(host.client.get(f"{path}/steps/each/items", params={"cursor": cursor}), 422, "request-invalid")


def test_steps_inside_are_listed_by_their_parent(host: Host) -> None:
    inner = {"id": "inner", "map": {"over": "${{ item }}", "as": "cell", "nodes": [_echo("sum", "${{ cell }}")]}}
    group = {"id": "g", "group": {"nodes": [_echo("in_g", 1)]}}
    _map(host, "nested", [inner, group])
    path = f"/executions/{host.start('nested', [[1, 2], [3]])['id']}/steps"

    def ids(**query: Any) -> list[str]:
        return [step["node_id"] for step in host.client.get(path, params=query).json()["data"]]

    assert ids() == ["each"]
    assert sorted(ids(parent="each")) == ["each[0].g", "each[0].inner", "each[1].g", "each[1].inner"]
    assert sorted(ids(parent="each[0]")) == ["each[0].g", "each[0].inner"]
    assert sorted(ids(parent="each[0].inner")) == ["each[0].inner[0].sum", "each[0].inner[1].sum"]
    assert ids(parent="each[1].g") == ["each[1].g.in_g"]
    assert ids(parent="each[1]", status="failed") == []
    assert ids(parent="each[2]") == []
    output = host.client.get(f"{path}/each[0].inner[1].sum/output")
    assert output.json() == 2
    assert host.client.get(f"{path}/each%5B0%5D.inner%5B1%5D.sum/output").content == output.content
    items = host.client.get(f"{path}/each%5B0%5D.inner/items").json()["data"]
    assert [item["id"] for item in items] == ["each[0].inner[0]", "each[0].inner[1]"]


def test_one_waiting_item_of_many_is_answered(host: Host) -> None:
    ask = {"id": "ok", "type": "wait", "params": {"answer_schema": {"type": "boolean"}}}
    _map(host, "asking-each", [ask], concurrency=100, output="${{ nodes.ok.output.answer }}")
    execution = host.start("asking-each", list(range(30)), wait=0)
    path = f"/executions/{execution['id']}"
    _until(host, execution["id"], "waiting")
    why = host.client.get(f"{path}/why").json()["sentence"]
    assert "each: 30 items wait for an answer, such as each[0].ok" in why
    waiting = host.client.get(f"{path}/steps/each/items", params={"status": "waiting", "limit": 3}).json()
    assert [item["id"] for item in waiting["data"]] == ["each[0]", "each[1]", "each[2]"]
    several = host.client.post(f"{path}/resume", json={"value": True})
    assert "each[9].ok and 20 more" in problem(several, 409, "conflict")["detail"]
    for index in range(30):
        answer = {"node_id": f"each[{index}].ok", "value": index > 0}
        assert host.client.post(f"{path}/resume", json=answer).status_code == 202
    _until(host, execution["id"], "succeeded")
    assert host.client.get(path).json()["output"]["items"] == [False, *[True] * 29]


def test_items_at_work_are_listed_and_stopped(host: Host) -> None:
    gate = {"id": "hold", "type": "test.gate", "params": {"name": "${{ item }}"}}
    _map(host, "holding-each", [gate], concurrency=2)
    execution = host.start("holding-each", ["a1", "a2", "a3"], wait=0)
    path = f"/executions/{execution['id']}"
    deadline = time.monotonic() + 20
    while len(running := host.client.get(f"{path}/steps/each/items?status=running").json()["data"]) < 2:
        assert time.monotonic() < deadline
    assert [item["id"] for item in running] == ["each[0]", "each[1]"]
    assert host.client.post(f"{path}/cancel").status_code == 202
    _until(host, execution["id"], "cancelled")
    assert host.client.get(f"{path}/steps/each/items").json()["data"] == []
    steps = host.client.get(f"{path}/steps?parent=each&status=cancelled").json()["data"]
    assert sorted(step["node_id"] for step in steps) == ["each[0].hold", "each[1].hold"]


def test_passes_of_a_repeat_are_items(host: Host) -> None:
    repeat = {"while": "${{ carry < 8 }}", "max": 9, "carry": 1, "nodes": [_echo("twice", "${{ carry * 2 }}")]}
    host.save({"aicflow": 1, "name": "poll", "nodes": [{"id": "poll", "repeat": repeat}]}, id="poll")
    path = f"/executions/{host.start('poll', None)['id']}"
    passes = host.client.get(f"{path}/steps/poll/items", params={"fields": "output"}).json()["data"]
    assert [(one["id"], one["output"]) for one in passes] == [("poll[0]", 2), ("poll[1]", 4), ("poll[2]", 8)]
