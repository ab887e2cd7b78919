"""Events as bytes: written once, read back, and the history that they tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aicflow.kernel.clock import iso
from aicflow.kernel.execution import TERMINAL_EVENTS, Event, FailureReport, Step
from aicflow.kernel.values import dumps, loads

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


def report_from_json(value: Mapping[str, Any] | None) -> FailureReport | None:
    """A failure report as it stands in events and rows."""
    return FailureReport(**value) if value is not None else None


@dataclass(slots=True)
class History:
    """What an execution's events tell: its steps by node id, in the order they first appeared."""

    steps: dict[str, Step] = field(default_factory=dict)
    started_at: str | None = None
    ended: bool = False
    last_seq: int = 0
    lost: bool = False
    """Whether events were lost to damage and only their numbers are left."""


def fold(events: Iterable[bytes], stored_outputs: Mapping[str, bytes] | None = None) -> History:
    """The history that encoded events tell. `stored_outputs` are outputs kept outside the events, by node id."""
    history = History()
    steps = history.steps
    outputs = stored_outputs or {}
    for encoded in events:
        event = loads(encoded)
        history.last_seq = event["seq"]
        kind: str = event["type"]
        data: dict[str, Any] = event["data"]
        if kind.startswith("step."):
            _apply(steps, kind, event, data, outputs)
        elif kind == "execution.started" and history.started_at is None:
            history.started_at = event["time"]
        elif kind in TERMINAL_EVENTS:
            history.ended = True
        elif kind == "event.lost":
            history.lost = True
    return history


def _apply(
    steps: dict[str, Step], kind: str, event: Mapping[str, Any], data: dict[str, Any], outputs: Mapping[str, bytes]
) -> None:
    node_id = event["node_id"]
    attempt = event.get("attempt") or 1
    step = steps.get(node_id)
    if step is None:
        step = steps[node_id] = Step(node_id, "running", attempt, event["time"])
    step.attempt = attempt
    if kind == "step.log":
        step.logs += 1
    elif kind == "step.progress":
        step.progress = data
    elif kind == "step.started":
        if data.get("again"):  # the whole body: what was in it counts no more
            for inner in [name for name in steps if name.startswith(node_id + ".")]:
                del steps[inner]
        step.status, step.finished_at, step.error, step.retry_at, step.wait = "running", None, None, None, None
        step.started_at = step.started_at or event["time"]
    elif kind == "step.retrying":
        step.status, step.retry_at, step.error = "retrying", data["retry_at"], report_from_json(data.get("error"))
    elif kind == "step.waiting":
        step.status, step.wait = "waiting", data
    else:
        step.status = kind[5:]  # type: ignore[assignment]
        step.finished_at, step.retry_at, step.wait = event["time"], None, None
        step.port = data.get("port")
        step.masked = data.get("masked", False)
        step.error = report_from_json(data.get("error"))
        if "output" in data:
            step.output = data["output"]
        elif data.get("output_stored"):
            step.stored = data.get("output_size", 0)
            stored = outputs.get(node_id)
            step.output = loads(stored) if stored is not None else None
        if kind == "step.skipped":
            step.started_at = None
