"""Ten megabytes of JSON go from a webhook through every kind of node to whoever asks, with the limits as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
from aicflow_sdk import AICFlow

from tests.support.outside import Asked, Outside
from tests.support.server import running_server

ROWS = [{"id": n, "name": f"Zoë {n}", "tags": ["a", "b"], "price": n / 8, "text": "x" * 160} for n in range(41_000)]


def document(url: str) -> dict[str, Any]:
    """A webhook's body is sent on by HTTP; the reply goes through Python and data.set to the output."""
    send = {"method": "POST", "url": url, "body": {"type": "json", "value": "${{ input }}"}}
    code = "return {'rows': inputs['rows'], 'sum': sum(row['id'] for row in inputs['rows'])}"
    return {
        "aicflow": 1,
        "name": "large",
        "triggers": [
            {
                "id": "hook",
                "type": "trigger.webhook",
                "params": {"path": "large", "methods": ["POST"], "max_body_bytes": 16_777_216},  # it asks for no key
                "input": "${{ trigger.body }}",
            }
        ],
        "nodes": [
            {"id": "echo", "type": "http.request", "params": send},
            {
                "id": "add",
                "type": "python.code",
                "params": {"code": code, "inputs": {"rows": "${{ nodes.echo.output.body }}"}},
            },
            {"id": "keep", "type": "data.set", "params": {"value": {"found": "${{ nodes.add.output }}"}}},
        ],
        "edges": [{"from": "echo", "to": "add"}, {"from": "add", "to": "keep"}],
        "output": "${{ nodes.keep.output }}",
    }


def test_ten_megabytes_go_from_end_to_end(tmp_path: Path) -> None:
    body = json.dumps(ROWS, ensure_ascii=False).encode()
    assert 10_000_000 <= len(body) <= 10_500_000
    outside = Outside()

    @outside.on("POST", "/echo")
    def echo(asked: Asked) -> Any:
        return asked.json()

    environment = {"AICFLOW_BLOCKED_PLUGINS": "agent", "AICFLOW_HTTP_ALLOW_HOSTS": outside.url.removeprefix("http://")}
    expected = {"found": {"rows": ROWS, "sum": sum(range(41_000))}}
    with (
        running_server(tmp_path / "data", environment) as server,
        AICFlow(server.url, api_key=server.key) as client,
        httpx2.Client(headers=server.headers, timeout=60) as api,
    ):
        client.workflows.deploy(document(outside.url + "/echo"), id="large")
        sent = httpx2.post(f"{server.url}/hooks/large", content=body, headers={"content-type": "application/json"})
        assert sent.status_code == 202, sent.text
        execution_id = sent.json()["execution_id"]
        execution = client.executions.wait(execution_id, timeout=60)
        assert execution.status == "succeeded", execution.error
        assert execution.result() == expected

        assert api.get(f"{server.url}/api/v1/executions/{execution_id}").json()["output"] == expected
        step = f"{server.url}/api/v1/executions/{execution_id}/steps/keep/output"
        assert api.get(step).json() == expected

        again = client.executions.run("large", ROWS, timeout=60)
        assert again.result() == expected
    outside.close()
