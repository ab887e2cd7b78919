"""A worker in a process of its own: executions on a database, steered through a pipe. Small, so that it starts in a
moment; failpoints and a clock that can be moved are put around the product from outside."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aicflow.engine import EngineOptions, EnvironmentSecrets, Executions, Secrets
from aicflow.engine.builtins import GroupNode, MapNode, RepeatNode, WaitNode, WorkflowCall
from aicflow.engine.clock import SystemClock, follow
from aicflow.engine.native import NativeEngine
from aicflow.engine.plugin import aicflow_engines
from aicflow.events import event_type
from aicflow.kernel.clock import Clock
from aicflow.kernel.errors import AICFlowError
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.ports.store import Store
from aicflow.kernel.registry import Registry
from aicflow.store.sqlite import SQLiteStore

from tests.faults.databases import is_postgres, open_store
from tests.faults.nodes import LEDGER, NODES, TOKEN


@dataclass(frozen=True)
class Failpoint:
    """Kill (or stop) this process around the `nth` call of a store method. For `append`, only calls that carry an
    event of this type (and node) count."""

    method: str
    event: str | None = None
    node: str | None = None
    after: bool = False
    nth: int = 1
    signal: int = signal.SIGKILL


@dataclass(frozen=True)
class Spec:
    """What a worker is to be."""

    db: str
    ledger: str
    log: str
    shared: bool = False
    engine: str = "native"
    lease: float = 30.0
    grace: float = 5.0
    park_after: float = 0.02
    max_running: int = 2000
    busy_seconds: float = 5.0
    clock: str | None = None
    failpoint: Failpoint | None = None


class MovedClock:
    """Wall-clock time plus what a file says, so that a test can let the clock jump."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._time = time.time

    def now(self) -> float:
        return self._time() + float(self._path.read_text() or 0)


class Failing:
    """An execution store that dies at one place."""

    def __init__(self, inner: Any, point: Failpoint) -> None:
        self._inner = inner
        self._point = point
        self._seen = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name != self._point.method:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            hit = self._counts(args)
            if hit and not self._point.after:
                os.kill(os.getpid(), self._point.signal)
            result = await method(*args, **kwargs)
            if hit and self._point.after:
                os.kill(os.getpid(), self._point.signal)
            return result

        return call

    def _counts(self, args: tuple[Any, ...]) -> bool:
        point = self._point
        if point.event is not None:
            mark = f'"node_id":"{point.node}"'.encode() if point.node else b""
            events = args[2].events
            if not any(event_type(event) == point.event and mark in event for event in events):
                return False
        self._seen += 1
        return self._seen == point.nth


class Commands:
    """What a test may ask of the worker."""

    def __init__(self, executions: Executions, store: Store, connection: Connection) -> None:
        self._executions = executions
        self._store = store
        self._connection = connection
        self._tasks: set[asyncio.Task[None]] = set()
        self.quit = asyncio.Event()

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._read)

    def _read(self) -> None:
        try:
            while self._connection.poll():
                number, name, kwargs = self._connection.recv()
                task = asyncio.create_task(self._answer(number, name, kwargs))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (EOFError, OSError):
            os._exit(3)  # the test is gone

    async def _answer(self, number: int, name: str, kwargs: dict[str, Any]) -> None:
        try:
            result: Any = (number, True, await getattr(self, name)(**kwargs))
        except AICFlowError as error:
            result = (number, False, f"{type(error).__name__}: {error.message}")
        self._connection.send(result)

    async def save(self, workflow_id: str, document: dict[str, Any]) -> None:
        await self._store.workflows.create(workflow_id, document, now=time.time())

    async def start(self, workflow_id: str, input: Any = None, key: str | None = None) -> str:
        idempotency = Idempotency("test", key, "") if key is not None else None
        return (await self._executions.start(workflow_id, input, idempotency=idempotency)).execution_id

    async def cancel(self, execution_id: str) -> None:
        await self._executions.cancel(execution_id)

    async def resume(self, execution_id: str, **kwargs: Any) -> None:
        await self._executions.resume(execution_id, **kwargs)

    async def rerun(self, execution_id: str, **kwargs: Any) -> str:
        return (await self._executions.rerun(execution_id, **kwargs)).execution_id

    async def running(self) -> int:
        return self._executions.worker.running

    async def set_max_pages(self, pages: int) -> None:
        assert isinstance(self._store, SQLiteStore)
        await self._store._writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchall())  # type: ignore[union-attr]


async def work(spec: Spec, connection: Connection) -> None:
    """Open, serve commands until SIGTERM, close."""
    store = open_store(spec.db, shared=spec.shared, busy_seconds=spec.busy_seconds)
    await store.open()
    if spec.failpoint is not None:
        store.executions = Failing(store.executions, spec.failpoint)  # type: ignore[assignment]
    registry = Registry()
    for cls in (*NODES, WaitNode, WorkflowCall, MapNode, RepeatNode, GroupNode):
        registry.register(cls)
    engines = {"native": NativeEngine, **{one.name: one.create for one in aicflow_engines()}}
    options = EngineOptions(
        engine=spec.engine,
        lease=spec.lease,
        grace=spec.grace,
        park_after=spec.park_after,
        max_running=spec.max_running,
    )
    clock: Clock | None = MovedClock(spec.clock) if spec.clock is not None else None
    following = None
    if is_postgres(spec.db):
        if clock is not None:  # it is the machine's that is wrong: hosts go by the database's
            time.time = clock.now
        clock = SystemClock()
        following = await follow(clock, store)
    secrets = Secrets([EnvironmentSecrets({"AICFLOW_SECRET_TOKEN": TOKEN})])
    executions = Executions(
        store, registry, engines=engines, options=options, clock=clock, secrets=secrets, server_secret=b"fault" * 8
    )
    commands = Commands(executions, store, connection)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await executions.open()
    commands.listen()
    connection.send((0, True, "up"))
    await ended.wait()
    await executions.close()
    if following is not None:
        following.cancel()
    await store.close()
    if executions.worker.abandoned:
        os._exit(0)


def main(connection: Connection, spec: Spec) -> None:
    """The process."""
    os.environ[LEDGER] = spec.ledger
    logging.basicConfig(
        level=logging.INFO,
        handlers=[logging.FileHandler(spec.log)],
        format=f"%(asctime)s {os.getpid()} %(levelname)s %(name)s: %(message)s",
    )
    asyncio.run(work(spec, connection))
