"""The server as a process: where it says it listens, how it ends, and what stops it from starting."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

WAIT = {
    "aicflow": 1,
    "name": "wait",
    "nodes": [{"id": "w", "type": "wait", "params": {"answer_schema": True}}],
    "output": "${{ nodes.w.output.answer }}",
}


@contextmanager
def serve(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from aicflow.cli import main; main()", "serve", "--data-dir", str(data), "--engine",
         "native", *arguments],
        env={**os.environ, "AICFLOW_BLOCKED_PLUGINS": "agent,http,python,trigger"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str], data: Path) -> str:
    """Wait until it listens; gives its address."""
    deadline = time.monotonic() + 60
    while not (data / "server.json").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    info = json.loads((data / "server.json").read_text())
    assert info["pid"] == process.pid
    return str(info["url"])


def test_it_says_where_it_listens_keeps_what_it_accepted_and_ends_cleanly(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    with serve(data, "--port", "0") as process:
        url = listening(process, data)
        key = (data / "admin.key").read_text().strip()
        with httpx2.Client(base_url=url + "/api/v1", headers={"x-api-key": key}, timeout=20) as client:
            client.post("/workflows?id=wait", json=WAIT)
            execution = client.post("/executions", json={"workflow_id": "wait"}).json()
            with pytest.raises(InvalidStatus):  # is answered, not logged as an error
                connect(f"{url.replace('http', 'ws')}/api/v1/executions/{execution['id']}/stream")
            with serve(data, "--port", "0") as second:
                _, error = second.communicate(timeout=60)
                assert second.returncode == 2, "one host at a time may have a SQLite store"
                assert re.search("^error: .*in use by another host", error, re.MULTILINE)
                assert "Traceback" not in error
        process.send_signal(signal.SIGTERM)
        said, error = process.communicate(timeout=30)
        assert process.returncode == 0, error
        assert "ERROR" not in error
    assert f"AIC Flow listens on {url}\n" in said
    assert f"{url}/docs" in said
    assert said.count(key) == 1
    assert not (data / "server.json").exists()

    with serve(data, "--port", "0") as process:
        url = listening(process, data)
        with httpx2.Client(base_url=url + "/api/v1", headers={"x-api-key": key}, timeout=20) as client:
            path = f"/executions/{execution['id']}"
            for _ in range(500):
                if client.post(f"{path}/resume", json={"value": "after a restart"}).status_code == 202:
                    break
                time.sleep(0.01)
            for _ in range(500):
                if client.get(path).json()["status"] == "succeeded":
                    break
                time.sleep(0.01)
            assert client.get(path).json()["output"] == "after a restart"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert key not in said, "the admin key is shown once"


def test_what_stops_it_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, expected in (
            (["--port", port], rf"Cannot listen on 127\.0\.0\.1:{port}"),
            (["--port", "0", "--store", "mongo://x"], "There is no store for 'mongo://x'"),
            (["--port", "70000"], "--port: "),
        ):
            with serve(tmp_path / "data", *arguments) as process:
                said, error = process.communicate(timeout=60)
            assert process.returncode == 2, (said, error)
            assert re.search(rf"^error: .*{expected}", error, re.MULTILINE), error
            assert "Traceback" not in error
            assert not (tmp_path / "data" / "server.json").exists()
