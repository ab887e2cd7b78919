"""What a call may come to.

SandboxFailure
├── UserCodeError        the author's code raised, does not compile, or returned what is no JSON
├── LimitExceeded        a limit was reached
├── SandboxCrashed       the child died or stopped making sense
│   └── ForgedAnswer     it sent bytes that are not the protocol
├── InputRefused         the inputs are no JSON
└── SandboxUnavailable   there is no sandbox to run in; nothing was run
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any, Final, Literal

type LogLevel = Literal["debug", "info", "warning", "error"]

SIGXCPU: Final = 24
UNITS: Final = {
    "timeout": "s of wall time",
    "cpu_seconds": "s of CPU time",
    "memory_mb": "MiB of memory",
    "stdout_bytes": "bytes of output",
    "result_bytes": "bytes of result",
    "input_bytes": "bytes of input",
    "file_bytes": "bytes of new files",
}


class SandboxFailure(Exception):
    """The root. `line` (from 1) and `excerpt` point into the author's code where that is known."""

    def __init__(self, message: str, *, line: int | None = None, excerpt: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.excerpt = excerpt


class UserCodeError(SandboxFailure):
    """`type` is the exception's class name, `bases` those of it and its bases, `frames` the author's frames as
    (line, function), outermost first."""

    def __init__(
        self,
        type: str,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        excerpt: str | None = None,
        frames: tuple[tuple[int, str], ...] = (),
        cause: str | None = None,
        bases: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, line=line, excerpt=excerpt)
        self.type = type
        self.bases = bases
        self.column = column
        self.frames = frames
        self.cause = cause

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line else ""
        return f"{self.type}: {self.message}{where}" if self.message else f"{self.type}{where}"


class LimitExceeded(SandboxFailure):
    """`limit` is the name of a field of `Limits`, `ceiling` its value for this call."""

    def __init__(
        self,
        limit: str,
        ceiling: float,
        *,
        line: int | None = None,
        excerpt: str | None = None,
        actual: float | None = None,
    ) -> None:
        reached = f", it was {number(actual)}" if actual is not None else ""
        where = f" at line {line}" if line else ""
        message = f"The code reached its limit {limit}{where}: {number(ceiling)} {UNITS.get(limit, '')}{reached}."
        super().__init__(message, line=line, excerpt=excerpt)
        self.limit = limit
        self.ceiling = ceiling
        self.actual = actual


class SandboxCrashed(SandboxFailure):
    """`signal` is the name of the signal that ended the child, `exit_code` what it left with; either may be None."""

    def __init__(
        self,
        message: str,
        *,
        signal_number: int | None = None,
        exit_code: int | None = None,
        line: int | None = None,
        excerpt: str | None = None,
    ) -> None:
        super().__init__(message, line=line, excerpt=excerpt)
        self.signal = signal_name(signal_number) if signal_number else None
        self.exit_code = exit_code


class ForgedAnswer(SandboxCrashed):
    """What came back is not what the runner sends: code inside took hold of the channel."""


class InputRefused(SandboxFailure):
    """The inputs cannot be sent: not JSON."""


class SandboxUnavailable(SandboxFailure):
    """No child could be made, or a layer that the operator requires is missing."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing the code printed or logged."""

    level: LogLevel
    message: str
    fields: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """Seconds from sending the request to its end, seconds of the child's CPU, and whether the child was new."""

    duration: float = 0.0
    cpu: float = 0.0
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: `value` when `failure` is None; the logs in either case."""

    value: Any = None
    failure: SandboxFailure | None = None
    logs: tuple[LogLine, ...] = ()
    stats: Stats = Stats()

    def unwrap(self) -> Any:
        """The value. Raises the failure."""
        if self.failure is not None:
            raise self.failure
        return self.value


def _shortened(line: str) -> str:
    return line if len(line) <= 200 else f"{line[:200]}…"  # with the mark, the beginning of a secret is found there


def excerpt(code: str, line: int | None, around: int = 2) -> str | None:
    """The lines around one, numbered, the line itself marked."""
    lines = code.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return None
    first, last = max(1, line - around), min(len(lines), line + around)
    width = len(str(last))
    return "\n".join(
        f"{'>' if number == line else ' '} {number:>{width}} | {_shortened(lines[number - 1])}"
        for number in range(first, last + 1)
    )


def crash(
    exit_code: int | None, cpu_seconds: float, *, line: int | None = None, excerpt: str | None = None
) -> SandboxFailure:
    """Why a process is gone, by its exit code: None if nobody could tell, -9 for signal 9."""
    if exit_code == -SIGXCPU:
        return LimitExceeded("cpu_seconds", cpu_seconds, line=line, excerpt=excerpt)
    if exit_code is not None and exit_code < 0:
        message = f"The sandbox was ended by {signal_name(-exit_code)}."
        return SandboxCrashed(message, signal_number=-exit_code, line=line, excerpt=excerpt)
    how = "without a word" if exit_code is None else f"with exit code {exit_code}"
    return SandboxCrashed(f"The sandbox ended {how}.", exit_code=exit_code, line=line, excerpt=excerpt)


def signal_name(number: int) -> str:
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def number(value: float) -> str:
    """1048576 as 1048576 and 0.5 as 0.5."""
    return str(int(value)) if value == int(value) else f"{value:g}"
