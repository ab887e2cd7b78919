"""The history that an execution's events tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aicflow.kernel.execution import TERMINAL_EVENTS, FailureReport, Step
from aicflow.kernel.values import loads


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
