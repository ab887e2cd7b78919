"""What the tests share: real servers, a server that misbehaves by script, and a proxy that cuts streams."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aicflow_sdk import AICFlow, AsyncAICFlow

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}
COMMAND = str(Path(sys.executable).with_name("aicflow"))


@dataclass
class Server:
    """A running `aicflow serve`."""

    url: str
    key: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which the SDK finds this server by itself."""
        return {**CLEAN, "AICFLOW_DATA_DIR": str(self.data_dir)}


@contextlib.contextmanager
def serve(data_dir: Path, *, port: int = 0, **environ: str) -> Iterator[Server]:
    """A real server in a process of its own, until the block ends."""
    (data_dir / "server.json").unlink(missing_ok=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    log = (data_dir / "serve.log").open("wb")
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", str(port), "--data-dir", str(data_dir)],
        env={**CLEAN, **environ},
        stdout=log,
        stderr=log,
    )
    try:
        deadline = time.monotonic() + 60
        while not (data_dir / "server.json").exists():
            said = (data_dir / "serve.log").read_text()
            assert process.poll() is None, f"the server ended: {said}"
            assert time.monotonic() < deadline, f"the server did not start: {said}"
            time.sleep(0.02)
        url = json.loads((data_dir / "server.json").read_text())["url"]
        yield Server(url, (data_dir / "admin.key").read_text().strip(), data_dir, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@dataclass
class Heard:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


type Behaviour = Callable[[socket.socket, Heard], None]


@dataclass
class FaultServer:
    """Answers each request with the next behaviour of its script; keeps what it heard."""

    script: list[Behaviour] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            line = stream.readline().decode()
            if not line:
                return
            method, path, _ = line.split()
            headers: dict[str, str] = {}
            while line := stream.readline().decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            heard = Heard(method, path, headers, body)
            self.heard.append(heard)
            behave = self.script.pop(0) if self.script else answer(500, b"the script has ended")
            behave(connection, heard)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Stop."""
        _stop_listening(self._socket)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(5)


def answer(status: int, body: bytes | Mapping[str, Any] = b"", **headers: str) -> Behaviour:
    """Answer so; an object is sent as JSON."""
    kind = "application/json"
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    elif body:
        kind = "text/html"
    given = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}

    def behave(connection: socket.socket, _: Heard) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in given.items())
        connection.sendall(head.encode() + b"\r\n" + body)

    return behave


def problem(status: int, code: str, detail: str = "no", **more: Any) -> Behaviour:
    """Answer with a problem document."""
    headers = {name: more.pop(name) for name in ("retry_after", "x_request_id") if name in more}
    body = {
        "type": f"urn:aicflow:problem:{code}", "title": "t", "status": status, "detail": detail, "request_id": "rq_1",
        "errors": [], **more,
    }  # fmt: skip
    return answer(status, body, **{"content_type": "application/problem+json", **headers})


def cut(connection: socket.socket, _: Heard) -> None:
    """Reset the connection without an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def half(connection: socket.socket, _: Heard) -> None:
    """Promise more than comes."""
    connection.sendall(b'HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"id": "w')


def silence(until: threading.Event) -> Behaviour:
    """Say nothing before the event."""

    def behave(connection: socket.socket, _: Heard) -> None:
        until.wait(20)

    return behave


class CuttingProxy:
    """Hands bytes on to a server and back; `cuts` says after how many bytes of an answer each connection breaks."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._target = (host, int(port))
        self._cuts: queue.SimpleQueue[int] = queue.SimpleQueue()
        for count in cuts:
            self._cuts.put(count)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                budget = self._cuts.get_nowait()
            except queue.Empty:
                budget = -1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            self._spawn(self._pump, client, server, -1)
            self._spawn(self._pump, server, client, budget)

    def _pump(self, source: socket.socket, target: socket.socket, budget: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if 0 <= budget < len(data):
                    target.sendall(data[:budget])
                    break
                budget -= len(data) if budget >= 0 else 0
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop, and break what is open."""
        _stop_listening(self._socket)
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in self._open:
            one.close()


def _stop_listening(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
    listener.close()


def copied(folder: Path, to: Path) -> Path:
    """A copy of a folder to work in."""
    return Path(shutil.copytree(folder, to, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")))


class Blocking:
    """An async client with the manners of the blocking one, so that a story is told once for both."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._target = target
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name in RESOURCES:
            return Blocking(found, self._loop)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            given = found(*args, **kwargs)
            if inspect.isawaitable(given):
                return self._loop.run_until_complete(given)
            return _Iterated(given, self._loop)

        return call


RESOURCES = (
    "workflows",
    "executions",
    "node_types",
    "trigger_types",
    "plugins",
    "triggers",
    "files",
    "api_keys",
    "workers",
)


class _Iterated:
    def __init__(self, items: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._items = items
        self._loop = loop
        self._iterator: Any = None

    def __iter__(self) -> _Iterated:
        self._iterator = aiter(self._items)
        return self

    def __next__(self) -> Any:
        try:
            return self._loop.run_until_complete(anext(self._iterator))
        except StopAsyncIteration:
            raise StopIteration from None

    def page(self, cursor: str | None = None) -> Any:
        return self._loop.run_until_complete(self._items.page(cursor))

    def __enter__(self) -> _Iterated:
        return iter(self)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._loop.run_until_complete(self._items.aclose())


@contextlib.contextmanager
def opened(kind: str, url: str, key: str, **options: Any) -> Iterator[Any]:
    """A client of this kind, `sync` or `async`, to be used in the same way."""
    if kind == "sync":
        with AICFlow(url, key, **options) as client:
            yield client
        return
    loop = asyncio.new_event_loop()
    client = AsyncAICFlow(url, key, **options)
    try:
        yield Blocking(client, loop)
    finally:
        loop.run_until_complete(client.aclose())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
