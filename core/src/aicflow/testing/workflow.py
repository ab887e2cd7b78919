"""Testing a workflow: run it in memory, with chosen nodes replaced by fakes, and look at every step."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow.engine import EngineOptions, Secrets
from aicflow.events import decode_event
from aicflow.host.wiring import installed_plugins, make_executions
from aicflow.kernel.context import Context
from aicflow.kernel.errors import WorkflowInvalid
from aicflow.kernel.execution import Event, FailureReport, Step
from aicflow.kernel.node import Node, NodeType, Params
from aicflow.language.validation import validate
from aicflow.store.memory import MemoryStore

_BODIES: Final = ("map", "repeat", "group")

type Fake = Callable[[dict[str, Any]], Any] | Any
"""What a node gives instead of running: a value, or a function of its resolved params. An `Exit` chooses the port;
an exception fails the step."""


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """How an execution ended. `calls` are the resolved params that each fake was called with, in order."""

    status: str
    output: Any
    error: FailureReport | None
    steps: Mapping[str, Step]
    events: tuple[Event, ...]
    calls: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    def ran(self) -> list[str]:
        """Ids of the nodes that ran, in the order they began."""
        return [step.node_id for step in self.steps.values() if step.status not in ("skipped", "cancelled")]


class _FakeParams(Params):
    ports: list[str]
    params: dict[str, Any]


async def run_workflow(
    document: Mapping[str, Any],
    input: Any = None,
    *,
    fakes: Mapping[str, Fake] | None = None,
    nodes: Iterable[NodeType] = (),
    secrets: Mapping[str, str] | None = None,
    engine: str = "native",
    timeout: float = 30.0,
) -> WorkflowResult:
    """Run a workflow once, in memory, and give what happened.

    `fakes` replace nodes by their ids, `nodes` are node types besides the installed ones, `secrets` are what
    `secrets.NAME` gives. The document is checked first: raises WorkflowInvalid, InputInvalid, and TimeoutError when
    the execution does not end in time (a step that waits for an answer never does).
    """
    fakes = fakes or {}
    plugins = installed_plugins()
    for cls in nodes:
        plugins.registry.register(cls)
    issues = validate(document, plugins.registry)
    if any(issue.severity == "error" for issue in issues):
        raise WorkflowInvalid(issues)
    unknown = set(fakes) - {entry["id"] for part in _parts(document) for entry in part["nodes"]}
    if unknown:
        raise ValueError(f"There is no node {sorted(unknown)[0]!r} to fake.")
    calls: dict[str, list[dict[str, Any]]] = {}
    plugins.registry.register(_fake_type(fakes, calls))
    store = MemoryStore()
    await store.open()
    executions = make_executions(
        plugins, store, EngineOptions(engine=engine, grace=0.5), secrets=Secrets([_Given(secrets)]) if secrets else None
    )
    await executions.open()
    try:
        await store.workflows.create("test", _with_fakes(document, fakes), now=time.time())
        started = await executions.start("test", input)
        execution = await executions.wait(started.execution_id, timeout)
        if execution is None:
            raise TimeoutError(await executions.why(started.execution_id))
        steps = {step.node_id: step for step in await executions.steps(started.execution_id)}
        events = tuple(decode_event(event) for event in await executions.events(started.execution_id))
        return WorkflowResult(execution.status, execution.output, execution.error, steps, events, calls)
    finally:
        await executions.close()
        await store.close()


def _body(entry: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The nodes inside of a node, with the key that they stand under."""
    return next(((kind, entry[kind]) for kind in _BODIES if entry.get(kind) is not None), None)


def _parts(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The document, or a body, and all bodies inside."""
    yield part
    for body in filter(None, map(_body, part["nodes"])):
        yield from _parts(body[1])


def _with_fakes(document: Mapping[str, Any], fakes: Mapping[str, Fake]) -> dict[str, Any]:
    """The document with faked nodes of the fake type; their params stay, so that references are still resolved."""
    ports: dict[str, list[str]] = {}
    for edge in document.get("edges", ()):
        ports.setdefault(edge["from"], []).append(edge.get("port", "main"))
    entries = []
    for entry in document["nodes"]:
        if entry["id"] in fakes:
            known = [port for port in dict.fromkeys(["main", *ports.get(entry["id"], ())]) if port != "error"]
            entry = {key: value for key, value in entry.items() if key not in ("version", *_BODIES)}
            entry |= {"type": "testing.fake", "params": {"ports": known, "params": entry.get("params", {})}}
        elif (body := _body(entry)) is not None:
            entry = {**entry, body[0]: _with_fakes(body[1], fakes)}
        entries.append(entry)
    return {**document, "nodes": entries}


def _fake_type(fakes: Mapping[str, Fake], calls: dict[str, list[dict[str, Any]]]) -> NodeType:
    class FakeNode(Node[_FakeParams, Any]):
        """Gives what the test says."""

        type_id = "testing.fake"

        async def run(self, ctx: Context, params: _FakeParams) -> Any:
            node_id = ctx.node_id.rpartition(".")[2]  # `each[17].get` is the node `get`
            calls.setdefault(node_id, []).append(params.params)
            fake = fakes[node_id]
            result = fake(params.params) if callable(fake) else fake
            if inspect.isawaitable(result):
                result = await result
            if isinstance(result, Exception):
                raise result
            return result

        @classmethod
        def ports_for(cls, params: Mapping[str, Any]) -> tuple[str, ...]:
            return tuple(params["ports"])

    return FakeNode


class _Given:
    """Secrets from a mapping."""

    name = "the test"

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    async def get(self, secret: str) -> str | None:
        return self._values.get(secret)

    async def names(self) -> list[str]:
        return sorted(self._values)
