"""The limits of the language: each is an error with a position, never a hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aicflow_language.expr.errors import EvaluationError, Span

MAX_CHARACTERS: Final = 4_096
"""Characters of one expression."""

MAX_TOKENS: Final = 1_024
"""Tokens of one expression."""

MAX_NESTING: Final = 40
"""Brackets inside brackets."""

MAX_OPERATOR_NESTING: Final = 80
"""Operators, calls and brackets inside one another: what keeps the Python stack small, here and while evaluating."""

MAX_INTEGER: Final = 2**128
"""Integers stay strictly between minus this and this."""

MAX_TEXT: Final = 1_048_576
"""Characters of a text that an expression makes."""

MAX_STEPS: Final = 20_000
"""Turns of all loops of one evaluation."""

MAX_VALUE_NESTING: Final = 128
"""Lists and objects inside one another, in a value that an expression makes."""

MAX_FUEL: Final = 16 * 1024 * 1024
"""Work of one evaluation. A unit is about 4 bytes of memory made or 30 ns of work, whichever is more, so that no
evaluation takes more than about 64 MB or half a second, however its loops and built-in functions are combined."""


class _Missing:
    """What a path that leads nowhere returns where that is allowed."""

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
                "The expression takes too many steps on this data",
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


type Run = Callable[[Any, Frame], object]
"""What an expression compiles to. The scope is `Any` because it is data: every type is looked at where it is used."""


def checked_text(length: int, span: Span) -> None:
    """Refuse a text that would be longer than the limit."""
    if length > MAX_TEXT:
        raise EvaluationError(
            "eval.limit", f"The text gets longer than {MAX_TEXT:,} characters", span, "Use a code node."
        )
