"""Ines's story: she follows the page "Write a store" in a folder of her own, and her server keeps everything there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.docs.blocks import ROOT, blocks_of
from tests.support.plugin import plugin_path
from tests.support.server import start_server

WORKFLOW = """
aicflow: 1
name: approvals
nodes:
  - {id: ask, type: wait, params: {answer_schema: {type: boolean}}}
output: "${{ nodes.ask.output.answer }}"
"""


def test_a_server_keeps_everything_in_a_store_from_outside(tmp_path: Path) -> None:
    for block in blocks_of(ROOT / "docs" / "how-to" / "write-a-store.md"):
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
    environment = {
        "PYTHONPATH": plugin_path(tmp_path / "journal", "acme-journal", "acme_journal"),
        "AICFLOW_STORE": f"journal://{tmp_path}/kept/all.journal",
        "AICFLOW_STORE_FSYNC": "no",
    }
    with serving(tmp_path, environment) as api:
        yaml = {"content-type": "application/yaml"}
        workflow = api.post("/workflows", content=WORKFLOW, headers=yaml).json()["id"]
        waiting = api.post("/executions", json={"workflow_id": workflow}).json()["id"]
        while api.get(f"/executions/{waiting}").json()["status"] != "waiting":
            pass
    assert not (tmp_path / "data" / "aicflow.db").exists()

    # killed while the execution waits: the journal has all that was answered
    with serving(tmp_path, environment) as api:
        answered = api.post(f"/executions/{waiting}/resume", json={"value": True})
        assert answered.status_code < 300, answered.text
        while (execution := api.get(f"/executions/{waiting}").json())["finished_at"] is None:
            pass
        assert (execution["status"], execution["output"]) == ("succeeded", True)


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[httpx2.Client]:
    """A server that ends as in a power cut."""
    server = start_server(folder / "data", environment)
    try:
        with httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api:
            yield api
    finally:
        server.kill()
