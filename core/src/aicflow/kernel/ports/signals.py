"""The signal port: hints between hosts that have one store open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Signal:
    """Something was committed. `work`: an execution can be claimed. `cancel`: the end of execution `id` was requested.
    `answer`: it was answered. `events`: it has events up to `seq`. `watch`: somebody wants to see its deltas. `delta`:
    here is one, in `data`. Other kinds are of a later version: pass over them."""

    kind: str
    id: str = ""
    seq: int = 0
    data: str = ""


class SignalBus(Protocol):
    """Signals make things quick, never right: one may be lost, late, merged with its like, or come twice. Whoever
    listens also looks at the store, every second where several hosts share it."""

    def hint(self, signal: Signal) -> None:
        """Send to every host that has the store open. Called on the event loop after a commit; never raises."""

    async def changes(self) -> int | None:
        """A number that is another one once workflows, pauses of triggers or settings of node types have changed. None
        when that is not known. Raises StoreUnavailable."""
        ...

    def signals(self) -> AsyncIterator[Signal]:
        """What is sent from now on, until the store closes or the caller stops. Own signals may be among them."""
