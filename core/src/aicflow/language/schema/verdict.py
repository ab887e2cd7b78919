"""What comes out of comparing two schemas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from aicflow.language.schema.model import Path


class Verdict(StrEnum):
    """Do the producer's values fit the consumer?"""

    YES = "yes"
    """Every one does."""
    NO = "no"
    """None does."""
    MAYBE = "maybe"
    """Some may not; the reason tells which."""
    UNKNOWN = "unknown"
    """It could not be decided."""


class ReasonKind(StrEnum):
    """What stands in the way; the names are those of the validation codes `type.…`."""

    MISMATCH = "mismatch"
    MAYBE_NULL = "maybe-null"
    MAYBE_MISSING = "maybe-missing"
    MAYBE_MISMATCH = "maybe-mismatch"
    UNDECLARED_FIELD = "undeclared-field"


@dataclass(frozen=True, slots=True)
class Compatibility:
    """A verdict with its reason, in words that follow "the value …".

    `path` leads to the place inside the value, like a JSON pointer with `*` for any item or any other field. `keyword`
    is the consumer's keyword at stake (`type`, `required`, `format`, `minLength` …), empty when there is not one.
    """

    verdict: Verdict
    reason: str = ""
    path: str = ""
    reason_kind: ReasonKind | None = None
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Why not all (or why none) fit. `sure`: it is known that some do not, rather than not known that all do."""

    reason: str
    keyword: str
    kind: ReasonKind = ReasonKind.MAYBE_MISMATCH
    sure: bool = True
    path: Path = ()

    def under(self, step: str | int) -> Gap:
        return replace(self, path=(step, *self.path))
