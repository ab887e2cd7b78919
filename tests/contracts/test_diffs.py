"""The server and the SDK tell the same changes in the same words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from aicflow.language.diff import diff
from aicflow_sdk import diff as diff_of_the_sdk

BASE: dict[str, Any] = {
    "aicflow": 1,
    "name": "orders",
    "vars": {"threshold": 100},
    "triggers": [{"id": "hook", "type": "trigger.webhook", "params": {"path": "orders"}}],
    "nodes": [
        {"id": "fetch", "type": "http.request", "params": {"url": "https://a.test/${{ input.id }}", "query": {"a": 1}}},
        {"id": "big", "type": "logic.if_else", "params": {"condition": "${{ nodes.fetch.output.body.n > 1 }}"}},
        {"id": "note", "type": "python.code", "params": {"code": "return 1", "inputs": {"rows": [1, 2]}}},
    ],
    "edges": [{"from": "fetch", "to": "big"}, {"from": "big", "port": "true", "to": "note"}],
    "output": {"v": "${{ nodes.note?.output ?? 0 }}"},
    "settings": {"timeout": 30},
}


def rename(document: dict[str, Any]) -> None:
    document["nodes"][0]["id"] = document["edges"][0]["from"] = "load"
    document["nodes"][1]["params"]["condition"] = "${{ nodes.load.output.body.n > 1 }}"


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    rename,
    lambda d: d.update(name="b", description="x", input_schema={"type": "object"}, output=None),
    lambda d: d["vars"].update(threshold=1, more=[1]),
    lambda d: d["settings"].update(timeout=None, fail_fast=True, concurrency={"limit": 2}),
    lambda d: d["triggers"].append({"id": "day", "type": "trigger.cron", "params": {"schedule": "@daily"}}),
    lambda d: d["triggers"][0].update(enabled=False, input="${{ trigger.body }}"),
    lambda d: d["nodes"][0]["params"].update(url="https://b.test/${{ input.id }}", query={"b": True}),
    lambda d: d["nodes"][2].update(retry={"max_attempts": 5}, timeout=9, on_error="continue", version=1),
    lambda d: d["nodes"][2]["params"]["inputs"].update(rows=[1, 3]),
    lambda d: d["nodes"].reverse(),
    lambda d: d["nodes"].insert(1, {"id": "mail", "type": "http.request", "params": {"url": "https://m.test"}}),
    lambda d: d["nodes"].pop(),
    lambda d: d["edges"].append({"from": "big", "port": "false", "to": "note"}),
    lambda d: d["edges"].clear(),
]


@pytest.mark.parametrize("number", range(len(CHANGES) + 1))
def test_both_tell_the_same(number: int) -> None:
    other = copy.deepcopy(BASE)
    for change in CHANGES[number : number + 1] or CHANGES:
        change(other)
    for old, new in ((BASE, other), (other, BASE)):
        ours, theirs = diff(old, new), diff_of_the_sdk(old, new)
        assert str(ours) == str(theirs)
        wanted = theirs.to_dict()["changes"]
        assert [{key: change[key] for key in wanted[0]} for change in ours.to_dict()["changes"]] == wanted
