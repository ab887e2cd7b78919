"""Executions as SQL hands them over: many rows as one JSON text, because each row fetched on its own would hand the
interpreter lock to the event loop and wait for it again."""

from __future__ import annotations

from typing import Any

from aicflow.kernel.execution import Execution
from aicflow.kernel.values import loads
from aicflow.store.instants import seconds
from aicflow.store.rows import failure_from, trigger_from

__all__ = ["ROW", "decoded", "execution_from"]

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


def decoded(encoded: bytes | str | None) -> Any:
    """A JSON column's value, None when there is none."""
    return None if encoded is None else loads(encoded)
