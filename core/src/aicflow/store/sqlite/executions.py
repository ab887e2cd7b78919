"""Executions on SQLite, and their queue, which is the same rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aicflow.kernel.errors import Conflict, EventsDamaged, NotFound, RecordDamaged
from aicflow.kernel.execution import TERMINAL_STATUSES, Execution
from aicflow.kernel.ports.executions import (
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionFilter,
    ItemResult,
    NewExecution,
    Page,
    Projection,
    SlotLimit,
    StoredAnswer,
    Subscription,
)
from aicflow.kernel.values import dumps, loads
from aicflow.removal import check_kept, parts_of
from aicflow.store.checks import check_append, check_events, check_limit, check_unmoved
from aicflow.store.concurrency import limits_from_json
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, now, seconds
from aicflow.store.needed import NEEDED, events_within, needed_ranges
from aicflow.store.rows import decoded, execution_from, shown_from, trigger_from
from aicflow.store.sqlite.batch import Append, Batch, Create, request_cancel
from aicflow.store.sqlite.event_rows import unpack
from aicflow.store.sqlite.part import Part, reads, writes
from aicflow.store.sqlite.queries import count_query, newest
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.rows import EVENT_ROWS, ROW, events_from
from aicflow.store.sqlite.writer import Writer


class SQLiteExecutions(Part):
    """Executions, their events and their queue."""

    def __init__(self, writer: Writer, readers: Readers, batch: Batch) -> None:
        super().__init__(writer, readers)
        self._batch = batch

    async def create(
        self, new: NewExecution, *, worker: str | None = None, lease: float = 0.0, at: float | None = None
    ) -> Created:
        check_events(new.events)
        result: Created = await self.writer.submit(Create(new, worker, lease, at))
        return result

    async def append(
        self,
        execution_id: str,
        epoch: int,
        batch: EventBatch,
        projection: Projection | None = None,
        outputs: Mapping[str, bytes] | None = None,
        consumed: Sequence[tuple[str, int]] = (),
        items: Sequence[ItemResult] = (),
        subscriptions: Sequence[Subscription] = (),
        files: Collection[str] = (),
    ) -> Appended:
        check_append(batch, projection)
        append = Append(execution_id, epoch, batch, projection, outputs, consumed, items, subscriptions, files)
        result: Appended = await self.writer.submit(append)
        return result

    @writes
    def claim(
        self,
        connection: sqlite3.Connection,
        worker: str,
        limit: int,
        *,
        lease: float,
        at: float | None = None,
        cancelled_only: bool = False,
        able: Collection[int] | None = None,
    ) -> list[Claimed]:
        """Take up to `limit` executions: first what was begun and goes on, then queued ones by priority and age."""
        instant = now(at)  # read in the writer's thread: a claim cannot be born expired
        next_ones = _CANCELLED if cancelled_only else _NEXT
        rows = loads(connection.execute(next_ones, {"now": micros(instant), "limit": limit}).fetchone()[0])
        if not rows:
            return []
        numbers = dumps([row[0] for row in rows]).decode()
        connection.execute(_CLAIM, (worker, micros(instant + lease), numbers))
        claimed = {}
        more = []
        for n, row, input, has_more in rows:
            execution = execution_from(row, payload=True)
            execution.status = "running"
            execution.epoch += 1
            execution.wake_at = None
            execution.input = decoded(input)
            claimed[n] = Claimed(execution, [], {}, [])
            if execution.last_seq > 1 or has_more:
                more.append(n)
        if more:
            for n, events, payloads, answers, items in connection.execute(_MORE, (dumps(more).decode(),)).fetchall():
                for step_id, index, succeeded in loads(items):
                    claimed[n].items.setdefault(step_id, {})[index] = bool(succeeded)
                try:
                    _complete(connection, claimed[n], events, payloads, answers)
                except EventsDamaged as damage:
                    claimed[n].damage = damage  # the others go on
        return list(claimed.values())

    @writes
    def renew(
        self, connection: sqlite3.Connection, worker: str, ids: Sequence[str], *, lease: float, at: float | None = None
    ) -> frozenset[str]:
        """Extend this worker's leases; returns which of them are to be cancelled."""
        wanted = dumps(ids).decode()
        connection.execute(_RENEW, (micros(now(at) + lease), wanted, worker))
        return frozenset(loads(connection.execute(_TO_CANCEL, (wanted, worker)).fetchone()[0]))

    @writes
    def hand_back(
        self,
        connection: sqlite3.Connection,
        worker: str,
        execution_id: str,
        epoch: int,
        requires: int | None = None,
    ) -> None:
        """Give up a claim; a stale one is quiet."""
        connection.execute(
            "UPDATE executions SET status = 'queued', worker = NULL, due_at = -1"
            " WHERE id = ? AND epoch = ? AND worker = ? AND status = 'running'",
            (execution_id, epoch, worker),
        )

    @writes
    def reclaim(self, connection: sqlite3.Connection, worker: str) -> int:
        """Put back into the queue whatever another worker holds."""
        return connection.execute(
            "UPDATE executions SET status = 'queued', worker = NULL, due_at = -1"
            " WHERE status = 'running' AND worker IS NOT ?",
            (worker,),
        ).rowcount

    @reads
    def next_due(
        self, connection: sqlite3.Connection, *, at: float | None = None, able: Collection[int] | None = None
    ) -> float | None:
        """Seconds until something becomes claimable by time."""
        due = connection.execute(_NEXT_DUE).fetchone()[0]
        return None if due is None else max(0.0, seconds(due) - now(at))

    @reads
    def backlog(self, connection: sqlite3.Connection, *, at: float | None = None) -> dict[int, tuple[int, float, int]]:
        """How many could be claimed, and for how long; how many run."""
        count, first, running = connection.execute(_BACKLOG, (micros(now(at)),)).fetchone()
        return {0: (count, 0.0 if first is None else now(at) - seconds(first), running)}

    @writes
    def request_cancel(self, connection: sqlite3.Connection, execution_id: str) -> Execution:
        """Note a cancel request; gives the row after it."""
        execution = _row(connection, execution_id)
        if execution.status in TERMINAL_STATUSES or execution.cancel_requested:
            return execution
        request_cancel(connection, [execution_id])
        self._batch.book(connection).cancel(execution_id)
        execution.cancel_requested = True
        return execution

    @writes
    def answer(
        self, connection: sqlite3.Connection, execution_id: str, answer: StoredAnswer, seen: int | None = None
    ) -> None:
        """Keep an answer and make its execution claimable."""
        execution = _row(connection, execution_id)
        # one that was handed back while it ran is queued again, and its parked steps wait on
        begun = execution.status == "queued" and execution.last_seq > 1
        if execution.status not in ("waiting", "running") and not begun:
            raise Conflict(
                f"Execution {execution_id} is {execution.status}; only a waiting step can be answered.",
                code="not-waiting",
            )
        if seen is not None and seen < execution.last_seq:
            check_unmoved(answer, _events(connection, execution_id, seen, execution.last_seq))
        added = connection.execute(
            "INSERT OR IGNORE INTO answers (execution_id, node_id, call, kind, value) VALUES (?, ?, ?, ?, ?)",
            (execution_id, answer.node_id, answer.call, answer.kind, answer.value),
        ).rowcount
        if not added:
            raise Conflict(f"Step {answer.node_id!r} of execution {execution_id} has an answer.", code="answered")
        connection.execute("UPDATE executions SET due_at = -1 WHERE id = ? AND status = 'waiting'", (execution_id,))

    @reads
    def get(self, connection: sqlite3.Connection, execution_id: str) -> Execution:
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

    @reads
    def count(self, connection: sqlite3.Connection, where: ExecutionFilter) -> dict[str, int]:
        return dict(connection.execute(*count_query(where)).fetchall())

    @reads
    def events(
        self, connection: sqlite3.Connection, execution_id: str, *, after: int = 0, limit: int = 1000
    ) -> list[bytes]:
        return _events(connection, execution_id, after, limit)

    @reads
    def needed(self, connection: sqlite3.Connection, execution_id: str) -> list[bytes]:
        body = connection.execute(_NEEDED, (execution_id,)).fetchone()
        found = connection.execute("SELECT last_seq, removed FROM executions WHERE id = ?", (execution_id,)).fetchone()
        if found is None:
            return []
        check_kept(execution_id, parts_of(found[1]), "events")
        if body is None:
            return _events(connection, execution_id, 0, found[0])
        return _needed(connection, execution_id, body[0], found[0])

    @reads
    def outputs(
        self, connection: sqlite3.Connection, execution_id: str, node_ids: Sequence[str] | None = None
    ) -> dict[str, bytes]:
        wanted = None if node_ids is None else dumps(node_ids).decode()
        return dict(connection.execute(_OUTPUTS, {"id": execution_id, "wanted": wanted}).fetchall())

    @reads
    def items(
        self,
        connection: sqlite3.Connection,
        execution_id: str,
        step_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        succeeded: bool | None = None,
    ) -> Sequence[ItemResult]:
        values = {"id": execution_id, "step": step_id, "after": after, "limit": limit, "succeeded": succeeded}
        return [
            ItemResult(
                step_id, i, bool(done), key, output and output.encode(), error and error.encode(), bool(masked), *seqs
            )
            for i, done, key, output, error, masked, *seqs in connection.execute(_ITEMS, values).fetchall()
        ]

    async def announced(self, *, limit: int) -> Sequence[str]:
        sql = "SELECT id FROM executions WHERE announce ORDER BY finished_at, id LIMIT ?"
        return [id for (id,) in await self.rows(sql, limit)]

    async def told(self, execution_ids: Sequence[str]) -> None:
        sql = "UPDATE executions SET announce = NULL WHERE id IN (SELECT value FROM json_each(?))"
        await self.write(sql, dumps(execution_ids).decode())

    async def slot_holders(self, key: str) -> list[str]:
        return [id for (id,) in await self.rows(_HOLDERS, key)]

    async def limits_of(self, execution_id: str) -> tuple[SlotLimit, ...]:
        rows = await self.rows("SELECT limits FROM executions WHERE id = ?", execution_id)
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
        items, last = await self.readers.run(lambda connection: newest(connection, columns, where, limit + 1, after))
        more = len(items) > limit
        page = [shown_from(row) for _, _, row in items[:limit]]
        last = items[limit - 1][:2] if more else last
        return Page(page, make_cursor("executions", *last) if last else None)


