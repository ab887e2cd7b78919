"""What a running step may see and say: the `Context` that a node's `run` is given."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from aicflow.kernel.serialization import Instant, Record

type LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a waiting step runs again: it was `answered` (with `value`), or its time came (`timeout`)."""

    kind: Literal["answered", "timeout"]
    value: Any = None


class NodeCaller(Protocol):
    """Other node types, callable from inside a step; how an agent uses them as tools."""

    def describe(self, type_id: str) -> Mapping[str, Any]:
        """The node type's description, JSON Schema of its params and of its output. Raises NotFound."""
        ...

    async def params_schema(self, type_id: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The JSON Schema of its params, as exact as these params, fixed beforehand, make it: of `workflow.call`, the
        input is what the named workflow takes. Raises NotFound."""
        ...

    async def call(self, type_id: str, params: Mapping[str, Any], *, untrusted: bool = False) -> Any:
        """Run the node type once as part of this step; returns its output as JSON. `untrusted`: somebody other than
        the workflow's author, such as a model, chose params and is told the output: the node sees it as
        `ctx.untrusted`, and secrets are masked in the output and in errors. Raises NodeError."""
        ...


@dataclass(frozen=True, slots=True)
class StateEntry(Record):
    """A value that a workflow keeps under a key. `version` is 1 at first and grows with each change."""

    key: str
    value: Any
    version: int
    updated_at: Instant
    expires_at: Instant | None = None


class State(Protocol):
    """What the workflow keeps between its executions, by key."""

    async def get(self, key: str) -> StateEntry | None:
        """What is kept, None when there is nothing (any more)."""
        ...

    async def put(
        self, key: str, value: Any, *, lifetime: float | None = None, version: int | None = None
    ) -> StateEntry:
        """Keep a value, for `lifetime` seconds when that is given. With `version`, only if the entry has it (0: only if
        there is none). Raises PermanentError (`state-changed`, `state-invalid`)."""
        ...

    async def add(self, key: str, by: float, *, lifetime: float | None = None) -> StateEntry:
        """Add to a number, 0 at first; once for the step, however often it is tried. Raises PermanentError."""
        ...

    async def delete(self, key: str, *, version: int | None = None) -> bool:
        """Whether there was one. Raises PermanentError (`state-changed`)."""
        ...


class File(BaseModel):
    """A file, known by the SHA-256 of its content; in JSON `{"$blob": …, "size": …, "type": …, "name": …}`."""

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
        json_schema_extra={"x-aicflow": {"file": True}},
    )
    sha256: str = Field(alias="$blob", pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    type: str = "application/octet-stream"
    name: str | None = None


class Files(Protocol):
    """The contents of files. Each raises PermanentError: `file-not-found` for one that is not kept."""

    def read(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """From `start` up to before `end`, in chunks of at most 1 MiB."""
        ...

    def path(self, file: File) -> AbstractAsyncContextManager[Path]:
        """A local path, only to be read and only meanwhile, for libraries that seek."""
        ...

    async def write(
        self, chunks: AsyncIterable[bytes] | bytes, *, name: str | None = None, type: str | None = None
    ) -> File:
        """Keep a file as long as the execution is kept. Durable when it returns. Raises PermanentError
        (`file-too-large`, `files-full`); then nothing is kept."""
        ...


class Context(Protocol):
    """One attempt of one step.

    `idempotency_key` is the same for every attempt of the step, also after a crash: hand it to systems that can
    recognise a repeated request.
    """

    @property
    def execution_id(self) -> str: ...
    @property
    def workflow_id(self) -> str: ...
    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the request that started the execution: send it on with requests."""
        ...

    @property
    def node_id(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def idempotency_key(self) -> str: ...
    @property
    def answer(self) -> Answer | None: ...
    @property
    def children(self) -> Sequence[Mapping[str, Any]]:
        """`execution_id`, `status`, `output` and `error` of every workflow that this step has started so far, in order.
        Kept over crashes; a retry begins anew."""
        ...

    @property
    def untrusted(self) -> bool:
        """Whether somebody other than the workflow's author, such as a model, chose params of this call. A node that
        runs what its params say keeps such a call apart from all others."""
        ...

    @property
    def nodes(self) -> NodeCaller: ...
    @property
    def state(self) -> State: ...
    @property
    def files(self) -> Files: ...

    def log(self, message: str, *, level: LogLevel = "info", **fields: Any) -> None:
        """Keep a line in the execution's history (`step.log`)."""
        ...

    def emit(self, delta: Any) -> None:
        """Show progress to whoever watches now (`step.delta`); it is not kept."""
        ...

    def secret(self, name: str) -> str:
        """The value of a secret; masked wherever it might be shown. Raises PermanentError when there is none; in an
        async node, TransientError when its source has to be waited for: see `fetch_secret`."""
        ...

    async def fetch_secret(self, name: str) -> str:
        """The value of a secret, from sources that have to be waited for too. Raises PermanentError when there is none,
        TransientError when a source does not answer."""
        ...

    def signing_key(self, purpose: str) -> bytes:
        """32 bytes made of the server's secret for a purpose: always the same, and as `Runtime.signing_key` returns."""
        ...

    def mask(self, value: str) -> None:
        """Treat a value that the step got itself, such as a token, as a secret: it is masked wherever this execution
        shows something. What the next nodes receive stays real."""
        ...

    def redact(self, text: str) -> str:
        """The text without secrets. Whoever shortens a text calls this first: the beginning of a secret, left by a cut,
        is not recognised later."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should stop; for blocking nodes, which cannot be interrupted."""
        ...
