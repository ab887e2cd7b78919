"""The API is as its OpenAPI document says: schemathesis tries it, all checks, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import Server, running_server

BOUNDED = 3
"""Examples of each call in every run of the tests; `make proof` tries many more, other ones each time."""

WORKFLOW = {
    "aicflow": 1,
    "name": "tried",
    "triggers": [{"id": "hook", "type": "trigger.webhook", "params": {"path": "tried", "auth": {"type": "none"}}}],
    "nodes": [{"id": "set", "type": "logic.if_else", "params": {"condition": True}}],
}

# Where the document says that a request which fits its schema may be refused nevertheless, the check that it is
# accepted has nothing to say. Each stands here with its reason; everything else that fits must be accepted.
REFUSED_NEVERTHELESS = {
    "create_workflow": "a document that fits the schema may have errors that validation finds",
    "create_draft": "the same",
    "replace_workflow": "the same",
    "restore_workflow_version": "an old document must be valid today",
    "patch_workflow": "If-Match is a list of entity tags; schemathesis makes others than its pattern allows",
    "delete_workflow": "the same",
    "diff_workflow_versions": "version 1 has none before it",
    "list_workflows": "a cursor is a text that the server made; a NUL is in no name",
    "list_workflow_versions": "a cursor",
    "list_executions": "a cursor",
    "list_api_keys": "a cursor",
    "list_steps": "a cursor",
    "get_step_output": "If-None-Match is a list of entity tags, as If-Match is",
    "list_deliveries": "a cursor",
    "list_node_types": "a cursor",
    "list_trigger_types": "a cursor",
    "list_plugins": "a cursor",
    "configure_node_type": "default params must be those of the type",
    "start_execution": "an input must fit the workflow's own schema; a key is one request's",
    "rerun_execution": "the same",
    "resume_execution": "an answer must fit what the step asked for",
    "preview_expression": "the execution must be one of this workflow",
    "bulk_cancel": "one condition at least; a key is one request's",
    "bulk_rerun": "the same",
    "list_secrets": "a cursor",
    "put_secret": "If-Match is a list of entity tags, as above",
    "put_layout": "the same",
    "get_statistics": "since lies before until, and a step leaves so many points",
    "delete_secret": "the same",
    "rotate_api_key": "a key is one request's",
    "create_api_key": "the end must lie ahead; a name must be printable and not blank; a key is one request's",
    "fire_trigger": "a key is one request's",
    "replay_delivery": "a key is one request's",
    "list_events_sent": "a cursor",
    "list_state": "a cursor",
    "list_files": "a cursor",
    "download_file": "If-None-Match is a list of entity tags, as If-Match is",
    "head_file": "the same",
    "list_audit": "a cursor",
    "list_workers": "a cursor",
    "find_subject": "a value or labels must be given, and not be blank",
    "export_subject": "the same",
    "erase_subject": "the same",
    "list_items": "a cursor",
    "send_event": "a key is one request's",
}


def configuration(server: Server, seeds: dict[str, list[str]], examples: int) -> str:
    """What schemathesis reads: the key, ids that exist (most of the time), and what is not to be checked where."""

    def bound(name: str) -> str:
        return f'"path.{name}" = {{ dictionary = "{name}", probability = 0.7 }}\n'

    dictionaries = "".join(f"[dictionaries.{name}]\nvalues = {json.dumps(ids)}\n" for name, ids in seeds.items())
    operations = "".join(
        f'[[operations]]\ninclude-operation-id = "{name}"\nchecks.positive_data_acceptance.enabled = false\n'
        for name in REFUSED_NEVERTHELESS
    )
    # a document has more cases than all else together: each of them is tried once, on demand
    documents = (
        ("create_draft", "replace_workflow")
        if examples > BOUNDED
        else ("create_workflow", "create_draft", "replace_workflow")
    )
    operations += "".join(
        f'[[operations]]\ninclude-operation-id = "{name}"\nphases.coverage.enabled = false\n' for name in documents
    )
    operations += (
        '[[operations]]\ninclude-operation-id = "delete_workflow"\nparameters = { "path.workflow_id" = "doomed" }\n'
    )
    return f"""\
base-url = "{server.url}"
headers = {{ Authorization = "Bearer {server.key}" }}
warnings = false
request-timeout = 120.0
continue-on-failure = true
phases.coverage.unexpected-methods = ["OPTIONS", "DELETE"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 410, 412, 503]
checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429]
checks.missing_required_header.expected-statuses = [428]
generation = {{ max-examples = {examples}, deterministic = {str(examples == BOUNDED).lower()}, database = "none" }}
{dictionaries}
[parameters]
{"".join(bound(name) for name in seeds)}
{operations}
"""


def seeded(server: Server) -> dict[str, list[str]]:
    """Things to ask for, by the name of the path parameter."""
    with httpx2.Client(base_url=server.url + "/api/v1", headers=server.headers, timeout=30) as api:

        def post(path: str, body: Any = None) -> Any:
            answer = api.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        post("/workflows?id=tried", WORKFLOW)
        post("/workflows?id=doomed", {**WORKFLOW, "triggers": []})
        executions = [post("/executions?wait=10", {"workflow_id": "tried", "input": n})["id"] for n in range(3)]
        post("/triggers/tried:hook/fire", {"payload": {}})
        deliveries = api.get("/triggers/tried:hook/deliveries").json()["data"]
        return {
            "workflow_id": ["tried"],
            "execution_id": executions,
            "binding_id": ["tried:hook"],
            "delivery_id": [one["id"] for one in deliveries],
            "type_id": ["logic.if_else", "trigger.webhook"],
            "version": ["1"],
        }


@pytest.mark.slow
@pytest.mark.parametrize("examples", [BOUNDED, pytest.param(60, marks=pytest.mark.proof)])
def test_the_server_is_as_its_document_says(tmp_path: Path, examples: int) -> None:
    config = tmp_path / "schemathesis.toml"
    with running_server(tmp_path / "data") as server:
        config.write_text(configuration(server, seeded(server), examples))
        tried = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "--no-color",
                "run", f"{server.url}/openapi.json",
                # it lasts until somebody starts something
                "--exclude-operation-id", "stream_all",
                # the server would lose the key that the rest is tried with
                "--exclude-operation-id", "revoke_api_key",
                "--exclude-operation-id", "rotate_api_key",
            ],
            cwd=tmp_path, env={**os.environ, "SCHEMATHESIS_HOOKS": ""}, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert server.process.poll() is None, "the server lives"
    assert tried.returncode == 0, tried.stdout[-20_000:] + tried.stderr[-2_000:]
