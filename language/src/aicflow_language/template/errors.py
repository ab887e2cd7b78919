"""What can be wrong with a template: problems found when it is compiled, and the error when it is resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aicflow_language.expr import EvaluationError, Span
from aicflow_language.expr.errors import Hint

TEMPLATE_CODES: Final = frozenset(
    {
        "template.unclosed",
        "template.null",
        "template.object",
        "template.url",
        "template.header",
        "template.key",
        "template.in-code",
        "template.too-many",
        "template.too-large",
        "template.too-deep",
        "secret.in-code",
    }
)
"""Codes of problems and errors besides those of expressions."""


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """One thing that is wrong with a template, whatever the data. `pointer` is a JSON pointer from the value of the
    template; `span` counts the characters of the string that stands there."""

    code: str
    message: str
    hint: str | None
    pointer: str
    span: Span


class ResolutionError(EvaluationError):
    """A template does not fit the data. `pointer` says which string of it; `span` counts that string's characters."""

    def __init__(self, code: str, message: str, span: Span, hint: Hint = None, pointer: str = "") -> None:
        super().__init__(code, message, span, hint)
        self.pointer = pointer

    def __str__(self) -> str:
        where = f"{self.pointer}: " if self.pointer else ""
        return where + super().__str__()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.message, self.span, self.hint, self.pointer)
