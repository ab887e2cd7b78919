"""What a claimed execution's history means for going on: what is settled, what waits, what was in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aicflow.engine.history import History, fold
from aicflow.engine.log import INPUT, SEALED, TRIGGER
from aicflow.engine.needed import MOVES, items_of, number_of, step_of
from aicflow.engine.run.failure import report_to_json
from aicflow.engine.sealing import Seal
from aicflow.events import decode_event, event_type
from aicflow.kernel.errors import RecordDamaged
from aicflow.kernel.execution import Step
from aicflow.kernel.ports.engine import Settlement
from aicflow.kernel.ports.executions import Claimed
from aicflow.kernel.values import loads
from aicflow.language.plan import Body, Plan

_DATA: Final = b'"data":'
_FEW: Final = 8
_TURNS: Final = frozenset(("step.started", "step.waiting", "step.retrying"))


@dataclass(slots=True)
class Waits:
    """The waits of a step that is not settled: the number of the last one and of the one that first asked its question
    (0: none is open), what had ended it if the step has run since (the data of that `step.started`), and the children
    it has started, as id and whether they were detached."""

    number: int = 0
    asked: int = 0
    woken: dict[str, Any] = field(default_factory=dict)
    started: dict[str, bool] = field(default_factory=dict)
    children: list[dict[str, Any]] = field(default_factory=list)
    """Their results, as the step got them."""

    def takes(self, call: int) -> bool:
        """Whether an answer to the wait of this number still counts."""
        return call == self.number or 0 < self.asked <= call <= self.number

    def wake(self, by: str, child: Mapping[str, Any] | None = None, call: int | None = None) -> None:
        """The wait is over; `child` is the result of the child that ended it, `call` the wait that was answered."""
        self.woken = {"woken": by, "call": self.number if call is None else call}
        if child is not None:
            self.woken["child"] = child["execution_id"]
            self.children.append(dict(child))

    def forget(self) -> None:
        """The step runs from its beginning. Its numbers go on: what it starts then is new."""
        self.asked, self.woken, self.started, self.children = 0, {}, {}, []


@dataclass(slots=True)
class FrameState:
    """What is known of one run of a body, the workflow's own or one inside: `settled` by node index; `outputs` are the
    entries of `nodes.<id>`; `open` are the steps that began and are not settled; both by node id."""

    settled: list[Settlement]
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    open: dict[str, Step] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    failures: list[Step] = field(default_factory=list)


@dataclass(slots=True)
class Resumption:
    """Where to go on. `waits` are those of the open steps, by step id. `inside` are the steps inside of bodies: by what
    the ids of one run of a body begin with (`each[3].`), and then by node id; `begun` the items that have begun, by the
    step of their map; `items` the real outputs of items that are masked.
    `hidden` are values that its nodes masked, `stalled` says how many claims in a row came to
    nothing before this one."""

    state: FrameState
    waits: dict[str, Waits] = field(default_factory=dict)
    inside: dict[str, dict[str, Step]] = field(default_factory=dict)
    begun: dict[str, set[int]] = field(default_factory=dict)
    items: dict[str, bytes] = field(default_factory=dict)
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
    resumption = Resumption(FrameState([None] * len(plan.nodes)))
    resumption.stalled = stalled(claimed.execution.epoch, claimed.events)
    if not claimed.events and claimed.outputs.keys().isdisjoint((INPUT, TRIGGER)):
        return resumption
    events = _open(claimed, claimed.events)
    resumption.history = history = shown = fold(events, claimed.outputs)
    if history.lost:
        raise RecordDamaged("Events of this execution were lost, so it is not known what it had done.")
    unsealed = _unsealed(claimed, seal, resumption)
    if unsealed is not claimed.events:
        resumption.history = history = fold(_open(claimed, unsealed), claimed.outputs)
    resumption.waits = _waits(events, history.steps)
    top = history.steps
    if any("." in step_id for step_id in top):
        top = _divide(history.steps, claimed.items, resumption)
    resumption.state = frame_state(plan, top)
    resumption.state.failures = [shown.steps[step.node_id] for step in resumption.state.failures]
    return resumption


def _open(claimed: Claimed, events: list[bytes]) -> list[bytes]:
    """The events but those in items that have ended: they are not looked at again, however many they are."""
    ended = claimed.items
    if not ended:
        return events
    return [event for event in events if not any(index in ended.get(at, ()) for at, index in items_of(step_of(event)))]


def _divide(
    steps: Mapping[str, Step], ended: Mapping[str, Mapping[int, bool]], resumption: Resumption
) -> dict[str, Step]:
    """The steps of the workflow itself; those inside of bodies go into the resumption, but for items that have
    ended."""
    top: dict[str, Step] = {}
    for step_id, step in steps.items():
        prefix, dot, node_id = step_id.rpartition(".")
        if not dot:
            top[step_id] = step
        elif not (items := list(items_of(prefix))) or not any(index in ended.get(at, ()) for at, index in items):
            resumption.inside.setdefault(prefix + ".", {})[node_id] = step
            for at, index in items:
                resumption.begun.setdefault(at, set()).add(index)
    return top


def frame_state(body: Body, steps: Mapping[str, Step]) -> FrameState:
    """What its steps, by node id, mean for going on with one run of a body."""
    state = FrameState([None] * len(body.nodes))
    for node_id, step in steps.items():
        index = body.index.get(node_id)
        if index is None:
            continue
        if step.status == "skipped" and step.port is None:
            state.skipped.add(node_id)
            continue
        settlement = settlement_of(step)
        if settlement is None:
            state.open[node_id] = step
            continue
        state.settled[index] = settlement
        state.outputs[node_id] = scope_entry(step)
        if step.status == "failed" and step.port is None:
            state.failures.append(step)
    return state


def stalled(epoch: int, events: Sequence[bytes]) -> int:
    """How many claims before this one, in a row, wrote down nothing that brings the execution forward. Ten that had not
    even begun when their workers died count as one: they stood in line behind others."""
    turn = moved = begun = 0
    for encoded in events:
        kind = event_type(encoded)
        if kind in ("execution.started", "execution.resumed"):
            turn, begun = decode_event(encoded).data.get("claim", epoch - 1), begun + 1
        elif kind in MOVES:
            moved, begun = turn, 0
    return begun + max(epoch - 1 - moved - begun, 0) // 10


def _unsealed(claimed: Claimed, seal: Seal, resumption: Resumption) -> list[bytes]:
    """The events with the real data of those that are masked."""
    events = claimed.events
    places: dict[int, int] = {}
    for name, sealed in claimed.outputs.items():
        if name.startswith(f"{SEALED}:"):
            if events is claimed.events:
                events = list(events)
                places = {number_of(event): at for at, event in enumerate(events)}
            seq, values, body = unseal(seal, claimed.execution.id, name, sealed)
            resumption.hidden.update(values)
            if not seq:
                resumption.items[name.removeprefix(f"{SEALED}:")] = body
                continue
            if (at := places.get(seq)) is not None:  # else it is in an item that has ended
                head = events[at]
                events[at] = head[: head.index(_DATA)] + _DATA + body + b"}"
    return events


def unseal(seal: Seal, execution_id: str, name: str, sealed: bytes) -> tuple[int, list[str], bytes]:
    """What was kept sealed under this name: the number of its event, the values that were hidden, and the real data.
    Raises PermanentError."""
    seq, _, body = sealed.partition(b":")
    hidden, _, real = seal.open(body, f"{execution_id} {name} {int(seq)}").partition(b"\n")
    return int(seq), loads(hidden), real


def _waits(events: Sequence[bytes], steps: Mapping[str, Step]) -> dict[str, Waits]:
    """The waits of the steps that are not settled, as their events tell them."""
    found = {step_id: Waits() for step_id, step in steps.items() if settlement_of(step) is None}
    marks = [f'"node_id":"{step_id}"'.encode() for step_id in found] if len(found) < _FEW else []
    for encoded in events if found else ():
        # a mark may stand in the output of another node too
        if event_type(encoded) not in _TURNS or (marks and not any(mark in encoded for mark in marks)):
            continue
        event = decode_event(encoded)
        waits = found.get(event.node_id or "")
        if waits is None:
            continue
        waits.number = max(waits.number, event.data.get("call", 0))
        if event.type == "step.waiting":
            waits.asked = 0 if "child" in event.data else event.data.get("asked", event.data.get("call", 0))
            continue
        if "woken" not in event.data:
            waits.forget()  # a retry, or another attempt from the beginning
            continue
        waits.woken = event.data
        if "child" in event.data:
            waits.started[event.data["child"]] = event.data["woken"] == "detached"
    return found


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
