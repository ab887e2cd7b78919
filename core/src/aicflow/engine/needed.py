"""Which events of a long log are needed to go on, and to show the steps outside of items and those still at work.

What happened in an item that has ended is not: its result is kept as an item. So a claim of a map over 100,000 items
need not read 200,000 events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from aicflow.events import event_type
from aicflow.kernel.ports.executions import Claimed
from aicflow.kernel.values import dumps

NEEDED: Final = "$needed"
# what brings an execution forward; claims without any of it are counted
MOVES: Final = frozenset(
    (
        "step.succeeded",
        "step.failed",
        "step.skipped",
        "step.waiting",
        "step.retrying",
        "step.progress",
        "execution.waiting",
    )
)
_EVERY: Final = 1_000
_DATA: Final = b'"data":'
_NODE: Final = b'"node_id":"'


def number_of(event: bytes) -> int:
    """The number of an encoded event."""
    return int(event[7 : event.index(b",")])


def step_of(event: bytes) -> str:
    """The id of the step that an encoded event is about, empty when it is about none."""
    start = event.find(_NODE, 0, event.index(_DATA)) + len(_NODE)
    return event[start : event.index(b'"', start)].decode() if start >= len(_NODE) else ""


def items_of(step_id: str) -> Iterator[tuple[str, int]]:
    """The items that a step is in, from the outside, as the step of each map and the index: `each[3].inner[7].sum`."""
    end = 0
    while (start := step_id.find("[", end)) >= 0:
        end = step_id.index("]", start)
        yield step_id[:start], int(step_id[start + 1 : end])


class NeededEvents:
    """The numbers of the events that are needed of one execution."""

    def __init__(self, claimed: Claimed) -> None:
        self._outer: list[int] = []
        self._inside: dict[str, list[int]] = {}
        """By the item that they are in, the innermost where items are in items."""
        self._nested: dict[str, set[str]] = {}
        self._progress: dict[str, int] = {}
        self._turns: list[int] = []
        self._moved = 0
        self._due = claimed.execution.last_seq + _EVERY
        if not claimed.events:
            self._outer.extend(range(1, claimed.execution.last_seq + 1))
        for event in claimed.events:
            step_id = step_of(event)
            if any(index in claimed.items.get(at, ()) for at, index in items_of(step_id)):
                step_id = "]"  # of its turn it says that something was done, no more
            self.add(number_of(event), event_type(event), step_id)
        self._inside.pop("]", None)

    def add(self, seq: int, kind: str, step_id: str | None) -> None:
        """The execution has another event."""
        if kind in MOVES:
            self._moved = seq
            del self._turns[:-1]
        if not step_id:
            if kind in ("execution.started", "execution.resumed"):
                self._turns.append(seq)
            if kind not in ("execution.resumed", "execution.waiting"):
                self._outer.append(seq)
        elif (end := step_id.rfind("]")) < 0:
            if kind == "step.progress":
                self._progress[step_id] = seq
            else:
                self._outer.append(seq)
        else:
            item = step_id[: end + 1]
            if (seqs := self._inside.get(item)) is None:
                seqs = self._inside[item] = []
                if outer := item[: item.rfind("]", 0, end) + 1]:
                    self._nested.setdefault(outer, set()).add(item)
            seqs.append(seq)

    def end(self, step_id: str, index: int) -> tuple[int, int] | None:
        """The item has ended: its first and its last event, if it has any. Nothing in it is needed any more."""
        item = f"{step_id}[{index}]"
        if outer := item[: item.rfind("]", 0, -1) + 1]:
            self._nested.get(outer, set()).discard(item)
        seqs = self._drop(item)
        return (seqs[0], seqs[-1]) if seqs else None

    def _drop(self, item: str) -> list[int] | None:
        for inner in self._nested.pop(item, ()):
            self._drop(inner)
        return self._inside.pop(item, None)

    def forget(self, prefix: str) -> None:
        """Steps whose ids begin so run from their beginning."""
        for item in [item for item in self._inside if item.startswith(prefix)]:
            self._drop(item)
        for step_id in [step_id for step_id in self._progress if step_id.startswith(prefix)]:
            del self._progress[step_id]

    def is_due(self, last_seq: int) -> bool:
        """Whether enough has been added to write it down again."""
        return last_seq >= self._due

    def written(self, last_seq: int) -> bytes:
        """As the store keeps it: `[seq, [[first, last], …]]`."""
        kept = chain(self._outer, self._turns, self._progress.values(), *self._inside.values(), [self._moved or 1])
        seqs = sorted(set(kept))
        # however many are needed, writing them costs no more than the events before it did
        self._due = last_seq + max(_EVERY, len(seqs))
        return dumps([last_seq, _ranges(seqs)])


def _ranges(seqs: Sequence[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1][1] = seq
        else:
            ranges.append([seq, seq])
    return ranges
