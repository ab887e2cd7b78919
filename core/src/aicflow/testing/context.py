"""Running one node by itself: a context that records, and `run_node`."""

from __future__ import annotations

import asyncio
import inspect
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aicflow.kernel.context import Answer, Files, LogLevel, StateEntry
from aicflow.kernel.errors import NodeError, NotFound, PermanentError
from aicflow.kernel.node import Exit, NodeType, StartChild, Wait, output_adapter
from aicflow.language.params import checked_params

if TYPE_CHECKING:
    from aicflow.engine.masking import Mask


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a node logged."""

    level: LogLevel
    message: str
    fields: Mapping[str, Any]


class NodeTable:
    """A `NodeCaller` over a handful of node types."""

    def __init__(self, types: Iterable[NodeType] = (), context: RecordingContext | None = None) -> None:
        self._types = {cls.type_id: cls for cls in types}
        self._context = context

    def describe(self, type_id: str) -> Mapping[str, Any]:
        """As `Context.nodes.describe`. Raises NotFound."""
        cls = self._types.get(type_id)
        if cls is None:
            raise NotFound("node type", type_id)
        return {
            "type_id": type_id,
            "description": inspect.getdoc(cls) or "",
            "params_schema": cls.params_schema(),
            "output_schema": cls.output_schema(),
        }

    async def params_schema(self, type_id: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `Context.nodes.params_schema`, without workflows. Raises NotFound."""
        schema: Mapping[str, Any] = self.describe(type_id)["params_schema"]
        return schema

    async def call(self, type_id: str, params: Mapping[str, Any], *, untrusted: bool = False) -> Any:
        """As `Context.nodes.call`: the output as JSON. Raises NotFound, NodeError."""
        cls = self._types.get(type_id)
        if cls is None:
            raise NotFound("node type", type_id)
        context = self._context
        if untrusted and context is not None:
            context = replace(context, untrusted=True)  # lists of logs and deltas stay the same ones
        try:
            result = await run_node(cls, params, context=context)
        except NodeError as error:
            if untrusted and context is not None:
                error.message, error.hint = context.redact(error.message), error.hint and context.redact(error.hint)
            raise
        if isinstance(result, Wait | StartChild):
            raise PermanentError(f"{type_id} waits, which a tool cannot do.")
        output = result.output if isinstance(result, Exit) else result
        return context.redact_value(output) if untrusted and context is not None else output


class RecordingState:
    """What a workflow keeps, in a dictionary: `entries` by key."""

    def __init__(self) -> None:
        self.entries: dict[str, StateEntry] = {}

    async def get(self, key: str) -> StateEntry | None:
        """As `Context.state.get`."""
        return self.entries.get(key)

    async def put(
        self, key: str, value: Any, *, lifetime: float | None = None, version: int | None = None
    ) -> StateEntry:
        """As `Context.state.put`. Raises PermanentError (`state-changed`)."""
        before = self._at(key, version)
        expires_at = None if lifetime is None else time.time() + lifetime
        self.entries[key] = StateEntry(key, value, before + 1, time.time(), expires_at)
        return self.entries[key]

    async def add(self, key: str, by: float, *, lifetime: float | None = None) -> StateEntry:
        """As `Context.state.add`."""
        before = self.entries[key].value if key in self.entries else 0
        return await self.put(key, before + by, lifetime=lifetime)

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """As `Context.state.delete`. Raises PermanentError (`state-changed`)."""
        self._at(key, version)
        return self.entries.pop(key, None) is not None

    def _at(self, key: str, version: int | None) -> int:
        current = self.entries[key].version if key in self.entries else 0
        if version not in (None, current):
            raise PermanentError(f"The state {key!r} is at version {current}, not {version}.", code="state-changed")
        return current


def temporary_files() -> Files:
    """Files in a folder that is gone with them."""
    from aicflow.engine import files as engine
    from aicflow.engine.clock import SystemClock
    from aicflow.store.contents import TemporaryContents
    from aicflow.store.tables.files import TableFiles

    async def commit() -> None:
        """Nothing is kept longer than the test."""

    contents = TemporaryContents()
    files = engine.StepFiles(engine.Files(TableFiles(commit, {}), contents, SystemClock()), "ex_test")
    weakref.finalize(files, contents.close)
    return files


@dataclass
class RecordingContext:
    """A context that keeps what the node said, for tests. Secrets come from the given mapping."""

    execution_id: str = "ex_test"
    workflow_id: str = "wf_test"
    traceparent: str | None = None
    node_id: str = "node"
    attempt: int = 1
    idempotency_key: str = "ex_test:node"
    answer: Answer | None = None
    children: tuple[Mapping[str, Any], ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    types: tuple[NodeType, ...] = ()
    logs: list[LogLine] = field(default_factory=list)
    deltas: list[Any] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    cancelled: bool = False
    untrusted: bool = False
    files: Files = field(default_factory=temporary_files)

    def __post_init__(self) -> None:
        self.nodes = NodeTable(self.types, self)
        self.state = RecordingState()

    def log(self, message: str, *, level: LogLevel = "info", **fields: Any) -> None:
        """Record a log line."""
        self.logs.append(LogLine(level, message, fields))

    def emit(self, delta: Any) -> None:
        """Record a delta."""
        self.deltas.append(delta)

    def secret(self, name: str) -> str:
        """The secret's value. Raises PermanentError when it was not given."""
        if name not in self.secrets:
            raise PermanentError(f"There is no secret {name!r}.")
        return self.secrets[name]

    async def fetch_secret(self, name: str) -> str:
        """As `secret`."""
        return self.secret(name)

    def signing_key(self, purpose: str) -> bytes:
        """A key for the purpose."""
        return purpose.encode().ljust(32, b"-")[:32]

    def mask(self, value: str) -> None:
        """Record a value that is to be hidden."""
        self.masked.append(value)

    def redact(self, text: str) -> str:
        """The text without its secrets and what the node masked."""
        return self._mask().text(text)

    def redact_value(self, value: Any) -> Any:
        """As `redact`, for JSON data."""
        return self._mask().value(value)

    def _mask(self) -> Mask:
        from aicflow.engine.masking import Mask

        return Mask([*self.secrets.values(), *self.masked])


async def run_node(
    cls: NodeType, params: Mapping[str, Any], *, context: RecordingContext | None = None, instance: Any = None
) -> Any:
    """Run one attempt of a node as the engine does: params through the model, output through its type, as JSON.

    Gives the output, an `Exit` with the output as JSON, a `Wait` or a `StartChild`. Raises ParamsInvalid and whatever
    the node raises. Without `instance`, a fresh one is started and stopped around the call.
    """
    checked = checked_params(cls.params_model, params)
    node = instance or cls()
    if instance is None:
        await node.start()
    try:
        ctx = context or RecordingContext()
        if inspect.iscoroutinefunction(node.run):
            result = await node.run(ctx, checked)
        else:
            result = await asyncio.to_thread(node.run, ctx, checked)
    finally:
        if instance is None:
            await node.stop()
    if isinstance(result, Wait | StartChild):
        return result
    adapter = output_adapter(cls.output_type)
    if isinstance(result, Exit):
        return Exit(result.port, adapter.dump_python(adapter.validate_python(result.output), mode="json"))
    return adapter.dump_python(adapter.validate_python(result), mode="json")
