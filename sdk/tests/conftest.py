"""One real server for the session, and a server that misbehaves by script for a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for sdk_kit

from aicflow_sdk import AICFlow
from sdk_kit import FaultServer, Server, serve


@pytest.fixture(autouse=True)
def _no_server_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AICFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AICFLOW_DATA_DIR", str(tmp_path / "nothing-here"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[AICFlow]:
    with AICFlow(server.url, server.key) as made:
        yield made


@pytest.fixture
def faults() -> Iterator[FaultServer]:
    made = FaultServer()
    yield made
    made.close()
