"""Files of a real server process: memory stays flat, and `kill -9` at any moment leaves no wrong state."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aicflow_sdk import AICFlow, Workflow

from tests.support.server import Server, running_server, start_server

MIB = 1 << 20
SIZE = int(os.environ.get("FILES_MIB", "96"))
"""How large the file is that passes through: `FILES_MIB=1024 pytest …` for a gigabyte."""
BLOCK = os.urandom(MIB)


def pieces() -> Iterator[bytes]:
    for number in range(SIZE):
        yield number.to_bytes(8, "big") + BLOCK[8:]


def peak(server: Server) -> int:
    """The most memory that the process has had so far, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def on_disk(data: Path) -> list[Path]:
    return [path for path in (data / "files").rglob("*") if path.is_file() and path.name != "owner"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_large_file_passes_through_with_flat_memory(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, AICFlow(server.url, server.key) as client:
        wf = Workflow("passes")
        wf.if_else(wf.input.file.size > MIB, "large")
        wf.output = wf.input.file
        workflow = client.workflows.deploy(wf)
        small = client.files.upload(b"x" * MIB)
        client.executions.run(workflow.id, {"file": small})
        client.files.read(small)
        before = peak(server)
        file = client.files.upload(pieces(), name="large.bin")
        assert file.size == SIZE * MIB
        output = client.executions.run(workflow.id, {"file": file}).output
        saved = client.files.download(output, tmp_path)
        after = peak(server)
        digest = hashlib.sha256()
        for data in pieces():
            digest.update(data)
        assert file.sha256 == digest.hexdigest(), "the download itself compares with it"
        assert saved.stat().st_size == SIZE * MIB
        print(f"{SIZE} MiB passed; the server's peak went from {before} to {after} MiB")
        assert after - before < 48


def test_a_server_killed_during_an_upload_keeps_nothing_of_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start_server(data)
    with AICFlow(server.url, server.key) as client:
        kept = client.files.upload(b"kept")
    address = urlsplit(server.url)
    head = f"POST /api/v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\ncontent-length: {50 * MIB}"
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(head.encode() + b"\r\n\r\n" + BLOCK + BLOCK)
        until(lambda: any(path.parent.name == "unfinished" and path.stat().st_size for path in on_disk(data)))
        server.kill()
    assert len(on_disk(data)) == 2
    with running_server(data) as again, AICFlow(again.url, again.key) as client:
        until(lambda: len(on_disk(data)) == 1)
        assert [file.sha256 for file in client.files.list()] == [kept.sha256]
        assert client.files.read(kept) == b"kept"


def test_kills_beside_uploads_and_sweeps_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The sweep runs all the time; files expire at once or never; the server is killed again and again."""
    data = tmp_path / "data"
    environment = {"AICFLOW_RETENTION_EVERY": "0.01", "AICFLOW_FILE_AGE": "1s"}
    held: dict[str, bytes] = {}
    workflow = ""
    for round in range(5):
        server = start_server(data, environment)
        with AICFlow(server.url, server.key) as client:
            if not workflow:
                wf = Workflow("holds")
                wf.if_else(wf.input.file.size > 0, "any")
                wf.output = wf.input.file
                workflow = client.workflows.deploy(wf).id
            for number in range(12):
                content = f"{round % 2}-{number}".encode() * 1000  # each round again, held or swept meanwhile
                file = client.files.upload(content)
                if number % 3 == 0:
                    client.executions.start(workflow, {"file": file})
                    held[file.sha256] = content
            server.kill()
    with running_server(data, environment) as last, AICFlow(last.url, last.key) as client:
        for sha256, content in held.items():
            assert client.files.read(sha256) == content
        until(lambda: {file.sha256 for file in client.files.list()} == set(held))
        until(lambda: len(on_disk(data)) == len(held))
