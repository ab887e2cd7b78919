"""What vetting finds, and the report that is made of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

type Severity = Literal["note", "review", "reject"]
type Verdict = Literal["pass", "review", "reject"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should know: a note, a thing to look at, or a reason to reject."""

    check: str
    severity: Severity
    code: str
    message: str
    file: str | None = None
    line: int | None = None


@dataclass(slots=True)
class Report:
    """Everything about one wheel. A check in `not_run` could not be done, with the reason."""

    wheel: str
    sha256: str
    name: str | None = None
    version: str | None = None
    node_types: list[str] = field(default_factory=list)
    trigger_types: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """`reject` or `review` when a finding says so, else `pass`."""
        severities = {finding.severity for finding in self.findings}
        return "reject" if "reject" in severities else "review" if "review" in severities else "pass"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"verdict": self.verdict, **asdict(self)}
