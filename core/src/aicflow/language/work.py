"""How much work is done on what somebody else wrote: a count that runs out."""

from __future__ import annotations


class TooCostly(Exception):
    """Work on a hostile schema, value or document passed its budget; `args[0]` says which, where anybody is told."""


class Budget:
    """Units of work that are left. Whoever makes one says what a unit is."""

    __slots__ = ("_exhausted", "left")

    def __init__(self, units: int, exhausted: str = "") -> None:
        self.left = units
        self._exhausted = exhausted

    def charge(self, units: int = 1) -> None:
        """Count work. Raises TooCostly when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise TooCostly(self._exhausted)

    def affords(self, units: int) -> bool:
        """Whether so much is left; then it is counted."""
        if units > self.left:
            return False
        self.left -= units
        return True
