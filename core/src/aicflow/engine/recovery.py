"""What a claimed execution's history means for going on: what is settled, what waits, what was in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aicflow.engine.failure import report_to_json
from aicflow.kernel.events import History, decode_event, event_type, fold
from aicflow.kernel.execution import Step
from aicflow.kernel.plan import Plan
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import Claimed

__all__ = ["Resumption", "resume_from", "settlement_of"]


@dataclass(slots=True)
class Resumption:
    """Where to go on. `settled` by node index; `open` are the steps that began and are not settled, by node id;
    `woken` says of those that ran again after a wait what had ended it."""

    settled: list[Settlement]
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, Step] = field(default_factory=dict)
    woken: dict[str, dict[str, Any]] = field(default_factory=dict)
    told_skipped: set[str] = field(default_factory=set)
    failures: list[Step] = field(default_factory=list)
    history: History = field(default_factory=History)


def settlement_of(step: Step) -> Settlement:
    """The ports a finished step was left by; None when it is not finished."""
    if step.status in ("succeeded", "skipped", "failed"):
        return (step.port,) if step.port is not None else ()
    return None


def resume_from(plan: Plan, claimed: Claimed) -> Resumption:
    """Read an execution's history back. Its finished steps never run again."""
    resumption = Resumption(settled=[None] * len(plan.nodes))
    if not claimed.events:
        return resumption
    resumption.history = history = fold(claimed.events, claimed.outputs)
    for node_id, step in history.steps.items():
        index = plan.index.get(node_id)
        if index is None:
            continue
        if step.status == "skipped" and step.port is None:
            resumption.told_skipped.add(node_id)
            continue
        settlement = settlement_of(step)
        if settlement is None:
            resumption.open[node_id] = step
            if step.status == "running" and (woken := _woken(claimed.events, node_id)):
                resumption.woken[node_id] = woken
            continue
        resumption.settled[index] = settlement
        resumption.outputs[node_id] = scope_entry(step)
        if step.status == "failed" and step.port is None:
            resumption.failures.append(step)
    return resumption


def _woken(events: Sequence[bytes], node_id: str) -> dict[str, Any]:
    """The data of a running step's last start: what had ended its wait, if it had waited."""
    mark = f'"node_id":"{node_id}"'.encode()
    for encoded in reversed(events):
        if mark in encoded and event_type(encoded) == "step.started":
            event = decode_event(encoded)
            if event.node_id == node_id:
                return dict(event.data)
    return {}


def scope_entry(step: Step) -> dict[str, Any]:
    """What `nodes.<id>` is in expressions after this step."""
    entry: dict[str, Any] = {"output": step.output}
    if step.error is not None:
        entry["error"] = report_to_json(step.error)
    return entry


def first_failure(failures: Sequence[Step]) -> Mapping[str, Any] | None:
    """The report of the failure that came first, as JSON."""
    for step in failures:
        if step.error is not None:
            return report_to_json(step.error)
    return None
