"""A laboratory: an engine on a store, with node types whose behaviour a test can steer."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aicflow import Context, Exit, Node, Params, PermanentError, StartChild, TransientError, Wait, node
from aicflow.engine import EngineOptions, EnvironmentSecrets, Executions, Secrets, Started
from aicflow.engine.builtins import GroupNode, MapNode, RepeatNode, WaitNode, WorkflowCall
from aicflow.engine.plugin import aicflow_engines
from aicflow.events import decode_event
from aicflow.kernel.execution import Event, Execution
from aicflow.kernel.ports.store import Store
from aicflow.kernel.registry import Registry
from aicflow.store.memory import MemoryStore
from aicflow.store.sqlite import SQLiteStore


class Ledger:
    """What nodes did in the world outside: side effects by name, and gates that hold them."""

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.said: dict[str, Any] = {}
        self.taken: list[Any] = []
        self.calls: dict[str, int] = defaultdict(int)
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.entered: dict[str, asyncio.Event] = defaultdict(asyncio.Event)


def node_types(ledger: Ledger) -> list[Any]:
    """The laboratory's node types."""

    @node("lab.add", pure=True)
    async def add(n: int, by: int = 1) -> int:
        return n + by

    @node("lab.effect")
    async def effect(name: str) -> str:
        ledger.effects.append(name)
        return name

    @node("lab.hold")
    async def hold(ctx: Context, name: str = "hold") -> str:
        """Holds until the test opens the gate."""
        ledger.calls[name] += 1
        ledger.entered[name].set()
        await ledger.gates[name].wait()
        ledger.effects.append(name)
        return name

    @node("lab.deaf")
    async def deaf(name: str = "deaf") -> str:
        """Does not stop when it is told to."""
        ledger.entered[name].set()
        while not ledger.gates[name].is_set():
            with suppress(asyncio.CancelledError):
                await ledger.gates[name].wait()
        ledger.effects.append(name)
        return name

    @node("lab.block")
    def block(ctx: Context, seconds: float) -> str:
        """Blocks its thread, and looks now and then whether it should stop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not ctx.cancelled:
            time.sleep(0.005)
        return "stopped" if ctx.cancelled else "slept"

    @node("lab.block_and_tell")
    def block_and_tell(ctx: Context, lines: int) -> str:
        """Blocks its thread, and logs from there."""
        for i in range(lines):
            ctx.log(f"line {i}")
            ctx.emit({"line": i})
        return "told"

    @node("lab.fail")
    async def fail(ctx: Context, name: str = "fail", times: int = 1_000_000, kind: str = "transient") -> str:
        """Fails `times` times, then succeeds."""
        ledger.calls[name] += 1
        if ledger.calls[name] <= times:
            if kind == "transient":
                raise TransientError("not yet", hint="Wait a little.")
            if kind == "permanent":
                raise PermanentError("never", details={"line": 3, "excerpt": "boom()", "why": "because"})
            raise KeyError(kind)
        return f"attempt {ctx.attempt}"

    @node("lab.key")
    async def key(ctx: Context) -> str:
        ledger.effects.append(ctx.idempotency_key)
        if ctx.attempt == 1:
            raise TransientError("once more")
        return ctx.idempotency_key

    @node("lab.big", pure=True)
    async def big(size: int) -> str:
        return "x" * size

    @node("lab.tell")
    async def tell(ctx: Context, secret_name: str) -> str:
        value = ctx.secret(secret_name)
        ctx.log(f"the value is {value}", also=value)
        ctx.emit({"progress": 1})
        return f"I saw {value}"

    @node("lab.say")
    async def say(name: str) -> Any:
        """Returns what the test put there."""
        return ledger.said[name]

    @node("lab.take")
    async def take(value: Any) -> Any:
        """Keeps what it received, and returns it."""
        ledger.taken.append(value)
        return value

    @node("lab.ask")
    async def ask(ctx: Context, name: str) -> Any:
        """Asks a person to choose from what the test put there."""
        if ctx.answer is not None:
            return ctx.answer.value
        return Wait(answer_schema={"enum": [ledger.said[name]]}, message=f"Is it {ledger.said[name]}?")

    @node("lab.token")
    async def token(ctx: Context) -> str:
        """Fetches a token of its own."""
        ctx.mask("fetched-token")
        ctx.log("Bearer fetched-token")
        return "Bearer fetched-token"

    @node("lab.model")
    async def model(ctx: Context) -> None:
        """Calls nodes itself, as an author's code and for a model."""
        ledger.taken.append(await ctx.nodes.call("lab.say", {"name": "out"}))
        ledger.taken.append(await ctx.nodes.call("lab.say", {"name": "out"}, untrusted=True))
        try:
            await ctx.nodes.call("lab.fail_with", {"name": "why"}, untrusted=True)
        except PermanentError as error:
            ledger.taken.append(error.message)

    @node("lab.fail_with")
    async def fail_with(name: str) -> Any:
        raise PermanentError(f"it was {ledger.said[name]}", details={"seen": ledger.said[name]})

    @node("lab.schema_of")
    async def schema_of(ctx: Context, workflow: str) -> Any:
        """What a model would be shown of a call of the workflow."""
        return await ctx.nodes.params_schema("workflow.call", {"workflow": workflow})

    @node("lab.bad", pure=True)
    async def bad(what: str) -> int:
        if what == "type":
            return "not a number"  # type: ignore[return-value]
        if what == "exit":
            raise SystemExit(3)
        if what == "cancel":
            raise asyncio.CancelledError
        raise ValueError(what)

    @node("lab.anything", pure=True)
    async def anything(nan: bool = False) -> Any:
        return float("nan") if nan else object()

    class CallsParams(Params):
        workflow: str
        inputs: list[Any]
        detach: bool = False

    class Calls(Node[CallsParams, list[Any]]):
        """Calls a workflow for each input, one after the other, and keeps nothing itself."""

        type_id = "lab.calls"

        async def run(self, ctx: Context, params: CallsParams) -> list[Any] | StartChild:
            ledger.calls["calls"] += 1
            if len(ctx.children) < len(params.inputs):
                return StartChild(params.workflow, params.inputs[len(ctx.children)], detach=params.detach)
            ledger.entered["calls"].set()
            if "calls" in ledger.gates:
                await ledger.gates["calls"].wait()
            return [child["execution_id" if params.detach else "output"] for child in ctx.children]

    class AsksTwiceParams(Params):
        seconds: float | None = None

    class AsksTwice(Node[AsksTwiceParams, list[Any]]):
        """Asks, and asks again."""

        type_id = "lab.asks_twice"

        async def run(self, ctx: Context, params: AsksTwiceParams) -> list[Any] | Wait:
            ledger.calls["asks"] += 1
            if ctx.answer is None:
                return Wait(answer_schema=True, message="first", seconds=params.seconds)
            if ctx.answer.value == "first":
                return Wait(answer_schema=True, message="second")
            return [ctx.attempt, ctx.answer.value]

    class Reminds(Node[AsksTwiceParams, list[Any]]):
        """Asks, and asks the same again when no answer came in time."""

        type_id = "lab.reminds"

        async def run(self, ctx: Context, params: AsksTwiceParams) -> list[Any] | Wait:
            if ctx.answer is None:
                return Wait(answer_schema=True, seconds=params.seconds)
            if ctx.answer.kind == "timeout":
                return Wait(answer_schema=True, again=True)
            return [ctx.attempt, ctx.answer.value]

    class PickParams(Params):
        port: str

    class Pick(Node[PickParams, None]):
        """Leaves by the port it is told."""

        type_id = "lab.pick"
        ports = ("left", "right")
        pure = True

        async def run(self, ctx: Context, params: PickParams) -> Exit[None]:
            return Exit(params.port, None)

    return [
        schema_of,
        add,
        effect,
        hold,
        deaf,
        block,
        block_and_tell,
        fail,
        key,
        big,
        tell,
        say,
        take,
        ask,
        token,
        model,
        fail_with,
        bad,
        anything,
        Pick,
        Calls,
        AsksTwice,
        Reminds,
        WaitNode,
        WorkflowCall,
        MapNode,
        RepeatNode,
        GroupNode,
    ]


