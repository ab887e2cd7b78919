"""Executions as SQL hands them over: many rows as one JSON text, because each row fetched on its own would hand the
interpreter lock to the event loop and wait for it again."""

from __future__ import annotations

from typing import Any

from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.execution import Execution, FailureReport
from aicflow.kernel.values import loads
from aicflow.store.instants import seconds
from aicflow.store.rows import failure_from, trigger_from
from aicflow.store.sqlite.event_rows import unpack

EVENT_ROWS = "group_concat(first_seq || ' ' || last_seq || ' ' || hex(body), char(10))"
"""Rows of events, ordered, for `events_from`."""

ROW = """json_array(
  id, workflow_id, version, status, created_at, engine, started_at, finished_at, last_seq, epoch, priority,
  cancel_requested, wake_at, rerun_of, idempotency_key, json_extract(limits, '$[0][0]'),
  CAST(trigger AS TEXT), CAST(error AS TEXT))"""


def execution_from(row: list[Any], *, payload: bool = False) -> Execution:
    """An execution from a ROW, without input and output; `payload` keeps what its trigger gave."""
    return Execution(
        id=row[0],
        workflow_id=row[1],
        version=row[2],
        status=row[3],
        created_at=seconds(row[4]),
        engine=row[5],
        started_at=seconds(row[6]),
        finished_at=seconds(row[7]),
        last_seq=row[8],
        epoch=row[9],
        priority=row[10],
        cancel_requested=bool(row[11]),
        wake_at=seconds(row[12]),
        rerun_of=row[13],
        idempotency_key=row[14],
        concurrency_key=row[15],
        trigger=trigger_from(row[16], payload=payload),
        error=failure_from(row[17]),
    )


def shown_from(row: list[Any]) -> Execution:
    """An execution for a list, which goes on when one of its rows is damaged: what can be read, and an error."""
    try:
        return execution_from(row)
    except (ValueError, TypeError, AttributeError):
        execution = execution_from([*row[:16], None, None])
        execution.error = FailureReport("record-damaged", "Its trigger or its error cannot be read from the store.")
        return execution


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


def decoded(encoded: bytes | str | None) -> Any:
    """A JSON column's value, None when there is none."""
    return None if encoded is None else loads(encoded)