def _events(connection: sqlite3.Connection, execution_id: str, after: int, limit: int) -> list[bytes]:
    # seq is gapless, so a range of numbers bounds how much is read; whole batches come back, cut at the front only
    found = connection.execute(_EVENTS, {"id": execution_id, "after": after, "limit": limit}).fetchone()
    if found is None:
        return []
    last_seq, removed, rows = found
    check_kept(execution_id, parts_of(removed), "events")
    if last_seq <= after:
        return []
    first, events = events_from(execution_id, rows)
    # the first batch may begin before `after`, never behind it
    if first > after + 1 or not events:
        raise EventsDamaged(execution_id, after + 1, first - 1 if events else last_seq)
    return events[after + 1 - first :]


def _needed(connection: sqlite3.Connection, execution_id: str, needed: bytes, last_seq: int) -> list[bytes]:
    ranges = needed_ranges(loads(needed), last_seq)
    asked = {"id": execution_id, "ranges": dumps(ranges).decode()}
    batches = [
        (first, last, unpack(execution_id, first, last, body))
        for first, last, body in connection.execute(_RANGES, asked).fetchall()
    ]
    return events_within(execution_id, ranges, batches)


def _complete(
    connection: sqlite3.Connection, claimed: Claimed, events: str | None, payloads: str, answers: str
) -> None:
    execution = claimed.execution
    outputs = loads(payloads)
    if (needed := outputs.pop(NEEDED, None)) is not None:
        claimed.events = _needed(connection, execution.id, needed, execution.last_seq)
    elif execution.last_seq > 1:
        first, claimed.events = events_from(execution.id, events)
        if first != 1 or len(claimed.events) != execution.last_seq:
            missing = (1, first - 1) if first != 1 else (len(claimed.events) + 1, execution.last_seq)
            raise EventsDamaged(execution.id, *missing)
    for name, body in outputs.items():
        if name == "$input":
            claimed.execution.input = loads(body)
        elif name == "$trigger":
            claimed.execution.trigger = trigger_from(body)
        else:
            claimed.outputs[name] = body.encode()
    claimed.answers = [StoredAnswer(node, kind, value.encode(), call) for node, call, kind, value in loads(answers)]


