"""The ports of who may do what: API keys and tickets, secrets, idempotency keys, settings of node types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aicflow.kernel.errors import KeyUsed
from aicflow.kernel.ports.executions import Idempotency
from aicflow.kernel.serialization import Instant, Internal, Record
from aicflow.kernel.values import JsonObject


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
    max_queued: int | None = None


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

    async def find_ticket(self, ticket_hash: str, *, now: float) -> JsonObject | None:
        """Its owner before it expires; it is not taken."""
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


class IdempotencyStore(Protocol):
    """Idempotency keys that were used, noted in the transaction of what made an execution, workflow or API key."""

    async def find(self, scope: str, key: str) -> KeyUsed | None:
        """What came of the request that used the key."""
        ...

    async def use(self, idempotency: Idempotency, result: str, *, now: float) -> None:
        """Note what comes of a request before it is done. Raises KeyUsed."""
        ...


@dataclass(frozen=True, slots=True)
class NodeSetting:
    """How an operator configured a node type."""

    type_id: str
    enabled: bool = True
    default_params: JsonObject = field(default_factory=dict)


class NodeSettingStore(Protocol):
    """Settings of node types."""

    async def all(self) -> Sequence[NodeSetting]: ...

    async def put(self, setting: NodeSetting) -> None: ...

    async def delete(self, type_id: str) -> None:
        """Back to the defaults; quiet when there was no setting."""
        ...
