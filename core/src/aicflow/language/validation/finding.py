"""Something found in one expression, before it is known where the expression stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from aicflow_language.expr import Span

from aicflow.kernel.issues import Severity
from aicflow.language.schema import SchemaView
from aicflow.language.validation.views import kinds_of, listing

KIND_WORDS: Final = {
    "array": "a list",
    "boolean": "a boolean",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
_ORDER: Final = ("string", "integer", "number", "boolean", "array", "object", "null")


WHOLE: Final[Span] = (-1, -1)
"""The span of a finding about the value of an expression: all of it, with its braces."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of an expression; the span counts characters of its source, or is WHOLE."""

    code: str
    message: str
    span: Span
    hint: str | None = None
    severity: Severity = "error"

    @property
    def is_reference(self) -> bool:
        """Whether it is about what is referred to, so that types are of no interest."""
        return self.code.startswith("ref.")

    def as_warning(self, code: str, message: str) -> Finding:
        """The same place, told of as a warning."""
        return replace(self, code=code, message=message, severity="warning")


def kinds_in_words(kinds: frozenset[str]) -> str:
    """`a text`, `an integer or null`."""
    words = [KIND_WORDS[name] for name in _ORDER if name in kinds]
    if len(words) < 2:
        return words[0] if words else "nothing"
    return ", ".join(words[:-1]) + " or " + words[-1]


def a_kind(view: SchemaView) -> str:
    """The types of a value: `a text`; or, where it is one of few values, those."""
    schema = view.schema
    if isinstance(schema, dict) and ("const" in schema or "enum" in schema):
        return listing(view)
    return kinds_in_words(kinds_of(view))
