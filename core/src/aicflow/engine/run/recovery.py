"""What a claimed execution's history means for going on: what is settled, what waits, what was in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow.engine.log import SEALED
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.sealing import Seal
from aicflow.kernel.errors import RecordDamaged
from aicflow.kernel.events import History, decode_event, event_type, fold
from aicflow.kernel.execution import Step
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import Claimed
from aicflow.kernel.values import loads
from aicflow.language.plan import Plan

__all__ = ["Resumption", "Waits", "resume_from", "settlement_of", "stalled", "unseal"]

_DATA: Final = b'"data":'
_PROGRESS: Final = frozenset(
    ("step.succeeded", "step.failed", "step.skipped", "step.waiting", "step.retrying", "execution.waiting")
)
_TURNS: Final = frozenset(("step.started", "step.waiting", "step.retrying"))


@dataclass(slots=True)
class Waits:
    """The waits of a step that is not settled: the number of the last one, what had ended it if the step has run since
    (the data of that `step.started`), and the children it has started, as id and whether they were detached."""

    number: int = 0
    woken: dict[str, Any] = field(default_factory=dict)
    started: dict[str, bool] = field(default_factory=dict)
    children: list[dict[str, Any]] = field(default_factory=list)
    """Their results, as the step got them."""

    def wake(self, by: str, child: Mapping[str, Any] | None = None) -> None:
        """The wait is over; `child` is the result of the child that ended it."""
        self.woken = {"woken": by, "call": self.number}
        if child is not None:
            self.woken["child"] = child["execution_id"]
            self.children.append(dict(child))

    def forget(self) -> None:
        """The step runs from its beginning. Its numbers go on: what it starts then is new."""
        self.woken, self.started, self.children = {}, {}, []


@dataclass(slots=True)
class Resumption:
    """Where to go on. `settled` by node index; `open` are the steps that began and are not settled, by node id, and
    `waits` theirs; `hidden` are values that its nodes masked, `stalled` says how many claims in a row
    came to nothing before this one."""

    settled: list[Settlement]
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, Step] = field(default_factory=dict)
    waits: dict[str, Waits] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    failures: list[Step] = field(default_factory=list)
    history: History = field(default_factory=History)
    hidden: set[str] = field(default_factory=set)
    stalled: int = 0


def settlement_of(step: Step) -> Settlement:
    """The ports a finished step was left by; None when it is not finished."""
    if step.status in ("succeeded", "skipped", "failed"):
        return (step.port,) if step.port is not None else ()
    return None


def resume_from(plan: Plan, claimed: Claimed, seal: Seal) -> Resumption:
    """Read an execution's history back. Its finished steps never run again, and what they said is what it really was.
    Raises RecordDamaged when some of it was lost, since what had finished could run again, and PermanentError when the
    real values cannot be opened any more."""
    resumption = Resumption(settled=[None] * len(plan.nodes))
    resumption.stalled = stalled(claimed.execution.epoch, claimed.events)
    if not claimed.events:
        return resumption
    resumption.history = history = shown = fold(claimed.events, claimed.outputs)
    if history.lost:
        raise RecordDamaged("Events of this execution were lost, so it is not known what it had done.")
    events = _unsealed(claimed, seal, resumption)
    if events is not claimed.events:
        resumption.history = history = fold(events, claimed.outputs)
    for node_id, step in history.steps.items():
        index = plan.index.get(node_id)
        if index is None:
            continue
        if step.status == "skipped" and step.port is None:
            resumption.skipped.add(node_id)
            continue
        settlement = settlement_of(step)
        if settlement is None:
            resumption.open[node_id] = step
            resumption.waits[node_id] = _waits(claimed.events, node_id)
            continue
        resumption.settled[index] = settlement
        resumption.outputs[node_id] = scope_entry(step)
        if step.status == "failed" and step.port is None:
            resumption.failures.append(shown.steps[node_id])
    return resumption


def stalled(epoch: int, events: Sequence[bytes]) -> int:
    """How many claims before this one, in a row, wrote down nothing that brings the execution forward."""
    turn = moved = 0
    for encoded in events:
        kind = event_type(encoded)
        if kind in ("execution.started", "execution.resumed"):
            turn = decode_event(encoded).data.get("claim", epoch - 1)
        elif kind in _PROGRESS:
            moved = turn
    return max(epoch - 1 - moved, 0)


def _unsealed(claimed: Claimed, seal: Seal, resumption: Resumption) -> list[bytes]:
    """The events with the real data of those that are masked."""
    events = claimed.events
    for name, sealed in claimed.outputs.items():
        if name.startswith(f"{SEALED}:"):
            if events is claimed.events:
                events = list(events)
            seq, values, body = unseal(seal, claimed.execution.id, name, sealed)
            resumption.hidden.update(values)
            head = events[seq - 1]
            events[seq - 1] = head[: head.index(_DATA)] + _DATA + body + b"}"
    return events


def unseal(seal: Seal, execution_id: str, name: str, sealed: bytes) -> tuple[int, list[str], bytes]:
    """What was kept sealed under this name: the number of its event, the values that were hidden, and the real data.
    Raises PermanentError."""
    seq, _, body = sealed.partition(b":")
    hidden, _, real = seal.open(body, f"{execution_id} {name} {int(seq)}").partition(b"\n")
    return int(seq), loads(hidden), real


def _waits(events: Sequence[bytes], node_id: str) -> Waits:
    """A step's waits, as its events tell them."""
    waits = Waits()
    mark = f'"node_id":"{node_id}"'.encode()
    for encoded in events:
        # the mark alone may stand in the output of another node
        if mark not in encoded or event_type(encoded) not in _TURNS:
            continue
        event = decode_event(encoded)
        if event.node_id != node_id:
            continue
        waits.number = max(waits.number, event.data.get("call", 0))
        if event.type == "step.waiting":
            continue
        if "woken" not in event.data:
            waits.forget()  # a retry, or another attempt from the beginning
            continue
        waits.woken = event.data
        if "child" in event.data:
            waits.started[event.data["child"]] = event.data["woken"] == "detached"
    return waits


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
