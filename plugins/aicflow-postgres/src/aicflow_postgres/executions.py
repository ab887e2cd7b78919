"""Executions on PostgreSQL, and their queue, which is the same rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aicflow.ports import (
    NEEDED,
    TERMINAL_STATUSES,
    Appended,
    Claimed,
    Conflict,
    Created,
    EventBatch,
    EventsDamaged,
    Execution,
    ExecutionFilter,
    ItemResult,
    NewExecution,
    NotFound,
    Page,
    Projection,
    RecordDamaged,
    SlotLimit,
    StoredAnswer,
    Subscription,
    check_append,
    check_events,
    check_kept,
    check_limit,
    check_unmoved,
    decoded,
    events_within,
    execution_from,
    limits_from_json,
    loads,
    make_cursor,
    micros,
    needed_ranges,
    parts_of,
    read_cursor,
    seconds,
    shown_from,
    trigger_from,
)

from aicflow_postgres.appends import WAKE
from aicflow_postgres.creates import REQUEST_CANCEL
from aicflow_postgres.database import (
    AT_ONCE,
    AT_ONCE_BEFORE,
    NOW,
    STEADY_NOW,
    Connection,
    Database,
    Part,
    fetch,
    send,
    writes,
)
from aicflow_postgres.floors import READY, SPECIAL, Floors, Lanes
from aicflow_postgres.groups import Groups
from aicflow_postgres.operations import Append, Create
from aicflow_postgres.queries import count, newest
from aicflow_postgres.slots import SlotBooks
from aicflow_postgres.values import ROW, text_of


class PostgresExecutions(Part):
    """Executions, their events and their queue."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._books = SlotBooks()
        self._floors = Floors(database)
        self.groups = Groups(database, self._books)

    async def create(
        self, new: NewExecution, *, worker: str | None = None, lease: float = 0.0, at: float | None = None
    ) -> Created:
        check_events(new.events)
        return await self.groups.create(Create(new, worker, lease, at))

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
        return await self.groups.append(append)

    async def claim(
        self,
        worker: str,
        limit: int,
        *,
        lease: float,
        at: float | None = None,
        cancelled_only: bool = False,
        able: Collection[int] | None = None,
    ) -> list[Claimed]:
        """Take up to `limit` executions: first what was begun and goes on, then queued ones by priority and age."""
        instant = micros(at)
        taken = (limit, worker, instant, micros(lease))
        if cancelled_only:
            if able is None:
                return await self._claim(_CLAIM_CANCELLED, limit, *taken)
            return await self._claim(_CLAIM_CANCELLED_ABLE, list(able), limit, *taken)
        floors = await self._floors.look(clock=at is None)
        sql = CLAIM if able is None else _CLAIM_ABLE
        claimed = await self._claim(sql, *lane_values(floors, instant, limit, able), *taken)
        self._floors.taken += len(claimed)
        return claimed

    @writes
    async def _claim(self, connection: Connection, sql: str, *values: Any) -> list[Claimed]:
        rows = await fetch(connection, sql, *values)
        claimed: dict[str, Claimed] = {}
        more: list[str] = []
        for _, input, has_more, *row in sorted(rows, key=lambda row: row[0]):
            execution = execution_from(row, payload=True)
            execution.input = decoded(input)
            claimed[execution.id] = Claimed(execution, [], {}, [])
            if row[15]:
                self._books.note(execution.id, execution.workflow_id)
            if execution.last_seq > 1 or has_more:
                more.append(execution.id)
        if more:
            await _complete(connection, {id: claimed[id] for id in more})
        return list(claimed.values())

    async def renew(self, worker: str, ids: Sequence[str], *, lease: float, at: float | None = None) -> frozenset[str]:
        """Extend this worker's leases; returns which of them are to be cancelled."""
        rows = await self.rows(_RENEW, list(ids), micros(at), micros(lease), worker)
        return frozenset(id for id, cancelled in rows if cancelled)

    async def hand_back(self, worker: str, execution_id: str, epoch: int, requires: int | None = None) -> None:
        await self.rows(_HAND_BACK, requires, execution_id, epoch, worker)

    async def reclaim(self, worker: str) -> int:
        """Put back into the queue whatever another worker holds. Never called of a shared store by its hosts."""
        return int((await self.rows(_RECLAIM, worker))[0][0])

    async def next_due(self, *, at: float | None = None, able: Collection[int] | None = None) -> float | None:
        """Seconds until something becomes claimable by time. A lease is among it once it has run out."""
        floors, instant = self._floors.last(clock=at is None), micros(at)
        # with an instant of the caller's own, leases count to the last one
        until = instant if instant is None else 2**62
        own = () if able is None else (list(able),)
        lanes = (floors.at_once, *own, floors.waits, *own, floors.leases, until, *own)
        ready = (*own, floors.ready, floors.special, *own, *own)
        due, now = (await self.rows(_NEXT_DUE_ABLE if own else _NEXT_DUE, *lanes, *ready, instant))[0]
        return None if due is None else max(0.0, seconds(due - now))

    async def backlog(self, *, at: float | None = None) -> dict[int, tuple[int, float, int]]:
        """How many could be claimed, and for how long; how many run."""
        rows = await self.rows(_BACKLOG, micros(at))
        return {requires: (queued, max(0.0, seconds(since or 0)), running) for requires, queued, since, running in rows}

    @writes
    async def request_cancel(self, connection: Connection, execution_id: str) -> Execution:
        """Note a cancel request; gives the row after it."""
        limited = await fetch(connection, _LIMITED, execution_id)
        # the line first, as everywhere, then the row
        lines = await self._books.lock(connection, [limited[0][0]]) if limited else {}
        execution = await _locked(connection, execution_id)
        if execution.finished_at is None and not execution.cancel_requested:
            for line in lines.values():
                line.cancel(execution_id)
            await send(connection, REQUEST_CANCEL, [execution_id])
        execution.cancel_requested |= execution.status not in TERMINAL_STATUSES
        return execution

    @writes
    async def answer(
        self, connection: Connection, execution_id: str, answer: StoredAnswer, seen: int | None = None
    ) -> None:
        """Keep an answer and make its execution claimable."""
        execution = await _locked(connection, execution_id)
        # one that was handed back while it ran is queued again, and its parked steps wait on
        begun = execution.status == "queued" and execution.last_seq > 1
        if execution.status not in ("waiting", "running") and not begun:
            raise Conflict(
                f"Execution {execution_id} is {execution.status}; only a waiting step can be answered.",
                code="not-waiting",
            )
        if seen is not None and seen < execution.last_seq:
            check_unmoved(answer, await _events(connection, execution_id, seen, execution.last_seq))
        place = (execution_id, answer.node_id, answer.call)
        if not await fetch(connection, _ANSWER, *place, answer.kind, answer.value):
            raise Conflict(f"Step {answer.node_id!r} of execution {execution_id} has an answer.", code="answered")
        await send(connection, WAKE, [execution_id])

    async def get(self, execution_id: str) -> Execution:
        found = await self.rows(_WHOLE, execution_id)
        if not found:
            raise NotFound("execution", execution_id)
        input, output, whole_trigger, *row = found[0]
        try:
            execution = execution_from(row, payload=True)
            execution.input = decoded(input)
            execution.output = decoded(output)
            if whole_trigger is not None:
                execution.trigger = trigger_from(whole_trigger)
        except ValueError as error:
            raise RecordDamaged(f"Execution {execution_id} cannot be read from the store: {error}.") from None
        return execution

    async def count(self, where: ExecutionFilter) -> dict[str, int]:
        async with self.database.connection() as connection:
            return await count(connection, where)

    async def events(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[bytes]:
        async with self.database.connection() as connection:
            return await _events(connection, execution_id, after, limit)

    async def needed(self, execution_id: str) -> list[bytes]:
        async with self.database.connection() as connection:
            rows = await fetch(connection, _WHAT_IS_NEEDED, execution_id)
            if not rows:
                return []
            last_seq, removed, needed = rows[0]
            check_kept(execution_id, parts_of(removed), "events")
            if needed is None:
                return await _events(connection, execution_id, 0, last_seq)
            return await _needed(connection, execution_id, needed, last_seq)

    async def outputs(self, execution_id: str, node_ids: Sequence[str] | None = None) -> dict[str, bytes]:
        if node_ids is None:
            rows = await self.rows(_OUTPUTS, execution_id)
        else:
            rows = await self.rows(_NAMED_OUTPUTS, execution_id, list(node_ids))
        return {name: bytes(body) for name, body in rows}

    async def items(
        self,
        execution_id: str,
        step_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        succeeded: bool | None = None,
    ) -> Sequence[ItemResult]:
        rows = await self.rows(_ITEMS, execution_id, step_id, after, succeeded, succeeded, limit)
        return [
            ItemResult(step_id, i, ok, text_of(key), output, error, masked, *seqs)
            for i, ok, key, output, error, masked, *seqs in rows
        ]

    async def announced(self, *, limit: int) -> Sequence[str]:
        sql = "SELECT id FROM executions WHERE announce ORDER BY finished_at, id LIMIT %b"
        return [id for (id,) in await self.rows(sql, limit)]

    async def told(self, execution_ids: Sequence[str]) -> None:
        await self.rows(_TOLD, list(execution_ids))

    async def slot_holders(self, key: str) -> list[str]:
        rows = await self.rows(_HOLDERS, f"%{_like(key)}%")
        return [id for id, limits in rows if any(limit.key == key for limit in limits_from_json(loads(limits)))]

    async def limits_of(self, execution_id: str) -> tuple[SlotLimit, ...]:
        rows = await self.rows("SELECT limits FROM executions WHERE id = %b", execution_id)
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
        async with self.database.connection() as connection:
            items, last = await newest(connection, where, limit + 1, after)
        if len(items) > limit:
            last = (items[limit - 1][0], items[limit - 1][1])
        return Page([shown_from(row[2:]) for row in items[:limit]], make_cursor("executions", *last) if last else None)


async def _events(connection: Connection, execution_id: str, after: int, limit: int) -> list[bytes]:
    # seq is gapless, so a range of numbers bounds how much is read; whole batches come back, cut at the front only
    rows = await fetch(connection, _EVENTS, after + limit, after, execution_id, after + 1, execution_id)
    if rows:
        check_kept(execution_id, parts_of(rows[0][4]), "events")
    batches = [row[1:4] for row in rows if row[1] is not None]
    if not rows or (not batches and rows[0][0] <= after):
        return []
    first, events = _unpacked(execution_id, batches)
    # the first batch may begin before `after`, never behind it
    if first > after + 1 or not events:
        raise EventsDamaged(execution_id, after + 1, first - 1 if events else rows[0][0])
    return events[after + 1 - first :]


async def _complete(connection: Connection, claimed: Mapping[str, Claimed]) -> None:
    """Add what an execution that goes on needs."""
    ids = list(claimed)
    batches: dict[str, list[Sequence[Any]]] = {id: [] for id in ids}
    needed: dict[str, bytes] = {}
    for id, *row in await fetch(connection, _CLAIMED_EVENTS, ids, ids):
        batches[id].append(row)
    for id, name, body in await fetch(connection, _CLAIMED_PAYLOADS, ids):
        execution = claimed[id].execution
        try:
            if name == "$input":
                execution.input = loads(body)
            elif name == "$trigger":
                execution.trigger = trigger_from(body)
            elif name == NEEDED:
                needed[id] = body
            else:
                claimed[id].outputs[name] = bytes(body)
        except ValueError:
            claimed[id].damage = EventsDamaged(id, 1, 1)
    for id, node, kind, value, call in await fetch(connection, _CLAIMED_ANSWERS, ids):
        claimed[id].answers.append(StoredAnswer(node, kind, bytes(value), call))
    for id, step_id, i, succeeded in await fetch(connection, _CLAIMED_ITEMS, ids):
        claimed[id].items.setdefault(step_id, {})[i] = succeeded
    for id, one in claimed.items():
        last_seq = one.execution.last_seq
        if last_seq == 1:
            continue
        try:
            if id in needed:
                one.events = await _needed(connection, id, needed[id], last_seq)
                continue
            first, one.events = _unpacked(id, batches[id])
            if first != 1 or len(one.events) != last_seq:
                missing = (1, first - 1) if first != 1 else (len(one.events) + 1, last_seq)
                raise EventsDamaged(id, *missing)
        except EventsDamaged as damage:
            one.damage = damage  # the others go on


async def _needed(connection: Connection, execution_id: str, needed: bytes, last_seq: int) -> list[bytes]:
    ranges = needed_ranges(loads(needed), last_seq)
    firsts, lasts = [first for first, _ in ranges], [last for _, last in ranges]
    rows = await fetch(connection, _RANGES, firsts, lasts, execution_id, execution_id)
    batches = [(first, last, _unpacked(execution_id, [(first, last, body)])[1]) for first, last, body in rows]
    return events_within(execution_id, ranges, batches)


def _unpacked(execution_id: str, batches: Sequence[Sequence[Any]]) -> tuple[int, list[bytes]]:
    """The number of the first event of rows (first_seq, last_seq, body), and the events. Raises EventsDamaged."""
    events: list[bytes] = []
    first = batches[0][0] if batches else 1
    for first_seq, last_seq, body in batches:
        if first_seq != first + len(events):
            raise EventsDamaged(execution_id, first + len(events), first_seq - 1)
        lines = bytes(body).split(b"\n")
        try:
            numbers = [loads(line)["seq"] for line in lines]
        except (ValueError, KeyError, TypeError):
            numbers = []
        if numbers != list(range(first_seq, last_seq + 1)):
            raise EventsDamaged(execution_id, first_seq, last_seq)
        events += lines
    return first, events


async def _locked(connection: Connection, execution_id: str) -> Execution:
    rows = await fetch(connection, f"SELECT {ROW} FROM executions AS e WHERE id = %b FOR UPDATE", execution_id)  # noqa: S608
    if not rows:
        raise NotFound("execution", execution_id)
    return execution_from(rows[0])


def lane_values(floors: Lanes, instant: int | None, limit: int, able: Collection[int] | None = None) -> tuple[Any, ...]:
    """What the lanes of `CLAIM` are given; with `able`, those of one for a worker that cannot run everything."""
    own = () if able is None else (list(able),)
    going_on = [value for floor in (floors.waits, floors.leases) for value in (floor, instant, *own, limit)]
    ready = (*own, floors.ready, instant, limit)
    return floors.at_once, *own, limit, *going_on, *ready, floors.special, instant, *own, limit, instant, *own, limit


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped if escaped.isascii() and escaped.isprintable() and '"' not in escaped else ""


_TAKE = f"""
UPDATE executions AS e
  SET status = 'running', epoch = e.epoch + 1, worker = %b, due_at = coalesce(%b::bigint, {NOW}) + %b::bigint,
    wake_at = NULL
  FROM chosen AS c WHERE e.n = c.n
  RETURNING c.turn, e.input,
    EXISTS (SELECT 1 FROM payloads WHERE execution_id = e.id)
    OR EXISTS (SELECT 1 FROM answers WHERE execution_id = e.id)
    OR EXISTS (SELECT 1 FROM items WHERE execution_id = e.id), {ROW}
"""  # noqa: S608
_ABLE = "AND (requires = ANY(%b::int[]) OR (cancel_requested AND last_seq = 1))"
_PLACE = "(requires::bigint << 42) + n"
_READY = f"""
  SELECT n FROM executions WHERE {READY} AND n >= %b::bigint AND due_at <= coalesce(%b::bigint, {STEADY_NOW})
    ORDER BY n LIMIT %b FOR UPDATE SKIP LOCKED"""  # noqa: S608
_READY_ABLE = f"""
  SELECT r.n FROM unnest(%b::int[]) AS a(able), LATERAL (
    SELECT n FROM executions
      WHERE {READY} AND {_PLACE} >= (a.able::bigint << 42) + %b::bigint AND {_PLACE} < (a.able + 1)::bigint << 42
        AND due_at <= coalesce(%b::bigint, {STEADY_NOW})
      ORDER BY {_PLACE} LIMIT %b FOR UPDATE SKIP LOCKED) AS r"""  # noqa: S608
_LANES = f"""
WITH at_once AS (
  SELECT n, due_at FROM executions WHERE due_at < 0 AND due_at >= %b::bigint {{able}}
    ORDER BY due_at, n LIMIT %b FOR UPDATE SKIP LOCKED),
woken AS (
  SELECT n, due_at FROM executions
    WHERE status = 'waiting' AND due_at >= 0 AND due_at >= %b::bigint AND due_at <= coalesce(%b::bigint, {STEADY_NOW})
      {{able}}
    ORDER BY due_at, n LIMIT %b FOR UPDATE SKIP LOCKED),
expired AS (
  SELECT n, due_at FROM executions
    WHERE status = 'running' AND due_at >= %b::bigint AND due_at <= coalesce(%b::bigint, {STEADY_NOW}) {{able}}
    ORDER BY due_at, n LIMIT %b FOR UPDATE SKIP LOCKED),
ready AS ({{ready}}),
special AS (
  SELECT n, priority FROM executions
    WHERE {SPECIAL} AND due_at >= %b::bigint AND due_at <= coalesce(%b::bigint, {STEADY_NOW}) {{able}}
    ORDER BY priority DESC, n LIMIT %b FOR UPDATE SKIP LOCKED),
admitted AS (
  SELECT n, priority FROM executions
    WHERE status = 'queued' AND due_at >= 0 AND limits IS NOT NULL AND due_at <= coalesce(%b::bigint, {STEADY_NOW})
      {{able}}
    ORDER BY priority DESC, n LIMIT %b FOR UPDATE SKIP LOCKED),
chosen AS (
  SELECT n, row_number() OVER (ORDER BY lane, at, rank DESC, n) AS turn FROM (
    SELECT n, 0 AS lane, due_at AS at, 0 AS rank FROM at_once
    UNION ALL SELECT n, 0, due_at, 0 FROM woken
    UNION ALL SELECT n, 0, due_at, 0 FROM expired
    UNION ALL SELECT n, 1, 0, 0 FROM ready
    UNION ALL SELECT n, 1, 0, priority FROM special
    UNION ALL SELECT n, 1, 0, priority FROM admitted) AS a ORDER BY turn LIMIT %b)
{_TAKE}"""  # noqa: S608
CLAIM = _LANES.format(able="", ready=_READY)
_CLAIM_ABLE = _LANES.format(able=_ABLE, ready=_READY_ABLE)
_LANE_CANCELLED = f"""
WITH at_once AS (
  SELECT n, due_at FROM executions WHERE due_at < 0 AND cancel_requested {{able}}
    ORDER BY due_at, n LIMIT %b FOR UPDATE SKIP LOCKED),
chosen AS (SELECT n, row_number() OVER (ORDER BY due_at, n) AS turn FROM at_once ORDER BY turn LIMIT %b)
{_TAKE}"""  # noqa: S608
_CLAIM_CANCELLED = _LANE_CANCELLED.format(able="")
_CLAIM_CANCELLED_ABLE = _LANE_CANCELLED.format(able=_ABLE)
_CLAIMED_EVENTS = f"""
SELECT execution_id, first_seq, last_seq, body FROM events WHERE execution_id = ANY(%b::text[])
  AND execution_id NOT IN (SELECT execution_id FROM stored WHERE execution_id = ANY(%b::text[]) AND name = '{NEEDED}')
  ORDER BY execution_id, first_seq
"""  # noqa: S608
_WHAT_IS_NEEDED = f"""
SELECT last_seq, removed, (SELECT body FROM stored WHERE execution_id = e.id AND name = '{NEEDED}') FROM executions AS e
  WHERE id = %b
"""  # noqa: S608
_RANGES = """
SELECT DISTINCT ON (e.first_seq) e.first_seq, e.last_seq, e.body FROM unnest(%b::int[], %b::int[]) AS r(first, last)
  JOIN events AS e ON e.execution_id = %b AND e.first_seq <= r.last AND e.first_seq >= (
    SELECT max(first_seq) FROM events WHERE execution_id = %b AND first_seq <= r.first) ORDER BY e.first_seq
"""
_CLAIMED_PAYLOADS = """
SELECT execution_id, name, body FROM stored WHERE execution_id = ANY(%b::text[])
  AND (starts_with(name, '$') OR strpos(name, '.') = 0)
"""
_CLAIMED_ANSWERS = """
SELECT execution_id, node_id, kind, value, call FROM answers WHERE execution_id = ANY(%b::text[]) ORDER BY node_id, call
"""
_CLAIMED_ITEMS = "SELECT execution_id, step_id, i, succeeded FROM items WHERE execution_id = ANY(%b::text[])"
_RENEW = f"""
WITH l AS (SELECT n FROM executions WHERE id = ANY(%b::text[]) ORDER BY n FOR UPDATE)
UPDATE executions AS e SET due_at = coalesce(%b::bigint, {NOW}) + %b::bigint FROM l
  WHERE e.n = l.n AND e.worker = %b AND e.status = 'running' RETURNING e.id, e.cancel_requested
"""  # noqa: S608
_HAND_BACK = f"""
UPDATE executions
  SET status = 'queued', worker = NULL, due_at = {AT_ONCE}, requires = coalesce(%b::int, requires)
  WHERE id = %b AND epoch = %b AND worker = %b AND status = 'running'
"""  # noqa: S608
_RECLAIM = f"""
WITH u AS (UPDATE executions SET status = 'queued', worker = NULL, due_at = {AT_ONCE}
  WHERE status = 'running' AND worker IS DISTINCT FROM %b RETURNING 1) SELECT count(*) FROM u
"""  # noqa: S608
_NEXT = f"""
SELECT least(
    (SELECT -1 FROM executions WHERE due_at < 0 AND due_at >= %b::bigint {{able}} LIMIT 1),
    (SELECT min(due_at) FROM executions WHERE status = 'waiting' AND due_at >= 0 AND due_at >= %b::bigint {{able}}),
    (SELECT min(due_at) FROM executions
       WHERE status = 'running' AND due_at >= %b::bigint AND due_at <= coalesce(%b::bigint, {STEADY_NOW}) {{able}}),
    ({{ready}}),
    (SELECT min(due_at) FROM executions WHERE {SPECIAL} AND due_at >= %b::bigint {{able}}),
    (SELECT min(due_at) FROM executions WHERE status = 'queued' AND due_at >= 0 AND limits IS NOT NULL {{able}})),
  coalesce(%b::bigint, {NOW})
"""  # noqa: S608
_NEXT_DUE = _NEXT.format(
    able="",
    ready=f"SELECT due_at FROM executions WHERE {READY} AND n >= %b::bigint ORDER BY n LIMIT 1",  # noqa: S608
)
_NEXT_DUE_ABLE = _NEXT.format(
    able=_ABLE,
    ready=f"""SELECT min(r.due_at) FROM unnest(%b::int[]) AS a(able), LATERAL (
      SELECT due_at FROM executions
        WHERE {READY} AND {_PLACE} >= (a.able::bigint << 42) + %b::bigint AND {_PLACE} < (a.able + 1)::bigint << 42
        ORDER BY {_PLACE} LIMIT 1) AS r""",  # noqa: S608
)
_BACKLOG = f"""
SELECT requires, count(*) FILTER (WHERE status = 'queued'),
    max(t.now - CASE WHEN due_at < -1 THEN due_at + {AT_ONCE_BEFORE} ELSE nullif(due_at, -1) END)
      FILTER (WHERE status = 'queued'),
    count(*) FILTER (WHERE status = 'running')
  FROM executions, (SELECT coalesce(%b::bigint, {NOW}) AS now) AS t
  WHERE finished_at IS NULL AND (status = 'running' OR status = 'queued' AND due_at IS NOT NULL AND due_at <= t.now)
  GROUP BY requires
"""  # noqa: S608
_LIMITED = "SELECT workflow_id FROM executions WHERE id = %b AND limits IS NOT NULL"
_ANSWER = """
INSERT INTO answers (execution_id, node_id, call, kind, value) VALUES (%b, %b, %b, %b, %b)
  ON CONFLICT DO NOTHING RETURNING 1
"""
_WHOLE = f"""
SELECT coalesce(e.input, (SELECT body FROM stored WHERE execution_id = e.id AND name = '$input')),
  coalesce(e.output, (SELECT body FROM stored WHERE execution_id = e.id AND name = '$output')),
  (SELECT body FROM stored WHERE execution_id = e.id AND name = '$trigger'), {ROW}
FROM executions AS e WHERE e.id = %b
"""  # noqa: S608
_EVENTS = """
SELECT e.last_seq, v.first_seq, v.last_seq, v.body, e.removed FROM executions AS e
  LEFT JOIN events AS v ON v.execution_id = e.id AND v.first_seq <= %b::int AND v.last_seq > %b::int
    AND v.first_seq >= coalesce((SELECT max(first_seq) FROM events WHERE execution_id = %b AND first_seq <= %b::int), 0)
  WHERE e.id = %b ORDER BY v.first_seq
"""
_OUTPUTS = "SELECT name, body FROM stored WHERE execution_id = %b AND NOT starts_with(name, '$')"
_NAMED_OUTPUTS = "SELECT name, body FROM stored WHERE execution_id = %b AND name = ANY(%b::text[])"
_ITEMS = """
SELECT i, succeeded, key, output, error, masked, first_seq, last_seq FROM items
  WHERE execution_id = %b AND step_id = %b AND i > %b AND (%b::boolean IS NULL OR succeeded = %b) ORDER BY i LIMIT %b
"""
_TOLD = """
WITH l AS (SELECT n FROM executions WHERE id = ANY(%b::text[]) ORDER BY n FOR UPDATE)
UPDATE executions AS e SET announce = false FROM l WHERE e.n = l.n
"""
_HOLDERS = """
SELECT id, limits FROM executions
  WHERE limits IS NOT NULL AND finished_at IS NULL AND admitted AND limits LIKE %b ORDER BY n
"""
