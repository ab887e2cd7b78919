"""The store's housekeeping port: what to keep, how large it is, whether it is sound, a copy of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Ended executions with this status are kept while younger than `max_age` seconds and among the newest
    `max_count` of their workflow; None sets no bound. Executions that have not ended are never removed."""

    status: str
    max_age: float | None = None
    max_count: int | None = None


@dataclass(frozen=True, slots=True)
class WorkflowSize:
    """What one workflow's executions take."""

    workflow_id: str
    executions: int
    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SizeReport:
    """What the store takes. `free_bytes` lie unused inside `bytes`."""

    bytes: int
    free_bytes: int
    workflows: Sequence[WorkflowSize]


class Maintenance(Protocol):
    """Housekeeping. None of it blocks writers for longer than one batch."""

    async def removable(self, rules: Sequence[RetentionRule], *, now: float) -> dict[str, int]:
        """How many executions each workflow would lose by the rules."""
        ...

    async def remove(self, rules: Sequence[RetentionRule], *, now: float, batch: int = 200) -> int:
        """Remove up to `batch` executions that the rules no longer keep, with all that belongs to them; call again
        until it gives 0. Deliveries that started nothing go by the age of the rule for `failed`."""
        ...

    async def forget_keys(self, *, used_before: float, fired_before: float, batch: int = 1000) -> int:
        """Remove up to `batch` idempotency keys without an owner and up to `batch` keys of fires that are older; call
        again until it gives 0. Their age is their own: what they made may be gone or not."""
        ...

    async def forget_deliveries(self, *, received_before: float, batch: int = 1000) -> int:
        """Remove up to `batch` deliveries that are older, whatever became of them; call again until it gives 0."""
        ...

    async def reclaim_space(self, max_bytes: int = 4_000_000) -> int:
        """Give unused space back, up to `max_bytes` a call; returns how much. 0 where that happens by itself."""
        ...

    async def sizes(self) -> SizeReport: ...

    async def integrity(self) -> list[str]:
        """Problems found by checking the whole store: damaged records, gaps in event numbers, rows that disagree with
        their events. Empty when sound."""
        ...

    async def repair(self, *, now: float) -> list[str]:
        """Put right what `integrity` finds, as far as it can be had back, and tell each thing done. Numbers of lost
        events are filled with `event.lost`. For a store that nobody else has open."""
        ...

    async def backup(self, target: str) -> int:
        """Write a consistent copy while the store is in use; returns its size in bytes. `target` is in the store's own
        terms, such as a path. Raises Conflict when it exists, StoreUnavailable with a hint where others make copies."""
        ...
