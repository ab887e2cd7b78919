"""Ines follows the page "Write an engine" in a folder of her own, and her server runs executions with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.docs.blocks import ROOT, blocks_of
from tests.support.plugin import plugin_path
from tests.support.server import start_server

WITH_A_NODE = '''
import asyncio

from acme_named import aicflow_engines
from aicflow import hookimpl, node


@node("acme.task")
async def task(after: str = "") -> str:
    """The name of the task that runs this."""
    return asyncio.current_task().get_name()


@hookimpl
def aicflow_nodes():
    return [task]
'''


def test_a_server_runs_executions_with_an_engine_from_outside(tmp_path: Path) -> None:
    for block in blocks_of(ROOT / "docs" / "how-to" / "write-an-engine.md"):
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
    package = tmp_path / "named"
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(package)]
    done = subprocess.run(suite, cwd=package, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (package / "acme_both.py").write_text(WITH_A_NODE)
    environment = {
        **os.environ,
        "PYTHONPATH": plugin_path(package, "acme-both", "acme_both"),
        "AICFLOW_ENGINE": "named",
    }
    server = start_server(tmp_path / "data", environment)
    try:
        with httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
            nodes = [
                {"id": "a", "type": "acme.task"},
                {"id": "b", "type": "acme.task", "params": {"after": "${{ nodes.a.output }}"}},
            ]
            document = {"aicflow": 1, "name": "named", "nodes": nodes, "edges": [{"from": "a", "to": "b"}]}
            document["output"] = ["${{ nodes.a.output }}", "${{ nodes.b.output }}"]
            workflow = api.post("/workflows", json=document).json()["id"]
            for engine, named in ((None, True), ("native", False)):
                body = {"workflow_id": workflow} | ({"engine": engine} if engine else {})
                execution = api.post("/executions", params={"wait": 30}, json=body).json()
                own = [f"{execution['id']}/a", f"{execution['id']}/b"]
                assert (execution["output"] == own) is named, execution
    finally:
        server.kill()
