"""The execution store on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aicflow.kernel.errors import EventsDamaged, NotFound, RecordDamaged
from aicflow.kernel.execution import Execution
from aicflow.kernel.ports.executions import (
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionFilter,
    NewExecution,
    Page,
    Projection,
    SlotLimit,
    StoredAnswer,
)
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import check_append, check_events, check_limit
from aicflow.store.concurrency import limits_from_json
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.rows import trigger_from
from aicflow.store.sqlite import queue
from aicflow.store.sqlite.batch import Append, Batch, Create
from aicflow.store.sqlite.queries import count_query, newest
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.rows import EVENT_ROWS, ROW, decoded, events_from, execution_from, shown_from
from aicflow.store.sqlite.writer import Writer

__all__ = ["SQLiteExecutions"]


class SQLiteExecutions:
    """Executions, their events and their queue."""

    def __init__(self, writer: Writer, readers: Readers, batch: Batch) -> None:
        self._writer = writer
        self._readers = readers
        self._batch = batch

    async def create(
        self, new: NewExecution, *, worker: str | None = None, lease: float = 0.0, at: float | None = None
    ) -> Created:
        check_events(new.events)
        result: Created = await self._writer.submit(Create(new, worker, lease, at))
        return result

    async def append(
        self,
        execution_id: str,
        epoch: int,
        batch: EventBatch,
        projection: Projection | None = None,
        outputs: Mapping[str, bytes] | None = None,
        consumed: Sequence[tuple[str, int]] = (),
    ) -> Appended:
        check_append(batch, projection)
        result: Appended = await self._writer.submit(Append(execution_id, epoch, batch, projection, outputs, consumed))
        return result

    async def claim(
        self, worker: str, limit: int, *, lease: float, at: float | None = None, cancelled_only: bool = False
    ) -> list[Claimed]:
        return await self._writer.run(
            lambda connection: queue.claim(connection, worker, limit, lease=lease, at=at, cancelled_only=cancelled_only)
        )

    async def renew(
        self, worker: str, execution_ids: Sequence[str], *, lease: float, at: float | None = None
    ) -> frozenset[str]:
        return await self._writer.run(
            lambda connection: queue.renew(connection, worker, execution_ids, lease=lease, at=at)
        )

    async def hand_back(self, worker: str, execution_id: str, epoch: int) -> None:
        await self._writer.run(lambda connection: queue.hand_back(connection, worker, execution_id, epoch))

    async def reclaim(self, worker: str) -> int:
        return await self._writer.run(lambda connection: queue.reclaim(connection, worker))

    async def next_due(self, *, at: float | None = None) -> float | None:
        return await self._readers.run(lambda connection: queue.next_due(connection, at=at))

    async def request_cancel(self, execution_id: str) -> Execution:
        return await self._writer.run(
            lambda connection: queue.cancel(connection, self._batch.book(connection), execution_id)
        )

    async def answer(self, execution_id: str, answer: StoredAnswer) -> None:
        await self._writer.run(lambda connection: queue.answer(connection, execution_id, answer))

    async def get(self, execution_id: str) -> Execution:
        return await self._readers.run(lambda connection: _get(connection, execution_id))

    async def count(self, where: ExecutionFilter) -> dict[str, int]:
        sql, values = count_query(where)
        counts: dict[str, int] = await self._readers.run(
            _one_text(f"SELECT json_group_object(status, many) FROM ({sql})", values)  # noqa: S608
        )
        return counts

    async def events(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[bytes]:
        return await self._readers.run(lambda connection: _events(connection, execution_id, after, limit))

    async def outputs(self, execution_id: str, node_ids: Sequence[str] | None = None) -> dict[str, bytes]:
        wanted = None if node_ids is None else dumps(node_ids).decode()
        return await self._readers.run(
            lambda connection: dict(connection.execute(_OUTPUTS, {"id": execution_id, "wanted": wanted}).fetchall())
        )

    async def slot_holders(self, key: str) -> list[str]:
        holders: list[str] = await self._readers.run(_one_text(_HOLDERS, [key]))
        return holders

    async def limits_of(self, execution_id: str) -> tuple[SlotLimit, ...]:
        rows = await self._readers.run(
            lambda connection: connection.execute(
                "SELECT limits FROM executions WHERE id = ?", (execution_id,)
            ).fetchall()
        )
        if not rows:
            raise NotFound("execution", execution_id)
        return limits_from_json(loads(rows[0][0])) if rows[0][0] else ()

    # last in the class, so that `list` means the type everywhere above
    async def list(self, where: ExecutionFilter, *, limit: int, cursor: str | None = None) -> Page[Execution]:
        check_limit(limit)
        after = None
        if cursor is not None:
            created_at, n = read_cursor("executions", cursor, int, int)
            after = (int(created_at), int(n))
        columns = f"json_array(created_at, n, json({ROW})) AS item"
        items, last = await self._readers.run(lambda connection: newest(connection, columns, where, limit + 1, after))
        more = len(items) > limit
        page = [shown_from(row) for _, _, row in items[:limit]]
        last = items[limit - 1][:2] if more else last
        return Page(page, make_cursor("executions", *last) if last else None)


def _one_text(sql: str, values: Sequence[Any]) -> Callable[[sqlite3.Connection], Any]:
    return lambda connection: loads(connection.execute(sql, values).fetchone()[0])


def _get(connection: sqlite3.Connection, execution_id: str) -> Execution:
    found = connection.execute(_WHOLE, (execution_id,)).fetchone()
    if found is None:
        raise NotFound("execution", execution_id)
    row, input, output, whole_input, whole_trigger = found
    try:
        execution = execution_from(loads(row), payload=True)
        execution.input = decoded(whole_input if input is None else input)
        execution.output = decoded(output)
        if whole_trigger is not None:
            execution.trigger = trigger_from(whole_trigger)
    except ValueError as error:
        raise RecordDamaged(f"Execution {execution_id} cannot be read from the store: {error}.") from None
    return execution


def _events(connection: sqlite3.Connection, execution_id: str, after: int, limit: int) -> list[bytes]:
    # seq is gapless, so a range of numbers bounds how much is read; whole batches come back, cut at the front only
    found = connection.execute(_EVENTS, {"id": execution_id, "after": after, "limit": limit}).fetchone()
    if found is None or found[0] <= after:
        return []
    last_seq, rows = found
    first, events = events_from(execution_id, rows)
    # the first batch may begin before `after`, never behind it
    if first > after + 1 or not events:
        raise EventsDamaged(execution_id, after + 1, first - 1 if events else last_seq)
    return events[after + 1 - first :]


_WHOLE = f"""
SELECT {ROW}, input, output,
  (SELECT body FROM payloads WHERE execution_id = id AND name = '$input'),
  (SELECT body FROM payloads WHERE execution_id = id AND name = '$trigger')
FROM executions WHERE id = ?
"""  # noqa: S608
_EVENTS = f"""
SELECT last_seq, (SELECT {EVENT_ROWS} FROM (
  SELECT first_seq, last_seq, body FROM events
    WHERE execution_id = :id AND first_seq <= :after + :limit AND first_seq >= (
      SELECT max(first_seq) FROM events WHERE execution_id = :id AND first_seq <= :after + 1)
    AND last_seq > :after ORDER BY first_seq)) FROM executions WHERE id = :id
"""  # noqa: S608
_OUTPUTS = """
SELECT name, body FROM payloads WHERE execution_id = :id
  AND (:wanted IS NULL AND name NOT LIKE '$%' OR name IN (SELECT value FROM json_each(:wanted)))
"""
_HOLDERS = """
SELECT json_group_array(id) FROM (
  SELECT id FROM executions WHERE limits IS NOT NULL AND finished_at IS NULL AND admitted = 1
    AND EXISTS (SELECT 1 FROM json_each(limits) AS l WHERE json_extract(l.value, '$[0]') = ?) ORDER BY n)
"""
