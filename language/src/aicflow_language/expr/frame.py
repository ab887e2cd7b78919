"""What one evaluation has used up so far, and the variables of its loops."""

from __future__ import annotations

from typing import Final

from aicflow_language.expr.errors import EvaluationError, Span
from aicflow_language.expr.limits import MAX_FUEL, MAX_STEPS, MAX_TEXT

__all__ = ["MISSING", "Frame", "checked_text"]


class _Missing:
    """What a path that leads nowhere gives where that is allowed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Frame:
    """The state of one evaluation. The budgets are class attributes so that making a frame costs next to nothing."""

    fuel: int = MAX_FUEL
    steps: int = MAX_STEPS
    variables: list[object]

    def charge(self, amount: int, span: Span) -> None:
        """Use up fuel; see `limits.MAX_FUEL` for what a unit is."""
        self.fuel -= amount
        if self.fuel < 0:
            raise EvaluationError(
                "eval.limit",
                "The expression does too much work on this data",
                span,
                "Work on fewer or shorter values, or use a code node.",
            )

    def turn(self, cost: int, span: Span) -> None:
        """One more turn of a loop whose body costs so much fuel."""
        self.steps -= 1
        self.fuel -= cost
        if self.steps < 0:
            raise EvaluationError(
                "eval.limit",
                f"The loops of the expression turn more than {MAX_STEPS:,} times",
                span,
                "Loop over fewer items, or use a code node.",
            )
        if self.fuel < 0:
            self.charge(0, span)


def checked_text(length: int, span: Span) -> None:
    """Refuse a text that would be longer than the limit."""
    if length > MAX_TEXT:
        raise EvaluationError(
            "eval.limit", f"The text gets longer than {MAX_TEXT:,} characters", span, "Use a code node."
        )
