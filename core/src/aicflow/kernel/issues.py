"""One finding of validation: what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

type Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that the issue is about, such as the first node with the same id."""

    pointer: str
    message: str


@dataclass(frozen=True, slots=True)
class Issue:
    """A finding. `pointer` is an RFC 6901 JSON pointer into the document; `span` is (start, end) in characters
    of the string standing there, when the issue is about a part of it."""

    code: str
    severity: Severity
    pointer: str
    message: str
    hint: str | None = None
    span: tuple[int, int] | None = None
    related: tuple[Related, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As JSON: keys without a value are left out."""
        out: dict[str, Any] = {
            "code": self.code,
            "severity": self.severity,
            "pointer": self.pointer,
            "message": self.message,
        }
        if self.hint is not None:
            out["hint"] = self.hint
        if self.span is not None:
            out["span"] = list(self.span)
        if self.related:
            out["related"] = [{"pointer": r.pointer, "message": r.message} for r in self.related]
        return out
