"""What a chat server for tests can reply: the vocabulary of its scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `arguments` as text is sent unchanged, also when it is not JSON."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Answer:
    """A well-formed answer, streamed in pieces of `piece` characters, `delay` seconds apart. `usage` is (input, output)
    tokens; None counts words, and `report_usage=False` leaves usage out."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    finish_reason: str | None = None
    usage: tuple[int, int] | None = None
    report_usage: bool = True
    piece: int = 12
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class HttpError:
    """An error status with OpenAI's error body."""

    status: int
    message: str = "scripted error"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MalformedJson:
    """Status 200 and a body (or first stream event) that is not JSON."""


@dataclass(frozen=True, slots=True)
class CutStream:
    """A stream that stops after `text` without its end: the connection closes in the middle of the transfer, or
    `cleanly`, as with a crashed server behind a proxy."""

    text: str = "The answer is"
    cleanly: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Streams `text` and then nothing more until the client disconnects."""

    text: str = "Thinking"
