"""A secret in the fixed params of a tool goes only where the node type of the tool takes secrets."""

from __future__ import annotations

from typing import Any

import pytest
from aicflow.host.wiring import installed_plugins
from aicflow.language.validation import Limits, validate

KEY = "${{ secrets.TOKEN }}"
URL = "https://a.example"
NO = "secret.not-allowed"


@pytest.mark.parametrize(
    ("tool", "code", "place"),
    [
        ({"node": "http.request", "params": {"url": URL, "auth": {"type": "bearer", "token": KEY}}}, None, ""),
        ({"node": "http.request", "params": {"url": URL, "headers": {"X-Key": KEY}}}, None, ""),
        ({"node": "http.request", "params": {"url": f"https://a.example/{KEY}"}}, NO, "url"),
        ({"node": "http.request", "params": {"url": URL, "json": {"k": KEY}}}, NO, "json/k"),
        ({"node": "python.code", "params": {"code": f"return '{KEY}'"}}, "secret.in-code", "code"),
        ({"node": "python.code", "params": {"code": "return 1", "inputs": {"k": KEY}}}, NO, "inputs/k"),
        ({"node": "workflow.call", "params": {"workflow": "w", "input": {"k": KEY}}}, NO, "input/k"),
        ({"node": "ai.agent", "params": {"prompt": KEY, "model": "m"}}, NO, "prompt"),
    ],
)  # fmt: skip
def test_a_secret_in_a_tools_fixed_params(tool: dict[str, Any], code: str | None, place: str) -> None:
    node = {"id": "a", "type": "ai.agent", "params": {"model": "m", "prompt": "x", "tools": [tool]}}
    document = {"aicflow": 1, "name": "n", "nodes": [node]}
    issues = validate(document, installed_plugins().registry, limits=Limits(), secret_names={"TOKEN"})
    found = [(issue.code, issue.pointer) for issue in issues if issue.code.startswith("secret.")]
    assert found == ([(code, f"/nodes/0/params/tools/0/params/{place}")] if code else [])
