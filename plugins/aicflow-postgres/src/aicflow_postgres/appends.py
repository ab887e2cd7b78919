"""Writing what executions tell: a few statements for all of a group.

The rows of the group, and those of the parents of what ends, are locked first and in one order. After that nothing
that decides about an append can change, and each statement sees all that was committed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aicflow.ports import Appended, ConcurrencyLimiter, StaleClaim, StoredAnswer, Subscription, micros

from aicflow_postgres.creates import hold_files, write_items, write_payloads
from aicflow_postgres.database import AT_ONCE, Connection, fetch, send
from aicflow_postgres.operations import Append, LimitsUnknown
from aicflow_postgres.slots import SlotBooks
from aicflow_postgres.values import LARGE, indexed


async def write_appends(
    connection: Connection, appends: Sequence[Append], lines: Mapping[str, ConcurrencyLimiter], books: SlotBooks
) -> None:
    """Write them; each gets its result or its error."""
    # an event that is sent at this moment either sees a wait that begins here, or is seen by it
    if names := sorted({wait.name for op in appends for wait in op.subscriptions if wait.name is not None}):
        await send(connection, LOCK_EVENTS, names)
    held = await _lock(connection, appends)
    good: list[Append] = []
    for op in appends:
        row = held.get(op.execution_id)
        if row is not None and row.fits(op):
            op.result = Appended(cancel_requested=row.cancel_requested)
            good.append(op)
        elif row is None or row.epoch != op.epoch or not await _is_written(connection, op):
            op.error = StaleClaim(op.execution_id)
        else:
            op.result = Appended(cancel_requested=row.cancel_requested)
    ending = [op for op in good if op.ends]
    for op in ending:
        row = held[op.execution_id]
        if row.limited and row.workflow_id not in lines:
            books.note(op.execution_id, row.workflow_id)
            raise LimitsUnknown
    await _write_parts(connection, good)
    await _write_rows(connection, good, ending=bool(ending))
    for op in good:
        if op.subscriptions:
            await _subscribe(connection, op)
    if ending:
        await _end(connection, ending, held, lines, books)
    for op in appends:
        if op.subscriptions and op.result is not None:
            found = await fetch(connection, _ANSWERS, op.execution_id)
            op.result.answers = tuple(StoredAnswer(node, kind, bytes(value), call) for node, kind, value, call in found)


class _Held:
    """A locked row, as far as it decides."""

    def __init__(self, row: Sequence[Any]) -> None:
        _, self.epoch, self.last_seq, self.status, self.cancel_requested, self.limited, self.workflow_id, *parent = row
        self.parent: str | None = parent[0]

    def fits(self, op: Append) -> bool:
        return bool(self.status == "running" and self.epoch == op.epoch and self.last_seq == op.batch.first_seq - 1)


async def _lock(connection: Connection, appends: Sequence[Append]) -> dict[str, _Held]:
    ids = [op.execution_id for op in appends]
    ending = [op.execution_id for op in appends if op.ends]
    return {row[0]: _Held(row) for row in await fetch(connection, _LOCK, ids, ending)}


async def _is_written(connection: Connection, op: Append) -> bool:
    """Whether a refused append was refused because it is stored already."""
    found = await fetch(connection, _WRITTEN, op.execution_id, op.batch.first_seq)
    return bool(found) and bytes(found[0][0]) == op.body


async def _write_parts(connection: Connection, good: Sequence[Append]) -> None:
    payloads: list[tuple[str, str, bytes]] = []
    consumed: list[tuple[str, str, int]] = []
    for op in good:
        payloads += [(op.execution_id, name, body) for name, body in (op.outputs or {}).items()]
        consumed += [(op.execution_id, node_id, call) for node_id, call in op.consumed]
        if op.projection is not None and op.projection.output is not None and len(op.projection.output) >= LARGE:
            payloads.append((op.execution_id, "$output", op.projection.output))
    await write_payloads(connection, payloads)
    if consumed:
        await send(connection, _CONSUME, *map(list, zip(*consumed, strict=True)))
    kept = []
    for op in good:
        forgotten = tuple(item.step_id for item in op.items if item.index < 0)
        last = max((at for at, item in enumerate(op.items, 1) if item.index < 0), default=0)
        for step_id in forgotten:
            await send(connection, _NO_ITEMS, op.execution_id, step_id)
        kept += [
            (op.execution_id, item)
            for at, item in enumerate(op.items)
            if item.index >= 0 and (at >= last or not item.step_id.startswith(forgotten))
        ]
    await write_items(connection, kept)
    await hold_files(connection, [(op.execution_id, sha256) for op in good for sha256 in op.files])


async def _write_rows(connection: Connection, good: Sequence[Append], *, ending: bool) -> None:
    rows: list[tuple[Any, ...]] = []
    for op in good:
        first_seq = op.batch.first_seq
        last_seq = first_seq + len(op.batch.events) - 1
        row = (op.execution_id, first_seq, last_seq, op.body)
        projection = op.projection
        if projection is None:
            rows.append((*row, None, None, None, None, None, None, False))
            continue
        output = projection.output
        rows.append(
            (
                *row,
                None if projection.status == "running" else projection.status,
                micros(projection.started_at),
                micros(projection.finished_at),
                None if output is not None and len(output) >= LARGE else output,
                projection.error,
                micros(projection.wake_at),
                projection.announce,
            )
        )
    if rows:
        await send(connection, _WRITE_AND_CLEAN if ending else _WRITE, *map(list, zip(*rows, strict=True)))


async def _subscribe(connection: Connection, op: Append) -> None:
    for wait in op.subscriptions:
        place = (op.execution_id, wait.node_id, wait.call)
        await send(connection, _NO_SUBSCRIPTION, *place)
        # what came at the last moment is there for the next wait
        await send(connection, _NO_ANSWER, *place)
        await send(connection, _NOT_RECEIVED, *place)
        if wait.name is not None:
            await _await_event(connection, op.execution_id, wait, wait.name)


async def _await_event(connection: Connection, execution_id: str, wait: Subscription, name: str) -> None:
    key = None if wait.key is None else indexed(wait.key)
    found = await fetch(connection, _EARLY, name, key, key, micros(wait.at), execution_id)
    if found:
        await receive(connection, found[0][0], [(execution_id, wait.node_id, wait.call)])
    else:
        await send(connection, _SUBSCRIPTION, execution_id, wait.node_id, wait.call, name, key, micros(wait.at))


async def receive(connection: Connection, event: int, waits: Sequence[tuple[str, str, int]]) -> None:
    """The event is what these waits, each of another execution, are answered with."""
    columns = [list(column) for column in zip(*waits, strict=True)]
    await send(connection, _RECEIPTS, event, *columns)
    await send(connection, _ANSWER_WAITS, *columns, event)
    await send(connection, "UPDATE sent_events SET received = received + %b::int WHERE n = %b", len(waits), event)
    await send(connection, _DONE_WAITING, *columns)
    await send(connection, WAKE, columns[0])


async def _end(
    connection: Connection,
    ending: Sequence[Append],
    held: Mapping[str, _Held],
    lines: Mapping[str, ConcurrencyLimiter],
    books: SlotBooks,
) -> None:
    # the end of a child is the answer that its parent's step waits for
    children = [op.execution_id for op in ending if held[op.execution_id].parent is not None]
    if children:
        await send(connection, _ANSWER_PARENTS, children)
        await send(connection, _WAKE_PARENTS, children)
    promoted: list[str] = []
    for op in ending:
        row = held[op.execution_id]
        if row.limited:
            assert op.result is not None
            op.result.admitted = lines[row.workflow_id].release(op.execution_id)
            promoted += op.result.admitted
            books.ended(op.execution_id)
    if promoted:
        await send(connection, _PROMOTE, promoted)


_LOCK = """
SELECT id, epoch, last_seq, status, cancel_requested, limits IS NOT NULL, workflow_id, parent_execution_id
  FROM executions WHERE id = ANY(%b::text[])
    OR id IN (SELECT parent_execution_id FROM executions WHERE id = ANY(%b::text[]) AND parent_node_id IS NOT NULL)
  ORDER BY n FOR UPDATE
