"""Events from outside, on SQLite. `batch.sql` makes the answers, whichever comes first: the event or the wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from aicflow.kernel.errors import NotFound
from aicflow.kernel.ports.executions import Idempotency, Page, StoredAnswer
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.values import dumps, loads
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, seconds
from aicflow.store.rows import event_answer
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.part import Part, writes


class SQLiteSent(Part):
    """Events from outside."""

    @writes
    def send(
        self, connection: sqlite3.Connection, event: SentEvent, *, idempotency: Idempotency | None = None
    ) -> tuple[SentEvent, Sequence[tuple[str, StoredAnswer]]]:
        check_key(connection, idempotency)
        kept = connection.execute(_BY_ID, (event.id,)).fetchone()
        if kept is None:
            times = micros(event.received_at), micros(event.expires_at)
            n = connection.execute(_ADD, (event.id, event.name, event.key, *times, event_answer(event))).lastrowid
            connection.execute(_GIVE, {"n": n, "name": event.name, "key": event.key})
        add_key(connection, idempotency, event.id, event.received_at)
        found = _event(connection.execute(_BY_ID, (event.id,)).fetchone())
        answers = connection.execute(_GIVEN, (n,)).fetchall() if kept is None and found.received else []
        return found, [(id, StoredAnswer(node, "answered", value, call)) for id, node, call, value in answers]

    async def get(self, event_id: str) -> SentEvent:
        rows = await self.rows(_BY_ID, event_id)
        if not rows:
            raise NotFound("event", event_id)
        return _event(rows[0])

    async def pending(self, *, limit: int) -> Sequence[SentEvent]:
        rows = await self.rows(f"SELECT {_ROW} FROM sent_events WHERE NOT done ORDER BY n LIMIT ?", limit)  # noqa: S608
        return [_event(row) for row in rows]

    async def done(self, event_ids: Sequence[str]) -> None:
        sql = "UPDATE sent_events SET done = 1 WHERE id IN (SELECT value FROM json_each(?))"
        await self.write(sql, dumps(event_ids).decode())

    async def forget(self, *, received_before: float, now: float, batch: int = 1000) -> int:
        values = (micros(received_before), micros(now), batch)
        return await self._forget(*values) if await self.rows(_OLD, *values[:2], 1) else 0

    @writes
    def _forget(self, connection: sqlite3.Connection, before: int, now: int, batch: int) -> int:
        found = (dumps([n for (n,) in connection.execute(_OLD, (before, now, batch)).fetchall()]).decode(),)
        connection.execute("DELETE FROM receipts WHERE event IN (SELECT value FROM json_each(?))", found)
        return connection.execute("DELETE FROM sent_events WHERE n IN (SELECT value FROM json_each(?))", found).rowcount

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self, *, limit: int, cursor: str | None = None, name: str | None = None, key: str | None = None
    ) -> Page[SentEvent]:
        check_limit(limit)
        below = read_cursor("sent", cursor, int)[0] if cursor is not None else 2**62
        conditions, values = ["n < ?"], [below]
        for column, value in (("name", name), ("key", key)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        sql = f"SELECT {_ROW}, n FROM sent_events WHERE {' AND '.join(conditions)} ORDER BY n DESC LIMIT ?"  # noqa: S608
        rows = await self.rows(sql, *values, limit + 1)
        more = make_cursor("sent", rows[limit - 1][-1]) if len(rows) > limit else None
        return Page([_event(row[:-1]) for row in rows[:limit]], more)


def _event(row: Any) -> SentEvent:
    body, received_at, expires_at, received = row
    told = loads(body)
    return SentEvent(
        told["id"], told["name"], told["key"], told["data"], seconds(received_at), seconds(expires_at), received
    )


_ROW = "body, received_at, expires_at, received"
_BY_ID = f"SELECT {_ROW} FROM sent_events WHERE id = ?"  # noqa: S608
_ADD = "INSERT INTO sent_events (id, name, key, received_at, expires_at, body) VALUES (?, ?, ?, ?, ?, ?)"
# the first wait of each execution, in the order of the waits
_GIVE = """
INSERT INTO receipts (execution_id, event, node_id, call)
  SELECT execution_id, :n, node_id, call FROM (
    SELECT execution_id, node_id, call, min(n) FROM (
      SELECT * FROM subscriptions WHERE name = :name AND key = :key
      UNION ALL
      SELECT * FROM subscriptions WHERE name = :name AND key IS NULL)
    GROUP BY execution_id)
"""
_GIVEN = """
SELECT r.execution_id, r.node_id, r.call, a.value
  FROM receipts AS r JOIN answers AS a USING (execution_id, node_id, call) WHERE r.event = ?
"""
_OLD = "SELECT n FROM sent_events WHERE received_at < ? AND expires_at <= ? AND done LIMIT ?"
