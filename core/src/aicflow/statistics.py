"""How executions ended: counts and durations by time. What a store that keeps such figures offers, and their sums.

A store counts in groups, and once an hour is over writes down its counts, so that a year is added up in a moment and
what retention has removed still counts. It is no part of the store's port: the figures are worked out, not kept."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from aicflow.kernel.values import dumps, loads

HOUR: Final = 3600
_MICRO: Final = 1_000_000
_HOURS_AT_ONCE: Final = 24
LATE: Final = 300
"""Seconds after its end from which an hour's counts are final: an end that the store learns of later is not counted."""
NEWEST_FAILURES: Final = 10_000
PER_DOUBLING: Final = 4
"""Groups of durations for each doubling from a millisecond on: a quantile is at most 19 % too high."""
UNKNOWN_DURATION: Final = -1
"""The group of executions that ended before they started."""


@dataclass(slots=True)
class Ended:
    """Executions of one workflow that ended with one status from `start` (seconds since 1970) on, until the next start.
    `durations` says how many took how long, by group: see `seconds_of`."""

    start: int
    workflow_id: str
    status: str
    count: int = 0
    durations: dict[int, int] = field(default_factory=dict)

    def add(self, durations: Mapping[int, int]) -> None:
        """Count some more."""
        for group, count in durations.items():
            self.durations[group] = self.durations.get(group, 0) + count
            self.count += count


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed executions of a workflow with one code at one node (None: none was to blame)."""

    workflow_id: str
    node_id: str | None
    code: str
    count: int
    last_execution_id: str


class StatisticsStore(Protocol):
    """The figures of a store. Instants are seconds since 1970."""

    async def ended(self, since: int, until: int, step: int) -> Sequence[Ended]:
        """What ended from `since` up to before `until`, in steps of so many seconds from `since`. Where `since` and
        `step` are whole hours, hours that are written down are not counted again."""
        ...

    async def failures(self, since: int, until: int) -> Sequence[Failures]:
        """The newest NEWEST_FAILURES of this time, most frequent first."""
        ...

    async def roll_up(self, before: float, *, keep: float) -> int:
        """Write down the counts of some hours that ended before then, of which none is yet; returns how many there
        were. What is older than `keep` seconds is forgotten."""
        ...


@runtime_checkable
class KeepsStatistics(Protocol):
    """A store that can say how executions ended."""

    @property
    def statistics(self) -> StatisticsStore: ...


class HourlyStatistics(ABC):
    """The port for a store that keeps its executions in tables: it counts, and keeps the hours that are written down.
    Instants of what it brings are seconds, but for `first_end`."""

    @abstractmethod
    async def counted(self, since: int, until: int, step: int) -> Sequence[Ended]:
        """From the executions themselves."""

    @abstractmethod
    async def hours(self, since: int, until: int) -> Sequence[Ended]:
        """From the hours that are written down."""

    @abstractmethod
    async def through(self) -> int:
        """Until when hours are written down; 0 when none is."""

    @abstractmethod
    async def first_end(self, since: int) -> int | None:
        """The first end from then on, in microseconds."""

    @abstractmethod
    async def write_hours(self, start: int, end: int, ended: Sequence[Ended], *, forget: int) -> None:
        """Write down the hours from `start` to `end` unless somebody has, and forget those before `forget`."""

    async def ended(self, since: int, until: int, step: int) -> Sequence[Ended]:
        """See the port."""
        through = await self.through() if since % HOUR == 0 and step % HOUR == 0 else 0
        if through <= since:
            return await self.counted(since, until, step)
        whole = min(through, until // HOUR * HOUR)
        return in_larger_steps([*await self.hours(since, whole), *await self.counted(whole, until, HOUR)], since, step)

    async def roll_up(self, before: float, *, keep: float) -> int:
        """See the port."""
        first = await self.first_end(await self.through())
        if first is None:
            return 0
        start = first // (HOUR * _MICRO) * HOUR
        end = min(start + _HOURS_AT_ONCE * HOUR, int(before) // HOUR * HOUR)
        if end <= start:
            return 0
        await self.write_hours(start, end, await self.counted(start, end, HOUR), forget=int(before - keep))
        return (end - start) // HOUR


def group_of(seconds: float) -> int:
    """The group of a duration."""
    return math.ceil(math.log2(max(seconds, 0.001) * 1000) * PER_DOUBLING)


def seconds_of(group: int) -> float:
    """The longest duration of a group."""
    return float(2 ** (group / PER_DOUBLING) / 1000)


def quantile(durations: Mapping[int, int], part: float) -> float | None:
    """The duration, in seconds, that this part of the executions did not exceed; None where there are none."""
    known = sorted((group, count) for group, count in durations.items() if group != UNKNOWN_DURATION)
    wanted = part * sum(count for _, count in known)
    for group, count in known:
        wanted -= count
        if wanted <= 0:
            return round(seconds_of(group), 6)
    return None


def ended_from_rows(rows: Iterable[tuple[int, str, str, int, int]], since: int, step: int) -> list[Ended]:
    """Rows of (number of the step, workflow, status, group, count) as groups."""
    found: dict[tuple[int, str, str], Ended] = {}
    for number, workflow_id, status, group, count in rows:
        key = since + number * step, workflow_id, status
        if (ended := found.get(key)) is None:
            ended = found[key] = Ended(*key)
        ended.add({group: count})
    return list(found.values())


def in_larger_steps(parts: Iterable[Ended], since: int, step: int) -> list[Ended]:
    """The groups of smaller steps as those of larger ones."""
    found: dict[tuple[int, str, str], Ended] = {}
    for part in parts:
        key = since + (part.start - since) // step * step, part.workflow_id, part.status
        if (ended := found.get(key)) is None:
            ended = found[key] = Ended(*key)
        ended.add(part.durations)
    return list(found.values())


def durations_text(durations: Mapping[int, int]) -> str:
    """Durations as stores write them down."""
    return dumps(sorted(durations.items())).decode()


def ended_hour(hour: int, workflow_id: str, status: str, durations: str) -> Ended:
    """A group that was written down with `durations_text`."""
    counts: dict[int, int] = dict(loads(durations))
    return Ended(hour, workflow_id, status, sum(counts.values()), counts)
