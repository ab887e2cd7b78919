"""Events as bytes, written once and read back, and as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aicflow.kernel.clock import iso
from aicflow.kernel.execution import Event
from aicflow.kernel.values import dumps, loads

EVENT_TYPES: Final = (
    "execution.queued",
    "execution.started",
    "execution.waiting",
    "execution.resumed",
    "execution.succeeded",
    "execution.failed",
    "execution.cancelled",
    "step.started",
    "step.log",
    "step.progress",
    "step.retrying",
    "step.waiting",
    "step.succeeded",
    "step.failed",
    "step.skipped",
    "step.cancelled",
    "event.lost",
)

_TYPE_MARK = b'"type":"'


class _Instants:
    """RFC 3339 text of instants; formats the date once a second, which is most of the cost of an event's time."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._prefix, self._second = iso(second)[:20], second
        return f"{self._prefix}{min(round((now - second) * 1_000_000), 999_999):06d}Z"


_instants = _Instants()


def encode_event(
    seq: int,
    now: float,
    event_type: str,
    execution_id: str,
    node_id: str | None = None,
    attempt: int | None = None,
    data: Mapping[str, Any] | bytes = b"{}",
) -> bytes:
    """An event as JSON bytes; `data` may be encoded already. Ids are identifiers, so they need no escaping."""
    body = data if type(data) is bytes else dumps(data)
    node = f'"node_id":"{node_id}",' if node_id is not None else ""
    tried = f'"attempt":{attempt},' if attempt is not None else ""
    return (
        (
            f'{{"seq":{seq},"time":"{_instants.text(now)}","type":"{event_type}",'
            f'"execution_id":"{execution_id}",{node}{tried}"data":'
        ).encode()
        + body
        + b"}"
    )


def encode_delta(execution_id: str, node_id: str, attempt: int, data: Any) -> bytes:
    """A live-only `step.delta`, which has no number and no place in the log."""
    head = f'{{"type":"step.delta","execution_id":"{execution_id}","node_id":"{node_id}","attempt":{attempt},"data":'
    return head.encode() + dumps(data) + b"}"


def event_type(encoded: bytes) -> str:
    """The type of an encoded event without decoding the rest: `type` stands before anything a user wrote."""
    start = encoded.index(_TYPE_MARK) + len(_TYPE_MARK)
    return encoded[start : encoded.index(b'"', start)].decode()


def decode_event(encoded: bytes) -> Event:
    """The event that the bytes hold."""
    return Event(**loads(encoded))


def progress_text(progress: Mapping[str, Any]) -> str:
    """How far a map or a repeat is: `1,204 of 10,000 items, 3 failed`."""
    if "passes" in progress:
        return f"{progress['passes']:,} pass{'es' * (progress['passes'] != 1)}"
    failed = f", {progress['failed']:,} failed" if progress.get("failed") else ""
    return f"{progress.get('ended', 0):,} of {progress.get('count', 0):,} items{failed}"