"""
_WRITTEN = "SELECT body FROM events WHERE execution_id = %b AND first_seq = %b"
_CONSUME = """
DELETE FROM answers AS a USING unnest(%b::text[], %b::text[], %b::int[]) AS c(id, node_id, call)
  WHERE a.execution_id = c.id AND a.node_id = c.node_id AND a.call = c.call
"""
_NO_ITEMS = "DELETE FROM items WHERE execution_id = %b AND starts_with(step_id, %b::text)"
# without a status the claim goes on, and no indexed column changes its value
_WRITE = f"""
WITH a AS MATERIALIZED (SELECT * FROM unnest(%b::text[], %b::int[], %b::int[], %b::bytea[], %b::text[], %b::bigint[],
    %b::bigint[], %b::bytea[], %b::bytea[], %b::bigint[], %b::boolean[])
  AS a(id, first_seq, last_seq, body, status, started_at, finished_at, output, error, wake_at, announce)),
v AS (INSERT INTO events SELECT id, first_seq, last_seq, body FROM a WHERE body IS NOT NULL)
UPDATE executions AS e SET last_seq = a.last_seq, started_at = coalesce(a.started_at, e.started_at),
    status = coalesce(a.status, e.status), finished_at = a.finished_at, output = a.output, error = a.error,
    wake_at = a.wake_at, announce = a.announce, worker = CASE WHEN a.status IS NULL THEN e.worker END,
    due_at = CASE
      WHEN a.status IS NULL THEN e.due_at
      WHEN a.finished_at IS NOT NULL THEN NULL
      WHEN e.cancel_requested OR EXISTS (SELECT 1 FROM answers WHERE execution_id = e.id) THEN {AT_ONCE}
      ELSE a.wake_at END
  FROM a WHERE e.id = a.id
