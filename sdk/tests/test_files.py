"""Files with both clients: streamed up and down, gone on with where they broke off, taken by executions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aicflow_sdk import AICFlow, Conflict, ConnectionFailed, NotFound, Retry, StoredFile, UnexpectedReply, Workflow
from aicflow_sdk.blocking import run
from aicflow_sdk.messages import Reply, Request
from aicflow_sdk.resources.files import AsyncFiles
from aicflow_sdk.session import Session
from sdk_kit import Server, opened

DATA = bytes(range(256)) * 8_000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Any]:
    with opened(request.param, server.url, server.key) as made:
        yield made


def pieces() -> Iterator[bytes]:
    for start in range(0, len(DATA), 70_000):
        yield DATA[start : start + 70_000]


@pytest.mark.parametrize("source", ["path", "bytes", "stream", "iterable"])
def test_a_file_goes_up_and_comes_down(client: Any, source: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(DATA)
    given: Any = {"path": path, "bytes": DATA, "stream": io.BytesIO(DATA), "iterable": pieces()}[source]
    file = client.files.upload(given, name="data.csv", type="text/csv")
    assert isinstance(file, StoredFile)
    assert (file.sha256, file.size, file.type, file.name) == (SHA, len(DATA), "text/csv", "data.csv")
    assert client.files.read(file) == DATA
    folder = tmp_path / "down"
    folder.mkdir()
    saved = client.files.download(file.file, folder)
    assert (saved, saved.read_bytes()) == (folder / "data.csv", DATA)
    assert client.files.download(SHA, folder / "other.csv").read_bytes() == DATA
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "other.csv"]


def test_an_execution_takes_what_was_uploaded(client: Any, tmp_path: Path) -> None:
    wf = Workflow("takes a file")
    wf.if_else(wf.input.orders.size > 0, "any")
    wf.output = wf.input.orders
    saved = client.workflows.deploy(wf)
    file = client.files.upload(b"id\n1\n", name="orders.csv")
    assert client.executions.run(saved.id, {"orders": file}).output == file.file
    with pytest.raises(Conflict):
        client.files.delete(file)
    assert file.sha256 in [one.sha256 for one in client.files.list()]
    unused = client.files.upload(b"unused")
    client.files.delete(unused)
    with pytest.raises(NotFound):
        client.files.read(unused)
    with pytest.raises(NotFound):
        client.files.download(unused, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Line:
    """A transport that breaks off after some bytes, each time."""

    def __init__(self, data: bytes, *breaks: int) -> None:
        self.data, self.breaks = data, list(breaks)
        self.asked: list[str] = []

    async def receive(self, request: Request, write: Callable[[bytes], object]) -> Reply:
        wanted = request.headers.get("range", "")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(self.data):
            return Reply(416, {}, b"")
        if self.breaks:
            write(self.data[start : self.breaks.pop(0)])
            raise ConnectionFailed("It broke off.", sent=True)
        write(self.data[start:])
        return Reply(206, {"content-disposition": "attachment; filename*=UTF-8''..%2F..%2Fx.csv"}, b"")

    async def sleep(self, seconds: float) -> None:
        """At once."""


def downloaded(line: Line, to: Path | None = None) -> Any:
    files = AsyncFiles(Session(line, Retry(attempts=2)))  # type: ignore[arg-type]
    return run(files.read(SHA)) if to is None else run(files.download(SHA, to))


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    line = Line(DATA, 10, 500_000, 1_000_000)  # more breaks than tries: each brought it on
    assert downloaded(line) == DATA
    assert line.asked == ["", "bytes=10-", "bytes=500000-", "bytes=1000000-"]
    dead = Line(DATA, 600_000, 600_000, 600_000)
    with pytest.raises(ConnectionFailed):
        downloaded(dead, tmp_path)
    again = Line(DATA)
    saved = downloaded(again, tmp_path)
    assert again.asked == ["bytes=600000-"]
    assert (saved, saved.read_bytes()) == (tmp_path / "x.csv", DATA)
    (tmp_path / f".{SHA}.part").write_bytes(DATA)
    assert downloaded(Line(DATA), tmp_path / "whole").read_bytes() == DATA


def test_what_is_damaged_on_the_way_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / f".{SHA}.part").write_bytes(b"rubbish")
    with pytest.raises(UnexpectedReply, match="not the file"):
        downloaded(Line(DATA), tmp_path)
    assert downloaded(Line(DATA), tmp_path).read_bytes() == DATA


def test_an_upload_is_sent_again_from_its_beginning(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with AICFlow(server.url, server.key, retry=Retry(initial=0)) as client:
        send, tries = client._transport.http.request, []

        def broken(**arguments: Any) -> Any:
            tries.append(b"".join(arguments["content"]) if len(tries) == 0 else None)
            if len(tries) == 1:
                raise __import__("httpx2").ReadError("It broke off.")
            return send(**arguments)

        monkeypatch.setattr(client._transport.http, "request", broken)
        assert client.files.upload(io.BytesIO(DATA)).sha256 == SHA
        assert tries == [DATA, None]
