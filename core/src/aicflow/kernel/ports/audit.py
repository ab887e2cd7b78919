"""The audit port: entries in a chain, each hashed together with the one before it.

A store writes the entry of `pending_audit` in the transaction of the first thing that is written while it is set, and
sets `written`: what was done and the record of it are kept together, or neither. What raises has written nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from aicflow.kernel.ports.executions import Page

GENESIS: Final = bytes(32)
"""What the first entry is hashed with."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`body` is canonical JSON with at least the texts `at`, `actor`, `action` and `target`. `personal` is a JSON
    object of what the body holds as keyed hashes only: no part of the chain, so that it can be erased."""

    body: str
    personal: str | None = None


@dataclass(slots=True)
class AuditRow:
    """An entry in its place. `hash` is the SHA-256 of the hash before it and the body; `seq` counts from 1."""

    seq: int
    hash: bytes
    body: str
    personal: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; every given condition must hold. `since` and `until` are instants as in the body. `target` is the
    target, what was made (`made`), or one of `many`."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(slots=True)
class PendingAudit:
    """What is being done, by which `actor`. `made` is the id of what comes of it; `entry` makes it, in any thread."""

    entry: Callable[[PendingAudit], AuditEntry]
    made: str | None = None
    written: bool = False
    actor: str | None = None


pending_audit: Final[ContextVar[PendingAudit | None]] = ContextVar("pending_audit", default=None)


class AuditStore(Protocol):
    """The chain. Entries come at its end only, and go from its beginning only."""

    async def add(self, entries: Sequence[AuditEntry]) -> AuditRow:
        """Add at least one; returns the last."""
        ...

    async def last(self) -> AuditRow | None: ...

    async def read(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditRow]:
        """Rows with a greater `seq`, in order."""
        ...

    async def list(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> Page[AuditRow]:
        """Newest first. Raises ValueError for a cursor that it did not make."""
        ...

    async def drop(self, through: int, entry: AuditEntry) -> int:
        """Remove the rows up to this one, and add an entry about it in the same transaction; returns how many went."""
        ...

    async def erase_personal(self, texts: Sequence[str]) -> int:
        """Remove what stands in `personal` of every row where it holds one of these texts; returns how many did."""
        ...
