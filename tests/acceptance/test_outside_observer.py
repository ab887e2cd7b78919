"""Ines follows the page "Observe" in a folder of her own, and her server tells her observer what happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.docs.blocks import ROOT, blocks_of
from tests.support.plugin import plugin_path
from tests.support.server import start_server

NODES = """
from acme_counting import current_step
import acme_counting
from aicflow import hookimpl, node


@node("acme.where")
def where() -> str | None:
    "Returns the step that it runs in, from a thread."
    return current_step.get()


@hookimpl
def aicflow_nodes():
    return [where]


@hookimpl
def aicflow_observers():
    return acme_counting.aicflow_observers()
"""


def test_a_server_tells_an_observer_from_outside(tmp_path: Path) -> None:
    for block in blocks_of(ROOT / "docs" / "how-to" / "observe.md"):
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
    package = tmp_path / "counting"
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(package)]
    done = subprocess.run(suite, cwd=package, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (package / "acme_all.py").write_text(NODES)
    counts = tmp_path / "counts.json"
    environment = {
        **os.environ,
        "PYTHONPATH": plugin_path(package, "acme-all", "acme_all"),
        "ACME_COUNTS": str(counts),
    }
    server = start_server(tmp_path / "data", environment)
    try:
        with httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
            nodes = [{"id": "w", "type": "acme.where"}]
            document = {"aicflow": 1, "name": "where", "nodes": nodes, "output": "${{ nodes.w.output }}"}
            workflow = api.post("/workflows", json=document).json()["id"]
            execution = api.post("/executions", params={"wait": 30}, json={"workflow_id": workflow}).json()
            assert execution["output"] == f"{execution['id']}/w/1"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    finally:
        if server.process.poll() is None:
            server.kill()
    told = json.loads(counts.read_text())
    assert (told["step.succeeded"], told["execution.succeeded"]) == (1, 1)
