"""Executions as SQL hands them over: many rows as one JSON text, because each row fetched on its own would hand the
interpreter lock to the event loop and wait for it again."""

from __future__ import annotations

from aicflow.kernel.errors import EventsDamaged
from aicflow.store.sqlite.event_rows import unpack

EVENT_ROWS = "group_concat(first_seq || ' ' || last_seq || ' ' || hex(body), char(10))"
"""Rows of events, ordered, for `events_from`."""

ROW = """json_array(
  id, workflow_id, version, status, created_at, engine, started_at, finished_at, last_seq, epoch, priority,
  cancel_requested, wake_at, rerun_of, idempotency_key, limits,
  CAST(trigger AS TEXT), CAST(error AS TEXT), removed)"""


def events_from(execution_id: str, rows: str | None) -> tuple[int, list[bytes]]:
    """The number of the first event of EVENT_ROWS, and the events. Raises EventsDamaged, also for a gap."""
    events: list[bytes] = []
    first = 1
    for row in rows.split("\n") if rows else ():
        start, end, body = row.split(" ")
        if not events:
            first = int(start)
        elif int(start) != first + len(events):
            raise EventsDamaged(execution_id, first + len(events), int(start) - 1)
        events += unpack(execution_id, int(start), int(end), bytes.fromhex(body))
    return first, events
