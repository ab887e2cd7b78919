"""Collects what the author prints and logs, within the limit, and hands it on in batches."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from .timers import Timers
from .wire import encode

LEVELS: Final = ("debug", "info", "warning", "error")
LINE_COST: Final = 16
FLUSH_EVERY: Final = 0.1


class Capture(io.TextIOBase):
    """Stands in for standard output; whole lines become log entries `[level, message, fields]`."""

    def __init__(self, limit: int, timers: Timers, send: Callable[..., None]) -> None:
        self.entries: list[bytes] = []
        self._limit = limit
        self._used = 0
        self._partial: list[str] = []
        self._timers = timers
        self._send = send
        self._sent_at = time.monotonic()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"print writes text, not {type(text).__name__}")
        text = str.__str__(text)
        self._charge(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))
        if "\n" not in text:
            self._partial.append(text)
            return len(text)
        first, *middle, last = text.split("\n")
        self._partial.append(first)
        self.add("info", "".join(self._partial))
        for line in middle:
            self.add("info", line)
        self._partial = [last] if last else []
        return len(text)

    def flush(self) -> None:
        """Nothing waits here but unfinished lines."""

    def add(self, level: str, message: str, fields: dict[str, Any] | None = None) -> None:
        """Keep one entry; hand on a batch when the last one is a while ago."""
        self._charge(LINE_COST)
        entry: list[Any] = [level, message.encode("utf-8", "replace").decode()]
        # Encoded now: the fields are the author's and may change.
        self.entries.append(encode([*entry, fields] if fields else entry))
        now = time.monotonic()
        if now - self._sent_at > FLUSH_EVERY:
            self._sent_at = now
            entries, self.entries = self.entries, []
            # An alarm inside a frame would cut it in two.
            self._timers.holding = True
            self._send(b'{"logs":[', b",".join(entries), b"]}")
            self._timers.holding = False

    def charge_message(self, size: int) -> None:
        """Count what `log` was given against the same limit."""
        self._charge(size)

    def finish(self) -> bytes:
        """The entries not handed on yet as a JSON array, an unfinished line included."""
        if self._partial:
            rest, self._partial = "".join(self._partial), []
            self.entries.append(encode(["info", rest.encode("utf-8", "replace").decode()]))
        return b"[" + b",".join(self.entries) + b"]"

    def _charge(self, size: int) -> None:
        self._used += size
        if self._used > self._limit:
            self._timers.strike("stdout_bytes", sys._getframe(1))


class Log:
    """The author's `log`: `log("text", level="info", **fields)`, or `log.warning("text", **fields)`."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    def __call__(self, message: object, *, level: str = "info", **fields: Any) -> None:
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        text = str.__str__(str(message))
        try:
            size = len(encode(fields)) if fields else 0
        except (TypeError, ValueError) as error:
            raise TypeError(f"log fields must be JSON values: {error}") from None
        self._capture.charge_message(len(text) + size)
        self._capture.add(level, text, fields or None)

    def debug(self, message: object, **fields: Any) -> None:
        """Log at level debug."""
        self(message, level="debug", **fields)

    def info(self, message: object, **fields: Any) -> None:
        """Log at level info."""
        self(message, level="info", **fields)

    def warning(self, message: object, **fields: Any) -> None:
        """Log at level warning."""
        self(message, level="warning", **fields)

    def error(self, message: object, **fields: Any) -> None:
        """Log at level error."""
        self(message, level="error", **fields)