def _row(connection: sqlite3.Connection, execution_id: str) -> Execution:
    found: Any = connection.execute(f"SELECT {ROW} FROM executions WHERE id = ?", (execution_id,)).fetchone()  # noqa: S608
    if found is None:
        raise NotFound("execution", execution_id)
    return execution_from(loads(found[0]))


_CLAIMABLE = f"""
SELECT json_group_array(json_array(n, {ROW}, CAST(input AS TEXT),
    EXISTS (SELECT 1 FROM payloads AS p WHERE p.execution_id = e.id)
    OR EXISTS (SELECT 1 FROM answers AS a WHERE a.execution_id = e.id)
    OR EXISTS (SELECT 1 FROM items AS i WHERE i.execution_id = e.id)))
FROM ("""  # noqa: S608
# the planner cannot know how few rows these partial indexes hold, so they are named
_NEXT = f"""{_CLAIMABLE}
  SELECT * FROM (SELECT n AS m, 0 AS lane, due_at AS turn, 0 AS rank
    FROM executions INDEXED BY executions_due
    WHERE status <> 'queued' AND due_at <= :now ORDER BY due_at, n LIMIT :limit)
  UNION ALL
  SELECT * FROM (SELECT n, 0, due_at, 0 FROM executions INDEXED BY executions_queued_due
    WHERE status = 'queued' AND due_at = -1 ORDER BY due_at, n LIMIT :limit)
  UNION ALL
  SELECT * FROM (SELECT n, 1, 0, priority FROM executions INDEXED BY executions_ready
    WHERE status = 'queued' AND due_at IS NOT NULL AND due_at BETWEEN 0 AND :now ORDER BY priority DESC, n LIMIT :limit)
  ORDER BY lane, turn, rank DESC, m LIMIT :limit
) CROSS JOIN executions AS e ON e.n = m
"""  # noqa: S608
_CANCELLED = f"""{_CLAIMABLE}
  SELECT n AS m FROM executions INDEXED BY executions_due
    WHERE status <> 'queued' AND due_at = -1 AND cancel_requested AND :now NOT NULL
  UNION ALL
  SELECT n FROM executions INDEXED BY executions_queued_due
    WHERE status = 'queued' AND due_at = -1 AND cancel_requested
  ORDER BY m LIMIT :limit
) CROSS JOIN executions AS e ON e.n = m
"""  # noqa: S608
_CLAIM = """
UPDATE executions SET status = 'running', epoch = epoch + 1, worker = ?, due_at = ?, wake_at = NULL
  WHERE n IN (SELECT value FROM json_each(?))
"""
_MORE = f"""
SELECT n,
  (SELECT {EVENT_ROWS} FROM (
    SELECT first_seq, last_seq, body FROM events WHERE execution_id = e.id
      AND NOT EXISTS (SELECT 1 FROM stored WHERE execution_id = e.id AND name = '{NEEDED}') ORDER BY first_seq)),
  (SELECT json_group_object(name, CAST(body AS TEXT)) FROM stored
    WHERE execution_id = e.id AND (name LIKE '$%' OR instr(name, '.') = 0)),
  (SELECT json_group_array(json_array(node_id, call, kind, CAST(value AS TEXT))) FROM answers
    WHERE execution_id = e.id),
  (SELECT json_group_array(json_array(step_id, i, succeeded)) FROM items WHERE execution_id = e.id)
FROM executions AS e WHERE n IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_RENEW = """
UPDATE executions SET due_at = ?
  WHERE id IN (SELECT value FROM json_each(?)) AND worker = ? AND +status = 'running'
