"""What a store can tell whoever operates it, beyond whether it is sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, with what to do about it."""

    state: Literal["ok", "note", "problem"]
    subject: str
    text: str


@runtime_checkable
class Advised(Protocol):
    """A store, open, whose server has settings and a state of its own."""

    async def advice(self) -> list[Finding]:
        """Raises StoreUnavailable."""
        ...
