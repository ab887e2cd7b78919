"""The servers of the demo: the data over HTTP, a local model when none is configured, and AIC Flow itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aicflow.cli.server import Server
from aicflow.host.datadir import DataDir
from aicflow.kernel.errors import AICFlowError

_PATIENCE = 60.0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal belongs to the story."""


@contextmanager
def data_server(folder: Path) -> Iterator[str]:
    """A folder over HTTP on a free loopback port; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def model_environment() -> Iterator[tuple[dict[str, str], str]]:
    """Environment that names the agents' model, and its name. Without AICFLOW_AGENT_MODEL, a local server that
    speaks chat completions by fixed rules."""
    configured = os.environ.get("AICFLOW_AGENT_MODEL")
    if configured:
        yield {}, configured
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "aicflow.testing.chat_server", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        address = next((word for word in line if word.startswith("http")), None)
        if address is None:
            raise AICFlowError("The local model server did not start.", hint="Is aicflow-agent installed?")
        yield {"AICFLOW_AGENT_MODEL": "openai:local-rules", "AICFLOW_AGENT_BASE_URL": address}, "local-rules"
    finally:
        _end(process)


@contextmanager
def aicflow_server(folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """A real server process on a free loopback port with its data in `folder`."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "aicflow.cli", "serve", "--port", "0"],
            env={**os.environ, **environment, "AICFLOW_DATA_DIR": str(folder)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        data = DataDir(folder)
        deadline = time.monotonic() + _PATIENCE
        while (server := data.server()) is None or (key := data.admin_key()) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise AICFlowError("The server did not start. It said: " + " | ".join(said))
            time.sleep(0.05)
        yield Server(server.url, key)
    finally:
        _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
