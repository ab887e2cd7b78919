"""One sealed child as the host sees it: a socket, a black box, a pidfd, and a deadline that the host keeps itself."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from .frames import HEADER, Forged, Logs, allowance, read_reply
from .limits import Limits
from .outcomes import LogLine
from .places import Turn
from .protocol import OnLogs

__all__ = ["AUTHOR_LINE", "Child", "Ended", "Overdue"]

GRACE: Final = 0.1
"""Seconds after a limit in which the child may report it itself."""
LAST_WORDS: Final = 0.1
"""Seconds that the C level has at most to write down where it stands."""
IDLE_CPU: Final = 0.02
"""Seconds of CPU that a child may use between two calls before it is thought to be up to something."""
CHUNK: Final = 1 << 18
MIB: Final = 1 << 20
BATCH: Final = 0.1
"""Seconds between two batches of log lines, at the least."""
SPARE_FRAMES: Final = 20
PARSE_RATE: Final = 20e6
"""Bytes of request a second that a child reads at the very least."""

AUTHOR_LINE: Final = re.compile(rb'File "<python\.code>", line (\d{1,6})\b')


class Ended(Exception):
    """The child is gone without an answer."""


class Overdue(Exception):
    """The child did not report its own limit in time and was killed."""

    def __init__(self, limit: str, line: int | None) -> None:
        super().__init__(limit)
        self.limit = limit
        self.line = line


class Child:
    """Takes one call at a time. `on_dead` is called once, whatever it dies of."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pid: int,
        channel: socket.socket,
        black_box: int,
        pidfd: int,
        on_dead: Callable[[Child], None],
    ) -> None:
        self.pid = pid
        self.calls = 0
        self.turn: Turn | None = None
        """Whose place it holds."""
        self.dead = False
        self.exit_code: asyncio.Future[int | None] = loop.create_future()
        self.cpu = 0.0
        self.logs: list[LogLine] = []
        self._loop = loop
        self._channel = channel
        self._black_box = black_box
        self._pidfd = pidfd
        self._on_dead = on_dead
        self._clock = (~pid << 3) | 2  # the kernel's number for the CPU clock of another process
        self._cpu_before = self._cpu_after = 0.0
        self._buffer = bytearray()
        self._unsent: memoryview | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._budget = MIB
        self._frames = 1
        self._words = b""
        # The first frame comes unasked: it says that the child is sealed.
        self.hello: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._reply: asyncio.Future[dict[str, Any]] | None = self.hello
        channel.setblocking(False)
        loop.add_reader(channel, self._on_readable)

    def submit(self, request: bytes, limits: Limits, on_logs: OnLogs | None) -> asyncio.Future[dict[str, Any]]:
        """Send a request. The future gives the last frame of the reply, or Ended, Overdue or Forged."""
        assert self._reply is None, "a child takes one call at a time"
        self._reply = self._loop.create_future()
        if self.dead:
            self._reply.set_exception(Ended())
            return self._reply
        self.calls += 1
        self.logs = []
        self._meter = Logs(limits.stdout_bytes)
        self._on_logs = on_logs
        self._budget = allowance(limits)
        self._frames = int(limits.timeout / BATCH) + SPARE_FRAMES
        self._limits = limits
        self._cpu_before = self._read_clock()
        self._due = self._loop.time() + limits.timeout + GRACE + len(request) / PARSE_RATE
        first = min(limits.timeout, limits.cpu_seconds) + GRACE
        self._deadline = self._loop.call_later(first, self._check)
        try:
            sent = self._channel.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._fail(Ended())
            return self._reply
        if sent < len(request):
            self._unsent = memoryview(request)[sent:]
            self._loop.add_writer(self._channel, self._on_writable)
        return self._reply

    def finish_call(self) -> None:
        """Take note of the CPU used; the child is idle from here on."""
        if not self.dead:
            self._cpu_after = self._read_clock()
            self.cpu = max(0.0, self._cpu_after - self._cpu_before)

    def quiet(self) -> bool:
        """Whether the child did nothing since its last call."""
        return not self.dead and self._read_clock() - self._cpu_after < IDLE_CPU

    def cpu_of_life(self) -> float:
        """Seconds of CPU used since the fork."""
        return self._read_clock()

    def kill(self) -> None:
        """End the process now and let go of its descriptors."""
        if self.dead:
            return
        self.dead = True
        self._stop_clock()
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._loop.remove_reader(self._black_box)
        self._channel.close()
        os.close(self._pidfd)
        os.close(self._black_box)
        future, self._reply = self._reply, None
        settle(future, Ended())
        self._on_dead(self)

    def last_words(self) -> bytes:
        """What the C level wrote into the black box."""
        try:
            return os.read(self._black_box, 1 << 16)
        except OSError:
            return b""

    def _on_readable(self) -> None:
        try:
            data = self._channel.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail(Ended())
            return
        self._budget -= len(data)
        if self._reply is None or self._budget < 0:
            self._fail(Forged("bytes came that nobody asked for"))
            return
        self._buffer += data
        try:
            self._read_frames()
        except Forged as error:
            self._fail(error)
        except Exception as error:  # whatever a hostile frame provokes must not be lost in a callback of the loop
            self._fail(Forged(f"a frame could not be read ({type(error).__name__})"))

    def _read_frames(self) -> None:
        while len(self._buffer) >= HEADER:
            end = HEADER + int.from_bytes(self._buffer[:HEADER])
            if end - len(self._buffer) > self._budget:
                raise Forged("a frame is announced that is longer than the limits allow")
            if len(self._buffer) < end:
                return
            self._frames -= 1
            if self._frames < 0:
                raise Forged("more frames came than the runner ever sends")
            reply = read_reply(bytes(memoryview(self._buffer)[HEADER:end]))
            del self._buffer[:end]
            if "logs" in reply:
                lines = self._meter.read(reply["logs"])
                self.logs += lines
                if self._on_logs and lines:
                    try:
                        self._on_logs(lines)
                    except Exception as error:  # the caller's; it must not be lost in a callback of the loop
                        self._fail(error)
                        return
                if len(reply) == 1:
                    continue
            if self._buffer:
                raise Forged("bytes follow the reply")
            self._answer(reply)

    def _answer(self, reply: dict[str, Any]) -> None:
        self._stop_clock()
        future, self._reply = self._reply, None
        if future is not None and not future.done():
            future.set_result(reply)

    def _fail(self, error: Exception) -> None:
        future, self._reply = self._reply, None
        self.cpu = max(0.0, self._read_clock() - self._cpu_before)
        if isinstance(error, Ended):
            error.args = (self.last_words(),)
        self.kill()
        settle(future, error)

    def _on_writable(self) -> None:
        assert self._unsent is not None
        try:
            self._unsent = self._unsent[self._channel.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._fail(Ended())
            return
        if not self._unsent:
            self._unsent = None
            self._loop.remove_writer(self._channel)

    def _check(self) -> None:
        """Called when a limit may have been passed without a word from the child."""
        left = self._due - self._loop.time()
        used = self._read_clock() - self._cpu_before
        cpu_left = self._limits.cpu_seconds + GRACE - used
        if left <= 0 or cpu_left <= 0:
            limit = "timeout" if left <= 0 else "cpu_seconds"
            self._signal(signal.SIGUSR1)
            self._deadline = self._loop.call_later(LAST_WORDS, self._strike, limit)
            self._loop.add_reader(self._black_box, self._listen, limit)
        else:
            self._deadline = self._loop.call_later(max(0.005, min(left, cpu_left)), self._check)

    def _listen(self, limit: str) -> None:
        words = self.last_words()
        self._words += words
        if not words or AUTHOR_LINE.search(self._words):
            self._strike(limit)

    def _strike(self, limit: str) -> None:
        found = AUTHOR_LINE.search(self._words + self.last_words())
        self._fail(Overdue(limit, int(found[1]) if found else None))

    def _signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _read_clock(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return self._cpu_after  # it has just ended


def settle(future: asyncio.Future[Any] | None, error: Exception) -> None:
    """Fail a future that may be nobody's any more."""
    if future is not None and not future.done():
        future.set_exception(error)
        future.exception()  # seen: asyncio need not complain when nobody awaits it