"""  # noqa: S608
# sealed values go with the end; a child's sealed output with the end of its parent
_WRITE_AND_CLEAN = _WRITE.replace(
    "UPDATE executions AS e",
    """, z AS MATERIALIZED (SELECT id FROM a WHERE finished_at IS NOT NULL),
z1 AS (DELETE FROM answers WHERE execution_id IN (SELECT id FROM z)),
z2 AS (DELETE FROM subscriptions WHERE execution_id IN (SELECT id FROM z)),
z3 AS (DELETE FROM receipts WHERE execution_id IN (SELECT id FROM z)),
z4 AS (DELETE FROM payloads WHERE execution_id IN (SELECT id FROM z) AND starts_with(name, '$sealed:')),
z5 AS (DELETE FROM payloads WHERE name = '$sealed' AND execution_id IN (
  SELECT id FROM executions WHERE parent_execution_id IN (SELECT id FROM z)))
UPDATE executions AS e""",
    1,
)
_ANSWERS = "SELECT node_id, kind, value, call FROM answers WHERE execution_id = %b ORDER BY node_id, call"
_NO_SUBSCRIPTION = "DELETE FROM subscriptions WHERE execution_id = %b AND node_id = %b AND call = %b"
_NO_ANSWER = "DELETE FROM answers WHERE execution_id = %b AND node_id = %b AND call = %b"
_NOT_RECEIVED = """
WITH r AS (DELETE FROM receipts WHERE execution_id = %b AND node_id = %b AND call = %b RETURNING event)
UPDATE sent_events SET received = received - 1 WHERE n IN (SELECT event FROM r)
"""
LOCK_EVENTS = """
SELECT pg_advisory_xact_lock(hashtextextended('aicflow event ' || name, 0)) FROM unnest(%b::text[]) AS a(name)
"""
_EARLY = """
SELECT n FROM sent_events AS s
  WHERE name = %b AND (%b::bytea IS NULL OR key = %b::bytea) AND expires_at > %b
    AND NOT EXISTS (SELECT 1 FROM receipts WHERE execution_id = %b AND event = s.n)
  ORDER BY n LIMIT 1
"""
_SUBSCRIPTION = """
INSERT INTO subscriptions (execution_id, node_id, call, name, key, since) VALUES (%b, %b, %b, %b, %b, %b)
"""
_RECEIPTS = """
INSERT INTO receipts (execution_id, event, node_id, call)
  SELECT w.id, %b::bigint, w.node_id, w.call FROM unnest(%b::text[], %b::text[], %b::int[]) AS w(id, node_id, call)
"""
_ANSWER_WAITS = """
INSERT INTO answers (execution_id, node_id, call, kind, value)
  SELECT w.id, w.node_id, w.call, 'answered', s.body
    FROM sent_events AS s, unnest(%b::text[], %b::text[], %b::int[]) AS w(id, node_id, call) WHERE s.n = %b
  ON CONFLICT DO NOTHING
"""
_DONE_WAITING = """
DELETE FROM subscriptions AS s USING unnest(%b::text[], %b::text[], %b::int[]) AS w(id, node_id, call)
  WHERE s.execution_id = w.id AND s.node_id = w.node_id AND s.call = w.call
"""
WAKE = f"UPDATE executions SET due_at = {AT_ONCE} WHERE id = ANY(%b::text[]) AND status = 'waiting'"  # noqa: S608
_ANSWER_PARENTS = """
INSERT INTO answers (execution_id, node_id, call, kind, value)
  SELECT p.id, c.parent_node_id, c.parent_call, 'answered', convert_to('{"child":"' || c.id || '"}', 'UTF8')
    FROM executions AS c JOIN executions AS p ON p.id = c.parent_execution_id
    WHERE c.id = ANY(%b::text[]) AND c.parent_node_id IS NOT NULL AND p.finished_at IS NULL
  ON CONFLICT DO NOTHING
"""
_WAKE_PARENTS = f"""
UPDATE executions AS p SET due_at = {AT_ONCE} FROM executions AS c
  WHERE c.id = ANY(%b::text[]) AND c.parent_node_id IS NOT NULL AND p.id = c.parent_execution_id
    AND p.status = 'waiting'
"""  # noqa: S608
_PROMOTE = f"""
UPDATE executions SET admitted = true, due_at = CASE WHEN cancel_requested THEN {AT_ONCE} ELSE available_at END
  WHERE id = ANY(%b::text[]) AND status = 'queued'
"""  # noqa: S608
