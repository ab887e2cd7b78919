"""Events from outside over a table; executions keep their waits for them and what they received."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Idempotency, Page, StoredAnswer, Subscription
from aicflow.kernel.ports.sent import SentEvent
from aicflow.store.tables.executions import TableExecutions
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.pages import page_of
from aicflow.store.tables.part import Part, Table, writes


@dataclass(slots=True)
class _Row:
    n: int
    event: SentEvent
    done: bool = False


class TableSent(Part):
    """Events from outside."""

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        rows: Table,
        executions: TableExecutions,
        idempotency: TableIdempotency,
    ) -> None:
        super().__init__(commit)
        self._rows = rows
        self._n = max((row.n for row in rows.values()), default=0)
        self._executions = executions
        self._idempotency = idempotency
        executions.early_event = self._early
        executions.count_receipt = self._count

    @writes
    async def send(
        self, event: SentEvent, *, idempotency: Idempotency | None = None
    ) -> tuple[SentEvent, Sequence[tuple[str, StoredAnswer]]]:
        self._idempotency.check(idempotency)
        answers = []
        if event.id not in self._rows:
            self._n += 1
            self._rows[event.id] = _Row(self._n, event)
            for row in self._executions.rows.values():
                if (wait := next((one for one in row.subscriptions.values() if _fits(event, one)), None)) is not None:
                    answers.append((row.new.id, row.receive(event, wait)))
                    self._count(event.id, 1)
            for execution_id, _ in answers:
                self._executions.rows[execution_id] = self._executions.rows[execution_id]
        self._idempotency.add(idempotency, event.id, event.received_at)
        return self._rows[event.id].event, answers

    def _early(self, wait: Subscription, received: Collection[str]) -> SentEvent | None:
        """The first event that fits, has not expired, and is not among those received."""
        kept = sorted(self._rows.values(), key=lambda row: row.n)
        fitting = (row.event for row in kept if _fits(row.event, wait) and row.event.id not in received)
        return next((event for event in fitting if event.expires_at > wait.at), None)

    def _count(self, event_id: str, by: int) -> None:
        if (row := self._rows.get(event_id)) is not None:
            row.event = replace(row.event, received=row.event.received + by)
            self._rows[event_id] = row

    async def get(self, event_id: str) -> SentEvent:
        if event_id not in self._rows:
            raise NotFound("event", event_id)
        event: SentEvent = self._rows[event_id].event
        return event

    async def pending(self, *, limit: int) -> Sequence[SentEvent]:
        waiting = sorted((row for row in self._rows.values() if not row.done), key=lambda row: row.n)
        return [row.event for row in waiting[:limit]]

    @writes
    async def done(self, event_ids: Sequence[str]) -> None:
        for event_id in event_ids:
            if (row := self._rows.get(event_id)) is not None:
                row.done = True
                self._rows[event_id] = row

    @writes
    async def forget(self, *, received_before: float, now: float, batch: int = 1000) -> int:
        events = [row.event for row in self._rows.values() if row.done]
        old = [one.id for one in events if one.received_at < received_before and one.expires_at <= now][:batch]
        for event_id in old:
            del self._rows[event_id]
        return len(old)

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self, *, limit: int, cursor: str | None = None, name: str | None = None, key: str | None = None
    ) -> Page[SentEvent]:
        rows = [row for row in self._rows.values() if name in (None, row.event.name) and key in (None, row.event.key)]
        return page_of("sent", rows, lambda row: (row.n, 0), lambda row: row.event, limit=limit, cursor=cursor)


def _fits(event: SentEvent, wait: Subscription) -> bool:
    return event.name == wait.name and wait.key in (None, event.key)
