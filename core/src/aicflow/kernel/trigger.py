"""What a trigger type is: something outside a workflow that starts executions of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, get_args, get_origin

from aicflow.kernel.clock import Clock
from aicflow.kernel.context import File
from aicflow.kernel.execution import Execution, Step
from aicflow.kernel.issues import Issue
from aicflow.kernel.node import Params, output_adapter
from aicflow.kernel.serialization import Instant, Record
from aicflow.kernel.values import JsonObject

type Overlap = Literal["allow", "skip", "queue", "cancel_other"]
"""What a fire does while an execution that the same trigger started has not ended."""

P = TypeVar("P", bound=Params)
Y = TypeVar("Y")


@dataclass(frozen=True, slots=True)
class Binding:
    """One trigger of one saved, enabled workflow. `id` is `workflow_id:trigger_id` and stable across versions."""

    id: str
    workflow_id: str
    trigger_id: str
    type_id: str
    version: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of a fire. `duplicate`: the same key fired before, and `execution_id` is what it started then (None
    when it was skipped). `skipped`: the overlap rule, or a full concurrency limit, refused it; its key is used up."""

    execution_id: str | None
    duplicate: bool = False
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Delivery(Record):
    """Something that arrived from outside for a trigger (a webhook call), stored before it is answered. `error` says
    why it started nothing. Lists leave the payload out."""

    may_be_absent: ClassVar = frozenset({"payload"})

    id: str
    binding_id: str
    received_at: Instant
    key: str | None
    payload: Any
    execution_id: str | None = None
    error: str | None = None


class Ways(Protocol):
    """Which nodes of a document run on which way through it: by which port each branching node is left."""

    def without(self, nodes: Sequence[str]) -> str | None:
        """A way on which none of the nodes runs and succeeds, in words (`when 'big' exits by 'false'`); None when there
        is none, or it cannot be told."""
        ...

    def with_both(self, one: str, other: str) -> str | None:
        """A way on which both nodes run and succeed, in words; None when there is none, or it cannot be told."""
        ...


class TriggerRuntime(Protocol):
    """What the host lends to trigger types."""

    clock: Clock
    max_body_bytes: int
    """The largest request body that the host takes."""

    async def fire(
        self,
        binding: Binding,
        payload: Any,
        *,
        key: str | None = None,
        scheduled_for: float | None = None,
        overlap: Overlap = "allow",
        version: int | None = None,
        traceparent: str | None = None,
    ) -> Fired:
        """Start an execution with the trigger's payload. Returns once that is durable.

        With `key`, at most one execution is started per (binding, key) for as long as fires are remembered, over
        restarts and any number of hosts; a delivery of the payload is recorded in the same transaction, also when
        nothing is started. `overlap` says what happens while an execution of this binding has not ended. `version`
        names another version than the active one. `traceparent` is the
        header of the request, if any. Raises InputInvalid, ReferenceFailed, NotFound, Conflict; the
        delivery is then kept with the error."""
        ...

    async def wait_step(self, execution_id: str, node_ids: Sequence[str], timeout: float) -> Step | None:
        """The step of the first of these nodes to succeed, or of the last to settle when none does; None when the
        execution ended before, or not in time."""
        ...

    async def wait(self, execution_id: str, timeout: float) -> Execution | None:
        """The execution once it has ended, or None when it has not ended within `timeout` seconds."""
        ...

    async def running(self, binding: Binding) -> Sequence[str]:
        """Ids of the executions that this trigger started and that have not ended."""
        ...

    async def cancel(self, execution_id: str) -> None:
        """Cancel an execution."""
        ...

    async def load_state(self, binding: Binding) -> JsonObject:
        """What the trigger last saved for this binding; empty when nothing."""
        ...

    async def save_state(self, binding: Binding, state: JsonObject) -> None:
        """Keep the binding's state durably; replaces what was there."""
        ...

    async def keep_file(
        self, chunks: AsyncIterable[bytes] | bytes, *, name: str | None = None, type: str | None = None
    ) -> File:
        """Keep a file for ten minutes, and as long as an execution has it in its payload. Raises Conflict
        (`file-too-large`, `files-full`), StoreUnavailable."""
        ...

    async def read_file(self, file: File) -> tuple[File, AsyncIterator[bytes]]:
        """A file as it is kept, with the name and type given, and its content in pieces. Raises NotFound."""
        ...

    async def secret(self, name: str) -> str:
        """The value of a secret. Raises NotFound, TransientError when a source does not answer."""
        ...


