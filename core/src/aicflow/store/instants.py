"""Instants as stores keep them: whole microseconds since 1970 UTC, so that they compare and index exactly."""

from __future__ import annotations

from typing import overload

__all__ = ["micros", "seconds"]


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
