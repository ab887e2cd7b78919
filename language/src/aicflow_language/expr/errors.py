"""What can be wrong with an expression, and where.

ExpressionError          the text is not an expression of the language: found when it is compiled
└── EvaluationError      the expression does not fit the data: found when it is evaluated
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

type Span = tuple[int, int]
"""First character and the one after the last, counted from 0 in the source of the expression."""

type Hint = str | Callable[[], str | None] | None
"""What to do about an error; a callable is asked only when somebody reads the hint."""

COMPILE_CODES: Final = frozenset(
    {
        "expr.syntax",
        "expr.unsupported",
        "expr.unknown-function",
        "expr.arity",
        "expr.too-large",
        "expr.too-deep",
    }
)

EVALUATION_CODES: Final = frozenset(
    {
        "eval.missing-key",
        "eval.index",
        "eval.type",
        "eval.value",
        "eval.division-by-zero",
        "eval.overflow",
        "eval.limit",
        "eval.foreign",
        "ref.unknown-name",
        "secret.not-allowed",
    }
)


class ExpressionError(Exception):
    """The text is not an expression of the language. `code` is one of `COMPILE_CODES`."""

    def __init__(self, code: str, message: str, span: Span, hint: Hint = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to write instead, or None."""
        if callable(self._hint):
            self._hint = self._hint()
        return self._hint

    def __str__(self) -> str:
        text = f"{self.message} (at character {self.span[0] + 1})"
        return f"{text}. {self.hint}" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.message, self.span, self.hint)


class EvaluationError(ExpressionError):
    """The expression does not fit the data. `code` is one of `EVALUATION_CODES`."""
