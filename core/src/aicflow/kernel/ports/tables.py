"""The store's smaller ports: workflows and their versions, trigger state, API keys, settings of node types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from aicflow.kernel.context import StateEntry
from aicflow.kernel.errors import KeyUsed
from aicflow.kernel.ports.executions import Idempotency, Labels, Page, StoredAnswer, WorkflowLimit
from aicflow.kernel.serialization import Instant, Internal, Record
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import JsonObject


@dataclass(frozen=True, slots=True)
class WorkflowRecord(Record):
    """A workflow with its current version's document. `revision` counts every change and makes the ETag."""

    may_be_absent: ClassVar = frozenset({"document"})

    id: str
    name: str
    description: str | None
    version: int
    revision: int
    enabled: bool
    created_at: Instant
    updated_at: Instant
    document: dict[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkflowVersion(Record):
    """One immutable version; the list leaves the document out."""

    may_be_absent: ClassVar = frozenset({"document"})

    workflow_id: str
    version: int
    created_at: Instant
    document: dict[str, Any] = field(default_factory=dict)


class WorkflowStore(Protocol):
    """Workflows. Each save whose document differs from the current one makes version + 1."""

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Inside, no other host that has the store open is inside. Raises StoreUnavailable."""
        ...

    async def create(
        self,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
    ) -> WorkflowRecord:
        """Raises KeyUsed (the result is the workflow's id); Conflict when the id exists."""
        ...

    async def update(
        self,
        workflow_id: str,
        *,
        now: float,
        document: dict[str, Any] | None = None,
        enabled: bool | None = None,
        expected_revision: int | None = None,
    ) -> WorkflowRecord:
        """Change the document, the enabled flag or both. Saving an equal document changes nothing; saving the newest
        draft makes that version the current one. Raises NotFound;
        Conflict with code `revision` when `expected_revision` is not the current one."""
        ...

    async def delete(self, workflow_id: str, *, expected_revision: int | None = None) -> None:
        """Remove the workflow, its versions, trigger state and deliveries. Its executions stay and can be read.
        Raises NotFound, Conflict."""
        ...

    async def get(self, workflow_id: str) -> WorkflowRecord:
        """Raises NotFound."""
        ...

    async def version(self, workflow_id: str, version: int) -> WorkflowVersion:
        """Raises NotFound. Versions of a deleted workflow that executions still refer to can be read."""
        ...

    async def add_draft(
        self, workflow_id: str, document: dict[str, Any], *, now: float, idempotency: Idempotency | None = None
    ) -> WorkflowVersion:
        """A new version that does not become the current one. Raises KeyUsed (the result is its number), NotFound."""
        ...

    async def versions(self, workflow_id: str, *, limit: int, cursor: str | None = None) -> Page[WorkflowVersion]:
        """Newest first, without documents. Raises NotFound."""
        ...

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        labels: Labels = (),
        within: WorkflowLimit | None = None,
    ) -> Page[WorkflowRecord]:
        """Newest first, without documents. `name` is a case-insensitive part of the name; `labels` must all be there,
        with that value unless it is None."""
        ...

    async def is_within(
        self, within: WorkflowLimit, *, workflow_id: str | None = None, execution_id: str | None = None
    ) -> bool:
        """Whether a workflow, or that of an execution, is one of these; it takes as long when there is none."""
        ...

    async def active(self) -> Sequence[WorkflowRecord]:
        """Every enabled workflow with its document."""
        ...


class TriggerStore(Protocol):
    """What triggers keep: a state, a pause, and the deliveries that arrived for them."""

    async def load_state(self, binding_id: str) -> JsonObject: ...

    async def save_state(self, binding_id: str, state: JsonObject) -> None: ...

    async def paused(self) -> frozenset[str]:
        """Ids of all paused bindings."""
        ...

    async def set_paused(self, binding_id: str, paused: bool) -> None: ...

    async def deliveries(self, binding_id: str, *, limit: int, cursor: str | None = None) -> Page[Delivery]:
        """Newest first, without payloads."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        ...

    async def keep_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery that started nothing."""
        ...


@dataclass(frozen=True, slots=True)
class SentEvent(Record):
    """An event from outside. Waits that begin before `expires_at` find it. `received`: by how many waits it was."""

    id: str
    name: str
    key: str | None
    data: Any
    received_at: Instant
    expires_at: Instant
    received: int = 0


class EventStore(Protocol):
    """Events from outside. An execution receives each once, by its first wait for that name and key; the answer is the
    event without `expires_at` and `received`."""

    async def send(
        self, event: SentEvent, *, idempotency: Idempotency | None = None
    ) -> tuple[SentEvent, Sequence[tuple[str, StoredAnswer]]]:
        """Keep an event and answer the waits for it in the same transaction: the event, and by execution which answers
        it made. One whose id is kept already changes nothing and returns that one. Raises KeyUsed."""
        ...

    async def list(
        self, *, limit: int, cursor: str | None = None, name: str | None = None, key: str | None = None
    ) -> Page[SentEvent]: ...

    async def get(self, event_id: str) -> SentEvent: ...

    async def pending(self, *, limit: int) -> Sequence[SentEvent]:
        """Events that `done` was not called for, oldest first."""
        ...

    async def done(self, event_ids: Sequence[str]) -> None: ...

    async def forget(self, *, received_before: float, now: float, batch: int = 1000) -> int:
        """Remove up to `batch` events that are done, older and expired; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class ApiKeyRecord(Record):
    """An API key; never the key itself, which is kept as a keyed hash. `workflows` and `labels` limit it as a
    WorkflowLimit, `addresses` to networks; the key before its last rotation counts until `previous_expires_at`."""

    id: str
    name: str
    hash: Internal[str]
    scopes: tuple[str, ...]
    created_at: Instant
    expires_at: Instant | None = None
    last_used_at: Instant | None = None
    revoked_at: Instant | None = None
    workflows: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    previous_hash: Internal[str | None] = None
    previous_expires_at: Instant | None = None


class KeyStore(Protocol):
    """API keys, and tickets, which count once."""

    async def create(self, record: ApiKeyRecord, *, idempotency: Idempotency | None = None) -> None:
        """Raises KeyUsed (the result is the record's id); Conflict when the id or the hash exists."""
        ...

    async def find(self, key_hash: str) -> ApiKeyRecord | None:
        """By its hash or the previous one."""
        ...

    async def list(self) -> Sequence[ApiKeyRecord]: ...

    async def rotate(
        self, key_id: str, key_hash: str, *, previous_expires_at: float, idempotency: Idempotency | None = None
    ) -> ApiKeyRecord:
        """Another hash for the key; the one until now becomes the previous one. Raises KeyUsed (the result is the
        record's id), NotFound; Conflict when it is revoked or the hash exists."""
        ...

    async def keep_ticket(self, ticket_hash: str, owner: JsonObject, *, now: float, expires_at: float) -> None:
        """Keep a ticket, and forget those that have expired."""
        ...

    async def take_ticket(self, ticket_hash: str, *, now: float) -> JsonObject | None:
        """Its owner, once and before it expires."""
        ...

    async def revoke(self, key_id: str, *, now: float) -> None:
        """Raises NotFound."""
        ...

    async def touch(self, key_id: str, *, now: float) -> None:
        """Note the last use; may be written late and in bulk."""
        ...


@dataclass(frozen=True, slots=True)
class SecretRecord(Record):
    """A secret: its value sealed with a key of its own, which is wrapped by the key `kek_id`. With `workflows` (ids) or
    `labels`, it is for those workflows only."""

    name: str
    version: int
    description: str | None
    workflows: tuple[str, ...]
    labels: Mapping[str, str]
    created_at: Instant
    updated_at: Instant
    last_used_at: Instant | None
    kek_id: Internal[str]
    wrapped_key: Internal[bytes]
    nonce: Internal[bytes]
    ciphertext: Internal[bytes]


class SecretStore(Protocol):
    """Secrets. What is not there, or has another version by now, raises Conflict (`revision`)."""

    async def put(self, record: SecretRecord) -> None:
        """Keep the version that follows the kept one; 1 when there is none."""
        ...

    async def get(self, name: str) -> SecretRecord | None: ...

    async def list(self, *, not_under: str | None = None, limit: int | None = None) -> Sequence[SecretRecord]:
        """By name; those whose keys another key than this one wraps."""
        ...

    async def rewrap(self, records: Sequence[SecretRecord]) -> None:
        """Replace `kek_id` and `wrapped_key` in one transaction; what has another version by now is left."""
        ...

    async def touch(self, names: Sequence[str], *, now: float) -> None: ...

    async def delete(self, name: str, *, version: int) -> None: ...


@dataclass(frozen=True, slots=True)
class NodeSetting:
    """How an operator configured a node type."""

    type_id: str
    enabled: bool = True
    default_params: JsonObject = field(default_factory=dict)


class StateStore(Protocol):
    """Values that workflows keep between executions. What has expired is not there."""

    async def get(self, workflow_id: str, key: str) -> StateEntry | None: ...

    async def put(
        self,
        workflow_id: str,
        key: str,
        value: Any,
        *,
        lifetime: float | None = None,
        version: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> StateEntry:
        """Keep a value, for `lifetime` seconds when that is given. With `version`, only if the entry has it (0: only if
        there is none). Raises Conflict (`state-changed`); KeyUsed, whose result is the version that was written."""
        ...

    async def delete(self, workflow_id: str, key: str, *, version: int | None = None) -> bool:
        """Whether there was one. Raises Conflict (`state-changed`)."""
        ...

    async def list(
        self, workflow_id: str, *, prefix: str = "", limit: int, cursor: str | None = None
    ) -> Page[StateEntry]:
        """By key. Raises ValueError for a cursor that it did not make."""
        ...


@dataclass(frozen=True, slots=True)
class FileRecord(Record):
    """A file. It is kept until `expires_at`, and as long as `executions` hold it. `place`: where its content is."""

    sha256: str
    size: int
    type: str
    name: str | None
    created_at: Instant
    expires_at: Instant
    place: Internal[str]
    executions: int = 0


class FileStore(Protocol):
    """Which files there are, and which executions hold them (`NewExecution.files`, `append`). The contents are
    elsewhere, each durable before its file is added, and removed after its file is."""

    async def add(
        self,
        file: FileRecord,
        *,
        execution_id: str | None = None,
        quota: int | None = None,
        instead_of: str | None = None,
    ) -> FileRecord:
        """Keep a file, which the execution holds from now on. One with this content that is there stays in its place
        (unless that is `instead_of`), until the later `expires_at`; its type and name become these. Returns what is
        kept. Raises Conflict (`files-full`) when all files had more than `quota` bytes."""
        ...

    async def hold(
        self, sha256s: Collection[str], *, execution_id: str | None = None, until: float = 0.0
    ) -> Mapping[str, FileRecord]:
        """Those of the files that are there, which stay until `until` at least; the execution, if it is there, holds
        them from now on."""
        ...

    async def get(self, sha256: str) -> FileRecord:
        """Raises NotFound."""
        ...

    async def list(self, *, limit: int, cursor: str | None = None) -> Page[FileRecord]:
        """Newest first."""
        ...

    async def total_bytes(self) -> int:
        """What all files have together."""
        ...

    async def remove(self, sha256: str) -> FileRecord:
        """Raises NotFound; Conflict (`file-in-use`) while executions hold it."""
        ...

    async def expire(self, *, now: float, batch: int = 1000) -> Sequence[str]:
        """Remove up to `batch` files that have expired and that no execution holds; returns their places."""
        ...

    async def unknown(self, places: Collection[str]) -> frozenset[str]:
        """Those of the places where no file is."""
        ...


class IdempotencyStore(Protocol):
    """Idempotency keys that were used. What makes executions, workflows and API keys notes its key in the same
    transaction."""

    async def find(self, scope: str, key: str) -> KeyUsed | None:
        """What came of the request that used the key."""
        ...

    async def use(self, idempotency: Idempotency, result: str, *, now: float) -> None:
        """Note what comes of a request before it is done. Raises KeyUsed."""
        ...


class NodeSettingStore(Protocol):
    """Settings of node types."""

    async def all(self) -> Sequence[NodeSetting]: ...

    async def put(self, setting: NodeSetting) -> None: ...

    async def delete(self, type_id: str) -> None:
        """Back to the defaults; quiet when there was no setting."""
        ...
