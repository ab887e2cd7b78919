"""The context that a running step is given."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

from aicflow.engine.files import StepFiles
from aicflow.engine.masking import Mask
from aicflow.engine.nodes.disabled import node_type_disabled
from aicflow.engine.nodes.outputs import as_json
from aicflow.engine.nodes.pool import NodePool
from aicflow.engine.nodes.state import StepState
from aicflow.engine.options import EngineOptions
from aicflow.engine.sealing import Seal, Vault
from aicflow.engine.secrets import Secrets
from aicflow.kernel.context import Answer, LogLevel
from aicflow.kernel.errors import NodeError, NotFound, PermanentError
from aicflow.kernel.node import Exit, NodeType, StartChild, Wait
from aicflow.kernel.ports.workflows import StateStore, WorkflowStore
from aicflow.kernel.registry import Registry
from aicflow.kernel.values import dumps
from aicflow.language.params import checked_params
from aicflow.language.schema import Bundle, SchemaView


class StepRun(Protocol):
    """What calling a node needs of the execution that its step belongs to."""

    execution_id: str
    workflow_id: str
    traceparent: str | None
    nodes: NodePool
    registry: Registry
    secrets: Secrets
    workflows: WorkflowStore
    state: StateStore
    files: StepFiles
    options: EngineOptions
    mask: Mask
    seal: Seal
    vault: Vault
    used: set[NodeType]
    """Node types to release when the execution ends."""

    def add_event(self, event_type: str, node_id: str, attempt: int, data: bytes | Mapping[str, Any]) -> None: ...

    def emit(self, node_id: str, attempt: int, delta: Any) -> None: ...


class StepContext:
    """One attempt of one step, as its node sees it. It also is the `nodes` caller, which agents use for tools."""

    __slots__ = (
        "_calls",
        "_loop",
        "_run",
        "_state",
        "answer",
        "attempt",
        "cancelled",
        "children",
        "idempotency_key",
        "node_id",
        "untrusted",
    )

    def __init__(
        self,
        run: StepRun,
        node_id: str,
        attempt: int,
        answer: Answer | None,
        children: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._run = run
        self.node_id = node_id
        self.attempt = attempt
        self.answer = answer
        self.children = tuple(children)
        self.idempotency_key = f"{run.execution_id}:{node_id}"
        self.cancelled = False
        self.untrusted = False
        self._calls = 0
        self._state: StepState | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def state(self) -> StepState:
        """What the workflow keeps between its executions."""
        if self._state is None:
            run = self._run
            self._state = StepState(
                run.state, run.vault, run.workflow_id, run.execution_id, self.idempotency_key, run.options.max_state
            )
        return self._state

    @property
    def files(self) -> StepFiles:
        """The contents of files."""
        return self._run.files

    def enter_thread(self) -> None:
        """From now on it is used in another thread than the event loop's."""
        self._loop = asyncio.get_running_loop()

    def _on_loop(self, call: Callable[..., None], *args: Any) -> None:
        if self._loop is None:
            call(*args)
            return
        with suppress(RuntimeError):  # the loop is closed: nothing listens any more
            self._loop.call_soon_threadsafe(call, *args)

    def cancel(self) -> None:
        """Say that this attempt should stop."""
        self.cancelled = True

    @property
    def execution_id(self) -> str:
        return self._run.execution_id

    @property
    def traceparent(self) -> str | None:
        return self._run.traceparent

    @property
    def workflow_id(self) -> str:
        return self._run.workflow_id

    @property
    def nodes(self) -> StepContext:
        return self

    def log(self, message: str, *, level: LogLevel = "info", **fields: Any) -> None:
        """Keep a line in the execution's history. Over the limit it is cut, with a marker."""
        limit = self._run.options.log_limit
        message = self.redact(message)  # before it is cut
        data: dict[str, Any] = {"level": level, "message": message}
        if len(message) > limit:
            data["message"], data["truncated"] = message[:limit], len(message)
        if fields:
            data["fields"] = fields
        try:
            body = dumps(data)
        except ValueError:
            body = dumps({**data, "fields": {key: repr(value) for key, value in fields.items()}})
        if len(body) > 4 * limit:
            body = dumps({**data, "fields": {}, "truncated": len(body)})
        self._on_loop(self._run.add_event, "step.log", self.node_id, self.attempt, body)

    def emit(self, delta: Any) -> None:
        """Show progress to those who watch now."""
        self._on_loop(self._run.emit, self.node_id, self.attempt, delta)

    def secret(self, name: str) -> str:
        """The value of a secret; masked from now on. Raises PermanentError when there is none, TransientError when its
        source cannot be asked now."""
        secrets = self._run.secrets
        if self._loop is None:
            return secrets.at_once(name)
        return asyncio.run_coroutine_threadsafe(secrets.fetch(name), self._loop).result()

    async def fetch_secret(self, name: str) -> str:
        """As `secret`, for sources that have to be waited for."""
        return await self._run.secrets.fetch(name)

    def signing_key(self, purpose: str) -> bytes:
        """A key made of the server's secret for a purpose."""
        return self._run.seal.signing_key(purpose)

    def mask(self, value: str) -> None:
        """Hide a value that the step got itself, such as a token, wherever this execution shows something."""
        self._run.mask.add(value)

    def redact(self, text: str) -> str:
        """The text as people are shown it: without the secrets known so far."""
        return self._run.mask.text(text)

    def describe(self, type_id: str) -> Mapping[str, Any]:
        """A node type's description and schemas. Raises NotFound."""
        cls = self._run.registry.node(type_id).cls
        return {
            "type_id": type_id,
            "description": inspect.getdoc(cls) or "",
            "params_schema": cls.params_schema(),
            "output_schema": cls.output_schema(),
        }

    async def params_schema(self, type_id: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema of a node type's params, in which what takes the input of a workflow that `params` name has that
        workflow's `input_schema`. Raises NotFound for the node type."""
        schema: dict[str, Any] = self._run.registry.node(type_id).cls.params_schema()
        for name, param in schema.get("properties", {}).items():
            mark = param.get("x-aicflow") or {}
            workflow = params.get(mark["input_of"]) if "input_of" in mark else None
            if not isinstance(workflow, str):
                continue
            try:
                wanted = (await self._run.workflows.get(workflow)).document.get("input_schema")
            except NotFound:
                continue  # a call of it says so
            if isinstance(wanted, dict):
                bundle = Bundle()
                whole = cast("dict[str, Any]", bundle.add(SchemaView.of(schema)))
                properties = {**whole["properties"], name: bundle.add(SchemaView.of(wanted))}
                required = list(dict.fromkeys([*whole.get("required", ()), name]))
                view = bundle.view({**whole, "properties": properties, "required": required})
                schema = cast("dict[str, Any]", view.schema)
        return schema

    async def call(self, type_id: str, params: Mapping[str, Any], *, untrusted: bool = False) -> Any:
        """Run a node type once as part of this step; returns its output as JSON. Raises NotFound, NodeError."""
        registered = self._run.registry.node(type_id)
        if not registered.setting.enabled:
            raise node_type_disabled(PermanentError, type_id)
        cls = registered.cls
        checked = checked_params(cls.params_model, {**registered.setting.default_params, **params})
        self._calls += 1
        inner = StepContext(self._run, self.node_id, self.attempt, None)
        inner.untrusted = untrusted or self.untrusted  # what an untrusted call calls is no better
        # each call has a key of its own, or a receiver would take the second for a repeat of the first
        inner.idempotency_key = f"{self.idempotency_key}:{self._calls}"
        mask = self._run.mask
        try:
            result = await self._run.nodes.invoke(cls, inner, checked)
        except NodeError as error:
            if untrusted:
                error.message, error.hint = mask.text(error.message), error.hint and mask.text(error.hint)
            raise
        self._run.used.add(cls)
        if isinstance(result, Wait | StartChild):
            raise PermanentError(f"{type_id} waits, which it cannot do inside another step.", code="cannot-wait")
        output = as_json(cls, result.output if isinstance(result, Exit) else result)
        return mask.value(output) if untrusted else output
