"""Executions from the parts that stores keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from aicflow.kernel.clock import iso
from aicflow.kernel.execution import Execution, FailureReport, TriggerInfo
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.values import dumps, loads
from aicflow.removal import parts_of
from aicflow.store.instants import seconds

_TRIGGER_FIELDS = frozenset(field.name for field in fields(TriggerInfo))
_FAILURE_FIELDS = frozenset(field.name for field in fields(FailureReport))


def trigger_from(encoded: bytes | str | None, *, payload: bool = True) -> TriggerInfo:
    """What started an execution, with or without what the trigger gave; unknown fields (of a later version) are
    passed over."""
    if not encoded:
        return TriggerInfo()
    known: dict[str, Any] = {k: v for k, v in loads(encoded).items() if k in _TRIGGER_FIELDS}
    if not payload:
        known.pop("payload", None)
    return TriggerInfo(**known)


def failure_from(encoded: bytes | str | None) -> FailureReport | None:
    """Why it failed; unknown fields are passed over."""
    if not encoded:
        return None
    report = loads(encoded)
    if report is None:
        return None
    known = {k: v for k, v in report.items() if k in _FAILURE_FIELDS}
    return FailureReport(**{"code": "unknown", "message": "", **known})


def execution_from(row: Sequence[Any], *, payload: bool = False) -> Execution:
    """An execution from what stores select of it, in this order, without input and output; `payload` keeps what its
    trigger gave."""
    key = row[14]
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
        idempotency_key=key if key is None or isinstance(key, str) else key.decode("utf-8", "surrogatepass"),
        concurrency_key=loads(row[15])[0][0] if row[15] else None,
        trigger=trigger_from(row[16], payload=payload),
        error=failure_from(row[17]),
        removed=parts_of(row[18]),
    )


def shown_from(row: Sequence[Any]) -> Execution:
    """An execution for a list, which goes on when one of its rows is damaged: what can be read, and an error."""
    try:
        return execution_from(row)
    except (ValueError, TypeError, AttributeError):
        execution = execution_from([*row[:16], None, None, row[18]])
        execution.error = FailureReport("record-damaged", "Its trigger or its error cannot be read from the store.")
        return execution


def decoded(encoded: bytes | str | None) -> Any:
    """A JSON column's value, None when there is none."""
    return None if encoded is None else loads(encoded)


def event_answer(event: SentEvent) -> bytes:
    """What a wait is answered with that receives the event."""
    told = {"id": event.id, "name": event.name, "key": event.key, "data": event.data}
    return dumps({**told, "received_at": iso(event.received_at)})
