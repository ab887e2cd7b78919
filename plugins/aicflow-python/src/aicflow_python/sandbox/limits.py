"""What one call may use: the limits, and how a request stays under the operator's ceilings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one call.

    `timeout`: seconds of wall time. `cpu_seconds`: seconds of processor time. `memory_mb`: MiB of address space
    above what the sandbox itself needs. `stdout_bytes`: printed and logged. `result_bytes`, `input_bytes`: as JSON.
    """

    timeout: float = 5.0
    cpu_seconds: float = 1.0
    memory_mb: int = 128
    stdout_bytes: int = 64 * 1024
    result_bytes: int = 1 << 20
    input_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise ValueError(f"{field.name} must be a number above 0, not {value!r}")

    def over(self, ceiling: Limits) -> dict[str, tuple[float, float]]:
        """Which limits ask for more than the ceiling: name to (asked, ceiling)."""
        return {
            field.name: (getattr(self, field.name), getattr(ceiling, field.name))
            for field in fields(self)
            if getattr(self, field.name) > getattr(ceiling, field.name)
        }

    def within(self, ceiling: Limits) -> Limits:
        """The lower of each."""
        if self == ceiling:
            return self
        return Limits(**{name: min(value, getattr(ceiling, name)) for name, value in asdict(self).items()})

    def for_child(self) -> dict[str, Any]:
        """The part that a child watches itself."""
        return {
            "timeout": self.timeout,
            "cpu_seconds": self.cpu_seconds,
            "memory_mb": self.memory_mb,
            "stdout_bytes": self.stdout_bytes,
            "result_bytes": self.result_bytes,
        }
