"""How Python's values stand in columns."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from aicflow.ports import (
    Execution,
    FailureReport,
    failure_from,
    limits_from_json,
    loads,
    seconds,
    trigger_from,
)
from aicflow.ports import (
    indexed as indexed,
)

INLINE: Final = 1024
"""Inputs and triggers up to so many bytes stay in the execution's row, which is written again when it ends."""

LARGE: Final = 16_384
"""From so many bytes on a value is kept once, however often it is stored."""

ROW: Final = """
  e.id, e.workflow_id, e.version, e.status, e.created_at, e.engine, e.started_at, e.finished_at, e.last_seq, e.epoch,
  e.priority, e.cancel_requested, e.wake_at, e.rerun_of, e.idempotency_key, e.limits, e.trigger, e.error"""


def execution_from(row: Sequence[Any], *, payload: bool = False) -> Execution:
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
        cancel_requested=row[11],
        wake_at=seconds(row[12]),
        rerun_of=row[13],
        idempotency_key=text_of(row[14]),
        concurrency_key=limits_from_json(loads(row[15]))[0].key if row[15] else None,
        trigger=trigger_from(row[16], payload=payload),
        error=failure_from(row[17]),
    )


def shown_from(row: Sequence[Any]) -> Execution:
    """An execution for a list, which goes on when one of its rows is damaged: what can be read, and an error."""
    try:
        return execution_from(row)
    except (ValueError, TypeError, AttributeError):
        execution = execution_from([*row[:16], None, None])
        execution.error = FailureReport("record-damaged", "Its trigger or its error cannot be read from the store.")
        return execution


def decoded(encoded: bytes | None) -> Any:
    """A JSON column's value, None when there is none."""
    return None if encoded is None else loads(encoded)


def bytes_of(text: str | None) -> bytes | None:
    """Text of any characters: PostgreSQL's own has no NUL."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def text_of(encoded: bytes | None) -> str | None:
    """The text of `bytes_of`."""
    return None if encoded is None else bytes(encoded).decode("utf-8", "surrogatepass")


def hash_of(body: bytes) -> bytes | None:
    """The hash by which a large value is kept, None for a small one."""
    return sha256(body).digest() if len(body) >= LARGE else None
