"""The port of events sent from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aicflow.kernel.ports.executions import Idempotency, Page, StoredAnswer
from aicflow.kernel.serialization import Instant, Record


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
