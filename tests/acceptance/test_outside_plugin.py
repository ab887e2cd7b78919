"""Bao's story: a plugin in a folder outside the repository, installed with pip, is in the catalogue and runs."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from tests.support.server import running_server, start_server

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "acme-stock"
version = "3.1"
dependencies = ["aicflow>=0.1,<0.2"]

[project.entry-points.aicflow]
acme-stock = "acme_stock"
"""
MODULE = '''
"""Stock levels of Acme."""

from aicflow import Context, Node, Output, Params, hookimpl


class StockParams(Params):
    """What to look up."""

    sku: str


class StockOutput(Output):
    """What there is."""

    sku: str
    left: int


class Stock(Node[StockParams, StockOutput]):
    """How many are left."""

    type_id = "acme.stock"

    async def run(self, ctx: Context, params: StockParams) -> StockOutput:
        ctx.log("counting", sku=params.sku)
        return StockOutput(sku=params.sku, left=len(params.sku))


@hookimpl
def aicflow_nodes():
    return [Stock]
'''
WORKFLOW = {
    "aicflow": 1,
    "name": "restock",
    "nodes": [
        {"id": "stock", "type": "acme.stock", "params": {"sku": "${{ input.sku }}"}},
        {"id": "low", "type": "logic.if_else", "params": {"condition": "${{ nodes.stock.output.left < 5 }}"}},
    ],
    "edges": [{"from": "stock", "to": "low"}],
    "output": "${{ nodes.low.output.result }}",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python environment that sees what is installed here, and the plugin on top of it."""
    folder = tmp_path_factory.mktemp("bao")
    plugin = folder / "acme-stock"
    plugin.mkdir()
    (plugin / "pyproject.toml").write_text(PROJECT)
    (plugin / "acme_stock.py").write_text(MODULE)
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    ask = "import site; print(site.getsitepackages()[0])"
    place = subprocess.run([str(python), "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    # `site.addsitedir`, so that what is installed here in editable form is seen too
    inherited = "\n".join(f"import site; site.addsitedir({path!r})" for path in site.getsitepackages())
    (Path(place) / "inherited.pth").write_text(inherited + "\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", str(plugin)]
    done = subprocess.run(pip, capture_output=True, text=True, env={**os.environ, "PYTHONNOUSERSITE": "1"}, check=False)
    assert done.returncode == 0, done.stderr
    return python


def test_it_is_discovered_validated_run_and_streamed(environment: Path, tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", python=str(environment))
    try:
        with httpx2.Client(base_url=server.url, headers=server.headers, timeout=30) as client:
            found = client.get("/api/v1/node-types/acme.stock").json()
            assert found["provider"] == {"plugin": "acme-stock", "distribution": "acme-stock", "version": "3.1"}
            assert found["summary"] == "How many are left."
            assert found["params_schema"]["required"] == ["sku"]
            plugin = client.get("/api/v1/plugins/acme-stock").json()
            assert (plugin["status"], plugin["node_types"]) == ("loaded", ["acme.stock"])

            wrong = json.loads(json.dumps(WORKFLOW).replace("output.left", "output.lefd"))
            issues = client.post("/api/v1/workflows/validate", json=wrong).json()["issues"]
            assert any(issue["code"] == "type.unknown-field" and "left" in issue["hint"] for issue in issues)

            assert client.post("/api/v1/workflows?id=restock", json=WORKFLOW).status_code == 201
            body = {"workflow_id": "restock", "input": {"sku": "abc"}}
            execution = client.post("/api/v1/executions?wait=20", json=body).json()
            assert (execution["status"], execution["output"]) == ("succeeded", True)

            client.patch("/api/v1/node-types/acme.stock", json={"enabled": False}).raise_for_status()
            refused = client.post("/api/v1/executions", json=body)
            assert refused.status_code == 409
            client.patch("/api/v1/node-types/acme.stock", json={"enabled": True, "default_params": {"sku": "abcdef"}})
            usual = {**WORKFLOW, "nodes": [{"id": "stock", "type": "acme.stock"}], "edges": [], "output": None}
            usual = {key: value for key, value in usual.items() if value is not None}
            assert client.post("/api/v1/workflows?id=usual", json=usual).status_code == 201
            execution = client.post("/api/v1/executions?wait=20", json={"workflow_id": "usual"}).json()
            assert execution["output"] == {"sku": "abcdef", "left": 6}
        address = server.url.replace("http", "ws") + f"/api/v1/executions/{execution['id']}/stream"
        with connect(address, additional_headers=server.headers) as stream:
            events = [json.loads(line) for frame in stream for line in str(frame).splitlines()]
        assert [event["seq"] for event in events] == list(range(1, execution["last_seq"] + 1))
        assert any(event["type"] == "step.log" and event["data"]["message"] == "counting" for event in events)
    finally:
        server.process.terminate()
        server.process.wait(20)


def test_without_it_the_type_is_unknown(tmp_path: Path) -> None:
    assert sys.executable
    with (
        running_server(tmp_path / "data") as server,
        httpx2.Client(base_url=server.url, headers=server.headers) as client,
    ):
        assert client.get("/api/v1/node-types/acme.stock").status_code == 404
        refused = client.post("/api/v1/workflows", json=WORKFLOW)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/nodes/0/type"
        assert client.get("/api/v1/workflows").json()["data"] == []
