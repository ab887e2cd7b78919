"""No answer of the API shows a secret, wherever it came in: as an input, in a preview, in a problem."""

from __future__ import annotations

import json

import pytest

from .conftest import Host

SECRET = "hunter2-in-the-api"


@pytest.fixture
def secret(host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret of the server."""
    monkeypatch.setenv("AICFLOW_SECRET_HUNTER", SECRET)
    host.do(host.runtime.secrets.learn())
    return SECRET


def test_a_secret_that_came_in_as_input_is_not_shown(host: Host, secret: str) -> None:
    nodes = [{"id": "e", "type": "test.echo", "params": {"value": "${{ input }}"}}]
    workflow = host.save(
        {"aicflow": 1, "name": "masked", "nodes": nodes, "output": "${{ nodes.e.output }}"}, id="masked"
    )
    ended = host.start(workflow["id"], {"token": secret, "n": 1})
    url = f"/executions/{ended['id']}"
    for answer in (ended, host.client.get(url).json()):
        assert answer["input"] == answer["output"] == {"token": "***", "n": 1}
    for part in ("/events", "/steps?fields=output", "/steps/e/output"):
        text = host.client.get(url + part).text
        assert secret not in text
        assert "***" in text
    body = {"expression": "[input.token[0:3], nodes.e.output.token[0:3]]", "execution_id": ended["id"]}
    previewed = host.client.post("/workflows/masked/preview-expression", json=body).json()
    assert previewed["value"] == ["***", "***"]


def test_a_problem_does_not_repeat_a_secret(host: Host, secret: str) -> None:
    answer = host.client.get(f"/workflows/{secret}")
    assert answer.status_code == 404
    assert secret not in json.dumps(answer.json())
    assert answer.json()["status"] == 404
