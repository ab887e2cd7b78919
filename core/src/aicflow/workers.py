"""Workers: who is alive and what each can run, what executions require of them, and the port that keeps both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

LIVE: Final = 30.0
"""Seconds after which a worker that has said nothing no longer counts as alive."""
DEFAULT_QUEUE: Final = "default"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker. `queues`: those it takes from, None for all. `types`: what it has, node types as `http.request` and
    `http.request@1`, engines as `engine:native`. Instants are those of the store's clock."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    queues: tuple[str, ...] | None
    max_running: int
    running: int
    types: frozenset[str]
    started_at: float = 0.0
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Requirement:
    """What some executions require: a worker that takes from this queue and has these types. `missing`: the seconds
    for which no live worker has had them all."""

    id: int
    queue: str
    types: frozenset[str]
    missing: float


class WorkerStore(Protocol):
    """Requirements have numbers, the same for all hosts; 0 is the default queue and no type. A store that only one
    host works with numbers nothing: its worker runs everything."""

    async def beat(self, worker: WorkerRecord) -> Sequence[Requirement]:
        """Say that it is alive and what it has, and hear every requirement."""
        ...

    async def leave(self, worker_id: str) -> None:
        """It stops."""
        ...

    async def live(self) -> Sequence[WorkerRecord]:
        """Those that have said so within LIVE seconds, oldest first."""
        ...

    async def number(self, queue: str, types: Collection[str]) -> int:
        """The number of a requirement, made when there is none yet."""
        ...

    async def queues(self) -> Mapping[int, str]:
        """The queue of each requirement."""
        ...

    async def requirement(self, execution_id: str) -> tuple[Requirement | None, str | None]:
        """What an execution requires, if anything, and the worker that holds it. Raises NotFound."""
        ...


class OneHost:
    """The workers of a store that only one host works with."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._workers: dict[str, WorkerRecord] = {}

    async def beat(self, worker: WorkerRecord) -> Sequence[Requirement]:
        """See the port."""
        known = self._workers.get(worker.id)
        now = self._now()
        self._workers[worker.id] = replace(worker, started_at=known.started_at if known else now, seen_at=now)
        return ()

    async def leave(self, worker_id: str) -> None:
        """See the port."""
        self._workers.pop(worker_id, None)

    async def live(self) -> Sequence[WorkerRecord]:
        """See the port."""
        return [one for one in self._workers.values() if one.seen_at > self._now() - LIVE]

    async def number(self, queue: str, types: Collection[str]) -> int:
        """See the port."""
        return 0

    async def queues(self) -> Mapping[int, str]:
        """See the port."""
        return {}

    async def requirement(self, execution_id: str) -> tuple[Requirement | None, str | None]:
        """See the port."""
        return None, next(iter(self._workers), None)
