"""Time as the kernel sees it: a port, so that tests can move it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time in seconds since 1970 UTC. It may jump; durations inside a process use a monotonic clock."""

    def now(self) -> float: ...


def iso(seconds: float) -> str:
    """An instant as RFC 3339 text in UTC with microseconds, such as `2026-11-23T06:27:23.000120Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"  # quicker than strftime