"""
_TO_CANCEL = """
SELECT json_group_array(id) FROM executions
  WHERE id IN (SELECT value FROM json_each(?)) AND worker = ? AND +status = 'running' AND cancel_requested
"""
_BACKLOG = """
SELECT count(*), min(nullif(due_at, -1)), (SELECT count(*) FROM executions WHERE status = 'running')
  FROM executions INDEXED BY executions_queued_due
  WHERE status = 'queued' AND due_at IS NOT NULL AND due_at <= ?
"""
_NEXT_DUE = """
SELECT min(due) FROM (
  SELECT min(due_at) AS due FROM executions INDEXED BY executions_due WHERE status <> 'queued' AND due_at IS NOT NULL
  UNION ALL
  SELECT min(due_at) FROM executions INDEXED BY executions_queued_due WHERE status = 'queued' AND due_at IS NOT NULL)
"""
_WHOLE = f"""
SELECT {ROW}, input,
  coalesce(output, (SELECT body FROM stored WHERE execution_id = id AND name = '$output')),
  (SELECT body FROM stored WHERE execution_id = id AND name = '$input'),
  (SELECT body FROM stored WHERE execution_id = id AND name = '$trigger')
FROM executions WHERE id = ?
"""  # noqa: S608
_EVENTS = f"""
SELECT last_seq, removed, (SELECT {EVENT_ROWS} FROM (
  SELECT first_seq, last_seq, body FROM events
    WHERE execution_id = :id AND first_seq <= :after + :limit AND first_seq >= (
      SELECT max(first_seq) FROM events WHERE execution_id = :id AND first_seq <= :after + 1)
    AND last_seq > :after ORDER BY first_seq)) FROM executions WHERE id = :id
