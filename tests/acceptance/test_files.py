"""Files through a real server: a large download and upload, a table made into a workbook, an upload by webhook, Python
over a file; the memory of the server stays what it was."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import pytest
from aicflow_sdk import AICFlow

from tests.support.server import Server, running_server

MIB = 1 << 20
SIZE = 96 * MIB
BLOCK = bytes(range(256)) * 4096


class Warehouse(BaseHTTPRequestHandler):
    """Gives SIZE bytes, in the same blocks over and over, and says what it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = SIZE if self.path == "/large.bin" else 10
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for start in range(0, size, len(BLOCK)):
            self.wfile.write(BLOCK[: size - start])

    def do_PUT(self) -> None:
        left, digest = int(self.headers["content-length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, MIB))
            digest.update(data)
            left -= len(data)
        body = json.dumps({"sha256": digest.hexdigest()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def warehouse() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Warehouse)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {
        "AICFLOW_HTTP_ALLOW_HOSTS": "127.0.0.1",
        "AICFLOW_PYTHON_CPU_SECONDS": "60",
        "AICFLOW_PYTHON_TIMEOUT": "120",
    }
    with running_server(tmp_path_factory.mktemp("files") / "data", environment) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[AICFlow]:
    with AICFlow(server.url, api_key=server.key) as found:
        yield found


def run(client: AICFlow, document: dict[str, Any], given: Any = None) -> Any:
    """The output of one execution."""
    workflow = client.workflows.deploy({"aicflow": 1, **document})
    return client.executions.run(workflow, given, timeout=180).result()


def upload(server: Server, content: bytes, name: str) -> dict[str, Any]:
    answer = httpx2.post(f"{server.url}/api/v1/files", params={"name": name}, content=content, headers=server.headers)
    assert answer.status_code in (200, 201), answer.text
    file: dict[str, Any] = answer.json()["file"]
    return file


def download(server: Server, file: dict[str, Any]) -> bytes:
    answer = httpx2.get(f"{server.url}/api/v1/files/{file['$blob']}", headers=server.headers)
    assert answer.status_code == 200
    return answer.content


@contextmanager
def memory(server: Server, most: int) -> Iterator[None]:
    """The server's peak during the block is at most so many bytes above where it began."""
    process = Path(f"/proc/{server.process.pid}")

    def of(name: str) -> int:
        line = next(line for line in (process / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    (process / "clear_refs").write_text("5")  # forget the peak until now
    before = of("VmRSS")
    yield
    assert of("VmHWM") - before < most


def passing(warehouse: str, name: str) -> dict[str, Any]:
    nodes = [
        {
            "id": "get",
            "type": "http.request",
            "params": {"url": f"{warehouse}/{name}", "response": {"as": "file"}, "timeouts": {"total": 170}},
        },
        {
            "id": "put",
            "type": "http.request",
            "params": {
                "url": f"{warehouse}/copy",
                "method": "PUT",
                "body": {"type": "raw", "file": "${{ nodes.get.output.body }}"},
                "timeouts": {"total": 170},
            },
        },
    ]
    output = {"file": "${{ nodes.get.output.body }}", "got": "${{ nodes.put.output.body.sha256 }}"}
    return {"name": "pass-on", "nodes": nodes, "edges": [{"from": "get", "to": "put"}], "output": output}


def test_a_large_file_passes_through(server: Server, client: AICFlow, warehouse: str) -> None:
    run(client, passing(warehouse, "small.bin"))
    with memory(server, SIZE // 3):
        output = run(client, passing(warehouse, "large.bin"))
    assert output["file"]["size"] == SIZE
    assert output["file"]["$blob"] == output["got"]


def test_a_table_becomes_a_workbook(server: Server, client: AICFlow) -> None:
    lines = [b"id,customer,quantity,price,note\n"]
    lines += [b"%d,customer %d,%d,0.5,%s\n" % (n, n % 997, n % 7, b"some words " * 5) for n in range(60_000)]
    file = upload(server, b"".join(lines), "orders.csv")
    assert file["size"] > 4 * MIB
    node = {
        "id": "report",
        "type": "file.convert_rows",
        "params": {
            "file": "${{ input.file }}",
            "types": {"quantity": "integer", "price": "number"},
            "where": "item.quantity > 0",
            "select": {"Order": "item.id", "Total": "item.quantity * item.price"},
            "format": "xlsx",
        },
    }
    with memory(server, 48 * MIB):
        output = run(client, {"name": "report", "nodes": [node]}, {"file": file})
    kept = sum(1 for n in range(60_000) if n % 7)
    assert (output["rows"], output["dropped"]) == (kept, 60_000 - kept)
    book = openpyxl.load_workbook(io.BytesIO(download(server, output["file"])), read_only=True)
    rows = list(book.worksheets[0].iter_rows(values_only=True))
    book.close()
    assert rows[:2] == [("Order", "Total"), ("1", 0.5)]
    assert len(rows) == kept + 1


def test_python_works_on_a_file(server: Server, client: AICFlow) -> None:
    file = upload(server, b"word and number\n" * (2 * MIB), "words.txt")
    code = """
count = 0
with inputs["file"].open("rb") as source, files.create("upper.txt") as out:
    while block := source.read(1 << 18):
        count += block.count(b"number")
        out.write(block.upper())
return {"count": count, "upper": out}
"""
    node = {"id": "a", "type": "python.code", "params": {"inputs": {"file": "${{ input.file }}"}, "code": code}}
    with memory(server, 24 * MIB):
        output = run(client, {"name": "words", "nodes": [node]}, {"file": file})
    assert output["count"] == 2 * MIB
    assert output["upper"]["size"] == 32 * MIB
    assert output["upper"]["$blob"] == hashlib.sha256(b"WORD AND NUMBER\n" * (2 * MIB)).hexdigest()


def test_large_uploads_of_a_webhook_become_files(server: Server, client: AICFlow) -> None:
    trigger = {
        "id": "hook",
        "type": "trigger.webhook",
        "params": {
            "path": "take",
            "files_above": 1_000,
            "max_body_bytes": 4 * MIB,
            "auth": {"type": "api_key", "keys": ["k-1234567890"]},
            "respond": {"mode": "output"},
        },
    }
    node = {"id": "a", "type": "data.set", "params": {"value": "${{ trigger }}"}}
    client.workflows.deploy({"aicflow": 1, "name": "take", "triggers": [trigger], "nodes": [node]})
    headers = {"X-API-Key": "k-1234567890"}
    large, small = b"x" * 3 * MIB, b"y" * 1_000
    parts = [("large", ("a/l.csv", large, "text/csv")), ("small", ("s.bin", small)), ("note", (None, "hello"))]
    answer = httpx2.post(f"{server.url}/hooks/take", files=parts, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["files"]
    assert (first["base64"], first["filename"], first["size"]) == (None, "a/l.csv", 3 * MIB)
    assert first["file"] == {
        "$blob": hashlib.sha256(large).hexdigest(),
        "size": 3 * MIB,
        "type": "text/csv",
        "name": "l.csv",
    }
    assert download(server, first["file"]) == large
    assert (second["file"], len(second["base64"])) == (None, 1_336)
    raw = httpx2.post(
        f"{server.url}/hooks/take", content=large, headers={**headers, "Content-Type": "image/png"}, timeout=60
    )
    body = raw.json()["body"]
    assert (body["base64"], body["size"], body["content_type"]) == (None, 3 * MIB, "image/png")
    assert body["file"]["$blob"] == first["file"]["$blob"]
    text = httpx2.post(
        f"{server.url}/hooks/take", content=b"z" * 5_000, headers={**headers, "Content-Type": "text/plain"}
    )
    assert text.json()["body"] == "z" * 5_000


def test_a_small_upload_is_as_its_schema_says(server: Server, client: AICFlow) -> None:
    """Whoever asks for no key takes small bodies only, which are never files; they say so."""
    trigger = {"id": "hook", "type": "trigger.webhook", "params": {"path": "small", "respond": {"mode": "output"}}}
    node = {"id": "a", "type": "data.set", "params": {"value": "${{ trigger.files[0].file }}"}}
    client.workflows.deploy({"aicflow": 1, "name": "small", "triggers": [trigger], "nodes": [node]})
    answer = httpx2.post(f"{server.url}/hooks/small", files=[("f", ("s.bin", b"abc"))], timeout=60)
    assert (answer.status_code, answer.json()) == (200, None)


def test_a_file_that_is_too_large_for_the_operator_is_refused(tmp_path: Path) -> None:
    environment = {"AICFLOW_MAX_FILE_BYTES": "100000"}
    with running_server(tmp_path / "data", environment) as server, AICFlow(server.url, api_key=server.key) as client:
        trigger = {"id": "hook", "type": "trigger.webhook", "params": {"path": "take", "files_above": 0}}
        node = {"id": "a", "type": "data.set", "params": {"value": 1}}
        client.workflows.deploy({"aicflow": 1, "name": "take", "triggers": [trigger], "nodes": [node]})
        answer = httpx2.post(f"{server.url}/hooks/take", content=b"\0" * 200_000, headers={"Content-Type": "image/png"})
        assert answer.status_code == 413, answer.text
        assert "100,000 bytes" in answer.json()["detail"]
