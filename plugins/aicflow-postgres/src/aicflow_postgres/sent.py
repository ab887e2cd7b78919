"""Events from outside, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aicflow.ports import (
    Idempotency,
    NotFound,
    Page,
    SentEvent,
    StoredAnswer,
    check_limit,
    event_answer,
    loads,
    make_cursor,
    micros,
    read_cursor,
    seconds,
)

from aicflow_postgres.appends import LOCK_EVENTS, receive
from aicflow_postgres.database import Connection, Part, fetch, send, writes
from aicflow_postgres.idempotency import add_key, check_key
from aicflow_postgres.values import bytes_of, indexed


class PostgresSent(Part):
    """Events from outside."""

    @writes
    async def send(
        self, connection: Connection, event: SentEvent, *, idempotency: Idempotency | None = None
    ) -> tuple[SentEvent, Sequence[tuple[str, StoredAnswer]]]:
        await check_key(connection, idempotency)
        waits: list[tuple[str, str, int]] = []
        body = event_answer(event)
        key = None if event.key is None else indexed(event.key)
        times = micros(event.received_at), micros(event.expires_at)
        # a wait that begins at this moment either sees this event, or is seen by it
        await send(connection, LOCK_EVENTS, [event.name])
        added = await fetch(connection, _ADD, bytes_of(event.id), event.name, key, *times, body)
        if added:
            waits = [(id, node, call) for id, node, call in await fetch(connection, _WAITS, event.name, key)]
            if waits:
                # the row of an execution comes before what hangs on it, as everywhere
                await fetch(connection, _LOCK, [id for id, _, _ in waits])
                waits = [(id, node, call) for id, node, call in await fetch(connection, _WAITS, event.name, key)]
            if waits:
                await receive(connection, added[0][0], waits)
        await add_key(connection, idempotency, event.id, event.received_at)
        found = _event((await fetch(connection, _BY_ID, bytes_of(event.id)))[0])
        return found, [(id, StoredAnswer(node, "answered", body, call)) for id, node, call in waits]

    async def get(self, event_id: str) -> SentEvent:
        rows = await self.rows(_BY_ID, bytes_of(event_id))
        if not rows:
            raise NotFound("event", event_id)
        return _event(rows[0])

    async def pending(self, *, limit: int) -> Sequence[SentEvent]:
        rows = await self.rows(f"SELECT {_ROW} FROM sent_events WHERE NOT done ORDER BY n LIMIT %b", limit)  # noqa: S608
        return [_event(row) for row in rows]

    async def done(self, event_ids: Sequence[str]) -> None:
        ids = [bytes_of(id) for id in event_ids]
        await self.rows("UPDATE sent_events SET done = true WHERE id = ANY(%b::bytea[])", ids)

    @writes
    async def forget(self, connection: Connection, *, received_before: float, now: float, batch: int = 1000) -> int:
        found = [n for (n,) in await fetch(connection, _OLD, micros(received_before), micros(now), batch)]
        if found:
            await send(connection, "DELETE FROM receipts WHERE event = ANY(%b::bigint[])", found)
            await send(connection, "DELETE FROM sent_events WHERE n = ANY(%b::bigint[])", found)
        return len(found)

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self, *, limit: int, cursor: str | None = None, name: str | None = None, key: str | None = None
    ) -> Page[SentEvent]:
        check_limit(limit)
        below = read_cursor("sent", cursor, int)[0] if cursor is not None else 2**62
        conditions, values = ["n < %b"], list[Any]([below])
        if name is not None:
            conditions.append("name = %b")
            values.append(name)
        if key is not None:
            conditions.append("key = %b")
            values.append(indexed(key))
        sql = f"SELECT {_ROW}, n FROM sent_events WHERE {' AND '.join(conditions)} ORDER BY n DESC LIMIT %b"  # noqa: S608
        rows = await self.rows(sql, *values, limit + 1)
        more = make_cursor("sent", rows[limit - 1][-1]) if len(rows) > limit else None
        return Page([_event(row[:-1]) for row in rows[:limit]], more)


def _event(row: Sequence[Any]) -> SentEvent:
    body, received_at, expires_at, received = row
    told = loads(body)
    return SentEvent(
        told["id"], told["name"], told["key"], told["data"], seconds(received_at), seconds(expires_at), received
    )


_ROW = "body, received_at, expires_at, received"
_BY_ID = f"SELECT {_ROW} FROM sent_events WHERE id = %b"  # noqa: S608
_ADD = """
INSERT INTO sent_events (id, name, key, received_at, expires_at, body) VALUES (%b, %b, %b, %b, %b, %b)
  ON CONFLICT (id) DO NOTHING RETURNING n
"""
# the first wait of each execution, in the order of the waits
_WAITS = """
SELECT execution_id, node_id, call FROM (
  SELECT DISTINCT ON (execution_id) execution_id, node_id, call, n FROM subscriptions
    WHERE name = %b AND (key IS NULL OR key = %b::bytea) ORDER BY execution_id, n) AS w ORDER BY n
"""
_LOCK = "SELECT 1 FROM executions WHERE id = ANY(%b::text[]) ORDER BY n FOR UPDATE"
_OLD = "SELECT n FROM sent_events WHERE received_at < %b AND expires_at <= %b AND done LIMIT %b FOR UPDATE SKIP LOCKED"
