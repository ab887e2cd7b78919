"""The port for what is kept about a person (a data subject): finding all of it, and erasing it for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aicflow.kernel.ports.executions import Labels

type HoldingKind = Literal["execution", "file", "delivery", "event", "state", "key", "mention"]


@dataclass(frozen=True, slots=True)
class DataSubject:
    """Whom it is about. `hash` is what executions about them were created with (`NewExecution.subjects`), `text` how
    they are written where they stand by themselves: in a key, or as a JSON string, in any case of ASCII letters.
    `labels` are those of workflows that are about nobody else."""

    hash: str | None = None
    text: str | None = None
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that holds their data. `status` is that of an execution. A `mention` is told, never erased: it is about
    others too (a value of state, a workflow's document)."""

    kind: HoldingKind
    id: str
    status: str | None = None


class SubjectStore(Protocol):
    """Data of one person."""

    async def find(self, subject: DataSubject) -> Sequence[Holding]:
        """Everything: executions, those made from them (children, reruns, handlers of failures) before the ones they
        were made from; files that none but these executions hold; deliveries that started nothing, events, keys of
        state and of idempotency in which `text` stands; mentions."""
        ...

    async def erase(self, holdings: Sequence[Holding]) -> int:
        """Remove these, executions that have ended with all that belongs to them, in one transaction; returns how
        many. Files expire, so that their contents go. What is gone already, still runs or is a mention is left."""
        ...

    async def purge(self, texts: Sequence[str], *, timeout: float = 30.0) -> Sequence[str]:
        """Make what was removed unreadable in the store's own files too, waiting up to `timeout` seconds for readers;
        returns in words for people where one of the texts can still be read in them."""
        ...