class Trigger(ABC, Generic[P, Y]):  # noqa: UP046 - __init_subclass__ reads the arguments
    """A trigger type. One instance serves every binding of the type in a process.

    Subclasses set `type_id`; `Params` say how a trigger is configured, the second type what it hands to the workflow
    as `trigger` (its payload).
    """

    type_id: ClassVar[str]
    version: ClassVar[int] = 1
    title: ClassVar[str] = ""
    params_model: ClassVar[type[Params]]
    payload_type: ClassVar[Any]
    variables: ClassVar[Mapping[str, str]] = {}  # as of a node type

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Trigger) and len(get_args(base)) == 2:
                params, payload = get_args(base)
                if not isinstance(params, TypeVar):
                    cls.params_model = params
                if not isinstance(payload, TypeVar):
                    cls.payload_type = payload

    async def start(self, runtime: TriggerRuntime) -> None:
        """Called once in a process, before the first `activate`."""

    async def stop(self) -> None:
        """Stop firing and let go of everything."""

    @abstractmethod
    async def activate(self, binding: Binding, params: P) -> None:
        """Begin to fire for the binding; called again with new params when its workflow's version, its pause or its
        params change. Takes effect at once."""

    @abstractmethod
    async def deactivate(self, binding: Binding) -> None:
        """Stop firing for the binding at once: its workflow was disabled or deleted, or the trigger removed. Also
        called for one that was only `unavailable`."""

    async def unavailable(self, binding: Binding, params: Mapping[str, Any], problem: str) -> None:
        """Told that the binding is wanted and cannot be activated (a secret is missing, say), with its params as
        written. It fires nothing until `activate` is called."""

    def next_fires(self, params: P, *, count: int, after: float) -> Sequence[Mapping[str, Any]] | None:
        """The next `count` fires after an instant (seconds since 1970 UTC): a JSON object for each, with what the type
        knows of it. None for a type that does not fire by the clock. Shown by `GET /triggers/{id}/next`."""
        return None

    @classmethod
    def manual_payload(cls, params: P, now: float) -> Any:
        """What a person's "fire now" hands to the workflow when they give no payload."""
        return None

    @classmethod
    def check(cls, params: Mapping[str, Any]) -> Sequence[Issue]:
        """Problems of these params (as written) that their model cannot see. Pointers are relative to `params`."""
        return ()

    @classmethod
    def check_in(cls, params: Mapping[str, Any], document: Mapping[str, Any], ways: Ways | None) -> Sequence[Issue]:
        """Problems of these params (as written) beside the rest of their document, which may have errors of its own: a
        node that they name and that is not there, or not on every way. `ways` is None where the edges make no graph.
        Pointers are relative to `params`."""
        return ()

    @classmethod
    def conflict(cls, params: P, other: P) -> str | None:
        """Why two triggers of this type cannot both be active (two webhooks on one path), or None."""
        return None

    def check_here(self, params: P) -> Sequence[Issue]:
        """Problems that these params have with this host and its settings, asked when a workflow is saved, after
        `start`. Pointers are relative to `params`."""
        return ()

    @classmethod
    def params_schema(cls) -> dict[str, Any]:
        """JSON Schema of the params."""
        return cls.params_model.model_json_schema()

    @classmethod
    def payload_schema(cls) -> dict[str, Any] | None:
        """JSON Schema of the payload whatever the params; None when it may be anything."""
        return (
            None
            if cls.payload_type in (Any, object)
            else output_adapter(cls.payload_type).json_schema(mode="serialization")
        )

    @classmethod
    def payload_schema_for(cls, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """JSON Schema of the payload with these params (as written)."""
        return cls.payload_schema()


type TriggerType = type[Trigger[Any, Any]]
