"""The child's own clock: raises in the author's code when its time is up, and remembers the line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

from .compiling import FILENAME

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

AGAIN: Final = 0.02
"""Seconds until an ignored limit strikes again."""


class LimitStruck(KeyboardInterrupt):
    """A limit was reached. A KeyboardInterrupt, because asyncio lets that one through."""

    def __init__(self, limit: str, line: int | None) -> None:
        super().__init__(f"the {limit} limit was reached")
        self.limit = limit
        self.line = line


def author_line(frame: FrameType | None) -> int | None:
    """The innermost line of the author's code in this stack."""
    while frame is not None:
        if frame.f_code.co_filename == FILENAME:
            return frame.f_lineno
        frame = frame.f_back
    return None


class Timers:
    """Wall and CPU alarms of one process. `armed` is the one switch: off, a late signal does nothing."""

    def __init__(self) -> None:
        self.struck: LimitStruck | None = None
        self.waiting_frame: Callable[[], FrameType | None] | None = None
        self.holding = False
        self._armed = False
        self._soft: tuple[int, int] | None = None

    def install(self) -> None:
        """Set the handlers; before the seal, which forbids changing them."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not hasattr(signal, "setitimer"):  # Windows: the host's clock is the only one
            return
        signal.signal(signal.SIGALRM, lambda _, frame: self._alarm("timeout", frame))
        signal.signal(signal.SIGPROF, lambda _, frame: self._alarm("cpu_seconds", frame))

    def tighten(self, address_space: int | None, cpu_seconds: float) -> None:
        """Lower the soft limits to what this call may have; the hard ones stay the operator's. None for no limits."""
        if address_space is None or resource is None:
            return
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = int(usage.ru_utime + usage.ru_stime + cpu_seconds) + 2
        if self._soft == (address_space, cpu):
            return
        for name, value in ((resource.RLIMIT_AS, address_space), (resource.RLIMIT_CPU, cpu)):
            hard = resource.getrlimit(name)[1]
            resource.setrlimit(name, (min(value, hard) if hard != resource.RLIM_INFINITY else value, hard))
        self._soft = (address_space, cpu)

    def arm(self, timeout: float, cpu_seconds: float) -> None:
        """Start both clocks, seconds each."""
        self.struck = None
        self.holding = False
        self._armed = True
        if not hasattr(signal, "setitimer"):
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds, AGAIN)
        signal.setitimer(signal.ITIMER_REAL, timeout, AGAIN)

    def disarm(self) -> None:
        """From here on nothing strikes."""
        self._armed = False

    def stop(self) -> None:
        """Stop both clocks."""
        self._armed = False
        if not hasattr(signal, "setitimer"):
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)

    def strike(self, limit: str, frame: FrameType | None) -> NoReturn:
        """Raise in the author's code, now and whenever it goes on regardless. The first limit is the one reported."""
        if self.struck is None:
            line = author_line(frame)
            if line is None and self.waiting_frame:
                line = author_line(self.waiting_frame())
            self.struck = LimitStruck(limit, line)
        raise self.struck

    def _alarm(self, limit: str, frame: FrameType | None) -> None:
        if self._armed and not self.holding:
            self.strike(limit, frame)