"""  # noqa: S608
_NEEDED = f"SELECT body FROM stored WHERE execution_id = ? AND name = '{NEEDED}'"  # noqa: S608
_RANGES = """
SELECT e.first_seq, e.last_seq, e.body FROM json_each(:ranges) AS r CROSS JOIN events AS e
  ON e.execution_id = :id AND e.first_seq <= r.value ->> 1 AND e.first_seq >= (
    SELECT max(first_seq) FROM events WHERE execution_id = :id AND first_seq <= r.value ->> 0)
  GROUP BY e.first_seq ORDER BY e.first_seq
"""
_OUTPUTS = """
SELECT name, body FROM stored WHERE execution_id = :id
  AND (:wanted IS NULL AND name NOT LIKE '$%' OR name IN (SELECT value FROM json_each(:wanted)))
"""
_ITEMS = """
SELECT i, succeeded, key, output, error, masked, first_seq, last_seq FROM items
  WHERE execution_id = :id AND step_id = :step AND i > :after AND (:succeeded IS NULL OR succeeded = :succeeded)
  ORDER BY i LIMIT :limit
"""
_HOLDERS = """
SELECT id FROM executions WHERE limits IS NOT NULL AND finished_at IS NULL AND admitted = 1
  AND EXISTS (SELECT 1 FROM json_each(limits) AS l WHERE json_extract(l.value, '$[0]') = ?) ORDER BY n
"""