class Lab:
    """An engine on a store."""

    def __init__(self, store: Store, ledger: Ledger, options: EngineOptions) -> None:
        self.store = store
        self.ledger = ledger
        self.options = options
        self.registry = Registry()
        for cls in node_types(ledger):
            self.registry.register(cls)
        self._ids = itertools.count(1)
        self.observers: list[Any] = []
        self.environment = {"AICFLOW_SECRET_TOKEN": "s3cr3t-value"}
        self.executions = self.make()

    def make(self) -> Executions:
        """Another engine on the same store, as a host makes one when it starts."""
        return Executions(
            self.store,
            self.registry,
            engines={engine.name: engine.create for engine in aicflow_engines()},
            options=self.options,
            secrets=Secrets([EnvironmentSecrets(self.environment)]),
            observers=self.observers,
            server_secret=b"the same after a crash, as in a data folder",
        )

    async def workflow(self, nodes: Sequence[dict[str, Any]], edges: Sequence[str] = (), **more: Any) -> str:
        """Save a workflow; edges are written `"a > b"` or `"a port> b"`."""
        arrows = []
        for text in edges:
            left, right = text.split(">")
            source, _, port = left.strip().partition(" ")
            arrows.append({"from": source, "to": right.strip(), **({"port": port} if port else {})})
        workflow_id = f"wf{next(self._ids)}"
        document = {"aicflow": 1, "name": workflow_id, "nodes": list(nodes), "edges": arrows, **more}
        await self.store.workflows.create(workflow_id, document, now=time.time())
        return workflow_id

    async def start(
        self, nodes: Sequence[dict[str, Any]], edges: Sequence[str] = (), input: Any = None, **more: Any
    ) -> str:
        """Save a workflow and start it."""
        started: Started = await self.executions.start(await self.workflow(nodes, edges, **more), input)
        return started.execution_id

    async def end(self, execution_id: str, timeout: float = 20) -> Execution:
        """The execution once it has ended, as the store has it."""
        assert await self.executions.wait(execution_id, timeout) is not None, await self.executions.why(execution_id)
        return await self.store.executions.get(execution_id)

    async def run(
        self, nodes: Sequence[dict[str, Any]], edges: Sequence[str] = (), input: Any = None, **more: Any
    ) -> Execution:
        """Save a workflow, start it and wait for its end."""
        return await self.end(await self.start(nodes, edges, input, **more))

    async def until(self, execution_id: str, *statuses: str) -> Execution:
        """The execution as soon as it has one of these statuses."""
        async with asyncio.timeout(20):
            while (execution := await self.store.executions.get(execution_id)).status not in statuses:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return execution

    async def eventually(self, holds: Callable[[], Awaitable[Any]]) -> None:
        """Returns once it holds."""
        async with asyncio.timeout(20):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def waits(self, execution_id: str, call: int) -> None:
        """Returns once a step waits for the time of this number."""

        async def holds() -> bool:
            steps = await self.executions.steps(execution_id)
            return any((step.wait or {}).get("call") == call for step in steps)

        await self.eventually(holds)

    async def idle(self) -> None:
        """Returns once the worker holds no execution."""
        async with asyncio.timeout(20):
            while self.executions.worker.running:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def events(self, execution_id: str) -> list[Event]:
        """The execution's events; checks that they are what the log promises."""
        events = [decode_event(event) for event in await self.executions.events(execution_id)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        ends = [event for event in events if event.type.split(".")[1] in ("succeeded", "failed", "cancelled")]
        assert len([event for event in ends if event.type.startswith("execution.")]) <= 1
        return events

    async def types(self, execution_id: str) -> list[str]:
        """The events in short: `step.started a`."""
        return [" ".join(filter(None, (event.type, event.node_id))) for event in await self.events(execution_id)]

    async def crash(self) -> Executions:
        """The host goes away without a word; another one starts on the same store."""
        worker = self.executions._worker
        for task in [*worker._loops, *worker._tasks]:
            task.cancel()
        await asyncio.gather(*worker._loops, *worker._tasks, return_exceptions=True)
        self.executions = self.make()
        await self.store.executions.reclaim(self.executions.worker.id)
        await self.executions.open()
        return self.executions


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Both stores."""
    made: Any = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "lab.db")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def options() -> EngineOptions:
    """Short times, so that stories are quick."""
    return EngineOptions(engine="native", cancel_grace=0.1, park_after=0.05, grace=0.2)


@pytest.fixture
async def lab(store: Store, options: EngineOptions) -> AsyncIterator[Lab]:
    """An open laboratory."""
    made = Lab(store, Ledger(), options)
    await made.executions.open()
    yield made
    for gate in made.ledger.gates.values():
        gate.set()
    await made.executions.close()
