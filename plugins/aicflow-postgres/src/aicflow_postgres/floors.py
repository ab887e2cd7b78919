"""Where the queue begins: what lies below has been taken already.

While somebody holds an old snapshot (`pg_dump`, a report, a forgotten transaction), PostgreSQL keeps the entries of
what has left the queue, and each claim would walk over all of them. So each process remembers how far it need not
look. What may come in with an old number or instant stands in lanes without a floor: what is to go on at once
(`due_at = -1`), and what has a priority, a delay or limits. For anything else that comes in below, now and then a look
goes without floors."""

from __future__ import annotations

from time import monotonic
from typing import Final

from aicflow_postgres.database import NOW, Database

READY: Final = "status = 'queued' AND due_at >= 0 AND priority = 0 AND available_at <= created_at AND limits IS NULL"
"""What most executions are in the queue; as the index says it."""
_EVERY: Final = 1.0
_WHOLE_EVERY: Final = 10.0
_LATE: Final = 2_000_000
"""Microseconds by which an instant that is written now may lie in the past, for clocks differ."""
_MARGIN: Final = 1_000
"""Numbers that a transaction may have taken and not committed yet."""


class Floors:
    """`ready` is a number, `due` and `queued` are instants."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ready = self.due = self.queued = 0
        self._seen_at = self._whole_at = -_WHOLE_EVERY

    async def look(self, *, clock: bool) -> tuple[int, int, int]:
        """The floors for one claim. `clock`: the database's own counts; otherwise there are none."""
        now = monotonic()
        if not clock or now - self._whole_at >= _WHOLE_EVERY:
            if clock:
                self._whole_at = now
            return 0, 0, 0
        if now - self._seen_at >= _EVERY:
            self._seen_at = now
            found = await self._database.rows(_LOOK, self.ready, self.due, self.queued)
            self.ready, self.due, self.queued = (max(0, floor) for floor in found[0])
        return self.ready, self.due, self.queued


_LOOK: Final = f"""
SELECT coalesce((SELECT n FROM executions WHERE {READY} AND n >= %b::bigint ORDER BY n LIMIT 1),
    (SELECT max(n) FROM executions), 0) - {_MARGIN},
  least((SELECT min(due_at) FROM executions WHERE status <> 'queued' AND due_at >= %b::bigint), {NOW} - {_LATE}),
  least((SELECT min(due_at) FROM executions WHERE status = 'queued' AND due_at >= %b::bigint), {NOW} - {_LATE})
"""  # noqa: S608
