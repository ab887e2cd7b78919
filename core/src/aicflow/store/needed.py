"""What a claim reads of a long log: the events that the execution's output `$needed` names, and those after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aicflow.kernel.errors import EventsDamaged

NEEDED: Final = "$needed"

type Range = Sequence[int]
"""The numbers of the first and the last event."""


def needed_ranges(needed: tuple[int, list[Range]], last_seq: int) -> list[Range]:
    """Where the events are that are needed of a log that ends with `last_seq`, in order."""
    seq, ranges = needed
    return [*ranges, (seq + 1, last_seq)] if last_seq > seq else ranges


def events_within(
    execution_id: str, ranges: Sequence[Range], batches: Sequence[tuple[int, int, list[bytes]]]
) -> list[bytes]:
    """The events of the ranges out of batches that hold them: number of the first event, of the last, and the events;
    in order. Raises EventsDamaged when one is missing."""
    events: list[bytes] = []
    at = 0
    for first, last in ranges:
        seq = first
        while seq <= last:
            while at < len(batches) and batches[at][1] < seq:
                at += 1
            if at == len(batches) or batches[at][0] > seq:
                raise EventsDamaged(execution_id, seq, last)
            start, end, body = batches[at]
            events += body[seq - start : last + 1 - start]
            seq = end + 1
    return events
