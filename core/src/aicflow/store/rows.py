"""Executions from the parts that stores keep."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from aicflow.kernel.clock import iso
from aicflow.kernel.execution import FailureReport, TriggerInfo
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.values import dumps, loads

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


def event_answer(event: SentEvent) -> bytes:
    """What a wait is answered with that receives the event."""
    told = {"id": event.id, "name": event.name, "key": event.key, "data": event.data}
    return dumps({**told, "received_at": iso(event.received_at)})
