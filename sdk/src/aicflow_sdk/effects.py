"""What a program asks of the client that runs it, and what it gets back.

A program is a generator that yields these effects and is sent their outcomes. It does no I/O, so the sync and the async
client run the same programs.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from aicflow_sdk.call import Call
from aicflow_sdk.errors import ConnectionFailed
from aicflow_sdk.replies import Reply

__all__ = [
    "Closed", "Effect", "Emit", "Now", "Open", "Opened", "Outcome", "Program", "Receive", "Send", "Silence", "Sleep",
    "Unreached",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Send:
    """Send a call. Gives a Reply, or Unreached."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait so many seconds. Gives None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    """Look at the clock. Gives seconds of a clock that never goes back."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open a stream at a path; one that is open is closed. Gives Opened, the Reply of a refusal, or Unreached."""

    path: str


@dataclass(frozen=True, slots=True)
class Receive:
    """Take the next message of the open stream. Gives a str, Closed, or Silence after `timeout` seconds."""

    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an item to whoever iterates. Gives None once the next one is wanted."""

    item: Any


@dataclass(frozen=True, slots=True)
class Unreached:
    """There is no reply. `sent`: whether the server may have received the request."""

    error: ConnectionFailed
    sent: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream is open."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream has ended. `code` is that of the closing handshake; 1006 when there was none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came in time; the stream is still open."""


type Effect = Send | Sleep | Now | Open | Receive | Emit
type Program[T] = Generator[Effect, Any, T]
type Outcome = Reply | Unreached | Opened | Closed | Silence | str | float | None
