"""A real `aicflow serve` process on a free loopback port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Server:
    """A server process, where it listens, its data folder and its admin key."""

    process: subprocess.Popen[bytes]
    url: str
    data: Path
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs."""
        return {"authorization": f"Bearer {self.key}"}

    @property
    def environment(self) -> dict[str, str]:
        """What commands and clients on this machine find it by."""
        return {"AICFLOW_URL": self.url, "AICFLOW_DATA_DIR": str(self.data), "AICFLOW_API_KEY": self.key}

    def kill(self) -> None:
        """The process is gone at once, as after a power cut."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start_server(data: Path, environment: Mapping[str, str] | None = None, *, python: str = sys.executable) -> Server:
    """Start a server; returns when it answers. Its output goes to `server.log` in the data folder."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "server.log"
    place = data / "server.json"
    place.unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, "-m", "aicflow.cli", "serve", "--port", "0"],
            env={
                **inherited,
                # tests send much, all from one address
                "AICFLOW_RATE_WRONG_KEYS": "100000/m",
                "AICFLOW_WEBHOOK_OPEN_RATE": "100000/m",
                **(environment or {}),
                "AICFLOW_DATA_DIR": str(data),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + 60
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"the server did not start:\n{log.read_text()[-4000:]}")
        try:
            found = json.loads(place.read_text())
            if found["pid"] == process.pid:
                return Server(process, found["url"], data, (data / "admin.key").read_text().strip())
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.02)


@contextmanager
def running_server(data: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server for the time of the block; it is asked to stop at the end."""
    server = start_server(data, environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                raise AssertionError("the server did not stop within 20 s of SIGTERM") from None
