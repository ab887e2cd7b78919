"""Processes of servers and workers over one database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2

SOON = 120.0
ADDS = {
    "aicflow": 1,
    "name": "adds",
    "nodes": [
        {"id": "sum", "type": "state.add", "params": {"key": "n", "by": 1}},
        {"id": "nap", "type": "wait", "params": {"seconds": 0.3}},
    ],
    "edges": [{"from": "sum", "to": "nap"}],
}


class Site:
    """Processes that share a database."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self.url, self._folder, self._stack = url, folder, stack
        self._count = 0

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """A process that has said that it is at work."""
        self._count += 1
        environment = {
            "PATH": os.environ["PATH"],
            "AICFLOW_DATA_DIR": str(self._folder / f"host{self._count}"),
            "AICFLOW_SERVER_SECRET_FILE": str(self._folder / "server.secret"),
            "AICFLOW_STORE": self.url,
            "AICFLOW_LEASE": "5",
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "aicflow.cli", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if process.stdout is not None:
            self._stack.callback(process.stdout.close)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def server(self, *more: str, **variables: str) -> Server:
        own = more or ("--no-worker",)
        process = self.start("serve", *(() if "--port" in own else ("--port", "0")), *own, **variables)
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "listens on" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "the server did not start"
        key_file = self._folder / "host1" / "admin.key"
        until(key_file.exists)
        client = httpx2.Client(
            base_url=lines[-1].split()[-1],
            headers={"authorization": f"Bearer {key_file.read_text().strip()}"},
            timeout=SOON,
        )
        self._stack.callback(client.close)
        return Server(process, client)

    def worker(self, *more: str, **variables: str) -> subprocess.Popen[str]:
        process = self.start("worker", *more, **variables)
        assert process.stdout is not None
        assert "runs executions" in process.stdout.readline()
        return process


class Server:
    """One host of the API."""

    def __init__(self, process: subprocess.Popen[str], client: httpx2.Client) -> None:
        self.process, self.client = process, client

    def save(self, id: str, document: dict[str, Any]) -> httpx2.Response:
        return self.client.post("/api/v1/workflows", params={"id": id}, json=document)

    def begin(self, id: str) -> str:
        answer = self.client.post("/api/v1/executions", json={"workflow_id": id})
        assert answer.status_code == 202, answer.text
        made: str = answer.json()["id"]
        return made

    def succeeded(self, workflow_id: str) -> int:
        """How many of its executions have succeeded."""
        asked = {"workflow_id": workflow_id, "status": "succeeded", "limit": 200}
        return len(self.client.get("/api/v1/executions", params=asked).json()["data"])


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
