"""A real host on a loopback port, in a thread of this process, with a few node and trigger types of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from aicflow import Context, Node, Output, Params, Trigger, TriggerRuntime, node
from aicflow.engine import EngineOptions
from aicflow.host.app import create_app
from aicflow.host.connections import ConnectionLimits
from aicflow.host.plugins import Plugins
from aicflow.host.serve import HostServer, make_server
from aicflow.host.settings import Settings
from aicflow.host.wiring import installed_plugins
from aicflow.kernel.trigger import Binding


@node("test.echo", pure=True)
async def echo(value: Any = None) -> Any:
    """Give back the value.

    Whatever it is.
    """
    return value


class Hold(Params):
    name: str = "gate"


class Held(Output):
    opened: bool


class Gate(Node[Hold, Held]):
    """Hold until the test opens the gate."""

    type_id = "test.gate"
    gates: ClassVar[dict[str, threading.Event]] = {}

    async def run(self, ctx: Context, params: Hold) -> Held:
        gate = self.gates.setdefault(params.name, threading.Event())
        while not gate.is_set():
            ctx.emit({"holding": params.name})
            await asyncio.sleep(0.01)
        return Held(opened=True)


class Chatter(Params):
    lines: int
    size: int = 1000


@node("test.chatter")
async def chatter(ctx: Context, lines: int, size: int = 1000) -> int:
    """Log many lines."""
    for number in range(lines):
        ctx.log(f"{number} " + "x" * size)
        if number % 20 == 0:
            await asyncio.sleep(0)
    return lines


class Bell(Params):
    tone: str = "a"
    broken: bool = False


class Ring(Trigger[Bell, dict[str, Any]]):
    """A trigger that the test rings."""

    type_id = "test.bell"
    seen: ClassVar[list[tuple[str, str, int, bool]]] = []

    async def start(self, runtime: TriggerRuntime) -> None:
        self.runtime = runtime
        self.bound: dict[str, Binding] = {}

    async def activate(self, binding: Binding, params: Bell) -> None:
        if params.broken:
            raise RuntimeError("the bell is cracked")
        self.bound[binding.id] = binding
        self.seen.append(("activate", binding.id, binding.version, binding.paused))

    async def deactivate(self, binding: Binding) -> None:
        del self.bound[binding.id]
        self.seen.append(("deactivate", binding.id, binding.version, binding.paused))

    @classmethod
    def conflict(cls, params: Bell, other: Bell) -> str | None:
        return f"two bells have the tone {params.tone!r}" if params.tone == other.tone else None

    def next_fires(self, params: Bell, *, count: int, after: float) -> list[dict[str, Any]]:
        return [{"at": after + number} for number in range(count)]


@dataclass
class Host:
    """A running host and a client for it."""

    url: str
    key: str
    server: HostServer
    loop: asyncio.AbstractEventLoop
    settings: Settings
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx2.Client(
            base_url=self.url + "/api/v1", headers={"authorization": f"Bearer {self.key}"}, timeout=20
        )

    @property
    def runtime(self) -> Any:
        return self.server._app.state.runtime

    def bare(self, **headers: str) -> httpx2.Client:
        """A client with these headers only."""
        return httpx2.Client(base_url=self.url + "/api/v1", headers=headers, timeout=20)

    def do(self, coroutine: Any) -> Any:
        """Run something on the host's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def save(self, document: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        """Save a workflow."""
        answer = self.client.post("/workflows", json=document, params=query)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def start(self, workflow_id: str, input: Any = None, *, wait: float | None = 10) -> dict[str, Any]:
        """Start an execution, and by default wait for its end."""
        params = {"wait": wait} if wait is not None else {}
        answer = self.client.post("/executions", json={"workflow_id": workflow_id, "input": input}, params=params)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def stored(self) -> tuple[int, int]:
        """How many workflows and executions there are."""
        executions = self.client.get("/executions", params={"limit": 200}).json()["data"]
        return len(self.client.get("/workflows", params={"limit": 200}).json()["data"]), len(executions)

    def until(self, condition: Callable[[], Any], what: str = "it") -> Any:
        """Wait for something to become true."""
        for _ in range(1000):
            value = condition()
            if value:
                return value
            time.sleep(0.01)
        raise AssertionError(f"{what} did not happen")


def test_plugins() -> Plugins:
    """Our own plugins and the types above, without what happens to be installed."""
    plugins = installed_plugins(found=())
    for cls in (echo, Gate, chatter, Ring):
        plugins.registry.register(cls)
    return plugins


test_plugins.__test__ = False  # type: ignore[attr-defined]


@contextmanager
def run_host(
    data_dir: Path,
    *,
    plugins: Plugins | None = None,
    store: str | None = None,
    limits: ConnectionLimits | None = None,
    running: int = 2000,
    **more: Any,
) -> Iterator[Host]:
    """A host until the block ends. It runs so many executions at once, which may be none."""
    more.setdefault("rate_wrong_keys", "100000/m")  # tests try many, all from one address
    settings = Settings(data_dir=data_dir, port=0, store=store, engine="native", grace=2, **more)
    options = EngineOptions(engine="native", grace=2, threads=4, max_running=running)
    app = create_app(settings, plugins=plugins or test_plugins(), options=options)
    said: list[str] = []
    server = make_server(settings, say=said.append, app=app, limits=limits, loop="asyncio")
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while server.url is None:
        assert thread.is_alive(), f"the host did not start: {app.state.start_error}"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    key = (data_dir / "admin.key").read_text().strip()
    host = Host(server.url, key, server, loops[0], settings)
    try:
        yield host
    finally:
        for gate in Gate.gates.values():
            gate.set()
        host.client.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the host did not stop"


@pytest.fixture
def new_host(tmp_path: Path) -> Callable[..., Any]:
    """Start hosts on this test's data folder."""
    return lambda **more: run_host(tmp_path / "data", **more)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for a file of tests, with a store in memory."""
    with run_host(tmp_path_factory.mktemp("data"), store="memory://") as running:
        yield running


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """The gate of `test.gate`, closed."""
    Gate.gates["gate"] = threading.Event()
    yield Gate.gates["gate"]
    Gate.gates["gate"].set()


ECHO = {
    "aicflow": 1,
    "name": "echo",
    "nodes": [{"id": "say", "type": "test.echo", "params": {"value": "${{ input }}"}}],
    "output": "${{ nodes.say.output }}",
}
GATE = {"aicflow": 1, "name": "gate", "nodes": [{"id": "hold", "type": "test.gate"}]}


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer tells; checks that it is one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:aicflow:problem:{code}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"]
    assert body["title"]
    assert isinstance(body["errors"], list)
    return body
