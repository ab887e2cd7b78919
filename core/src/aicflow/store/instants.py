"""Instants as stores keep them: whole microseconds since 1970 UTC, so that they compare and index exactly; and the
clock of stores that live on this host."""

from __future__ import annotations

import time
from typing import overload


def now(at: float | None = None) -> float:
    """This host's wall clock in seconds, or the instant that a caller takes for now."""
    return time.time() if at is None else at


@overload
def micros(instant: float) -> int: ...
@overload
def micros(instant: None) -> None: ...
def micros(instant: float | None) -> int | None:
    """Seconds as microseconds."""
    return None if instant is None else round(instant * 1_000_000)


@overload
def seconds(instant: int) -> float: ...
@overload
def seconds(instant: None) -> None: ...
def seconds(instant: int | None) -> float | None:
    """Microseconds as seconds."""
    return None if instant is None else instant / 1_000_000
