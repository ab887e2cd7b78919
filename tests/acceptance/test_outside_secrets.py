"""Ines follows the page "Write a secret source" in a folder of her own, and her server uses its secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.docs.blocks import ROOT, blocks_of
from tests.support.plugin import plugin_path
from tests.support.server import start_server

# Another source of hers: what a workflow named `shared` has as vars. It looks into the server's store.
FROM_THE_STORE = '''
import acme_folder
from aicflow import hookimpl, node, Context


class SharedVars:
    name = "shared vars"

    def __init__(self, store):
        self.store = store

    async def get(self, secret):
        for record in await self.store.workflows.active():
            if record.document["name"] == "shared":
                return record.document["vars"].get(secret)
        return None

    async def names(self):
        return None


@node("acme.read")
async def read(ctx: Context, name: str) -> str:
    """Returns a secret, as careless nodes do."""
    return "it is " + await ctx.fetch_secret(name)


@hookimpl
def aicflow_nodes():
    return [read]


@hookimpl
def aicflow_secrets(runtime):
    return [*acme_folder.aicflow_secrets(runtime), SharedVars(runtime.store)]
'''


def test_a_server_uses_secret_sources_from_outside(tmp_path: Path) -> None:
    for block in blocks_of(ROOT / "docs" / "how-to" / "write-a-secret-source.md"):
        if block.file is not None:
            target = tmp_path / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
    package = tmp_path / "folder"
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(package)]
    done = subprocess.run(suite, cwd=package, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (package / "acme_all.py").write_text(FROM_THE_STORE)
    kept = tmp_path / "secrets"
    kept.mkdir()
    (kept / "FILED").write_text("value-from-a-file")
    environment = {
        **os.environ,
        "PYTHONPATH": plugin_path(package, "acme-all", "acme_all"),
        "ACME_SECRETS": str(kept),
        "AICFLOW_SECRETS_LIFETIME": "0",
    }
    server = start_server(tmp_path / "data", environment)
    try:
        with httpx2.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
            shared = {"aicflow": 1, "name": "shared", "vars": {"STORED": "value-from-the-store"}}
            shared["nodes"] = [{"id": "a", "type": "wait", "params": {"seconds": 1}}]
            assert api.post("/workflows", json=shared).status_code == 201

            def read(name: str) -> dict[str, object]:
                nodes = [{"id": "r", "type": "acme.read", "params": {"name": name}}]
                document = {"aicflow": 1, "name": name, "nodes": nodes, "output": "${{ nodes.r.output }}"}
                saved = api.post("/workflows", json=document)
                assert saved.status_code == 201, saved.text
                workflow = saved.json()["id"]
                execution: dict[str, object] = api.post(
                    "/executions", params={"wait": 30}, json={"workflow_id": workflow}
                ).json()
                return execution

            for name in ("FILED", "STORED"):
                execution = read(name)
                assert execution["output"] == "it is ***", execution["error"]
            (kept / "FILED").unlink()
            failed = read("FILED")["error"]
            assert isinstance(failed, dict)
            assert failed["code"] == "secret-missing"
            assert "(sources asked: store, environment, folder, shared vars)" in failed["message"]
            for path in kept.iterdir():
                path.unlink()
            kept.rmdir()
            failed = read("STORED")["error"]
            assert isinstance(failed, dict)
            assert (failed["code"], failed["message"]) == (
                "secret-unavailable",
                "Secret source 'folder' did not return 'STORED': FileNotFoundError.",
            )
    finally:
        server.kill()
