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

from .frames import Forged, Frames, Replies
from .outcomes import LimitExceeded, Outcome, SandboxCrashed, SandboxFailure, Stats, crash, excerpt
from .places import Turn
from .port import Call, Limits, OnLogs

GRACE: Final = 0.1
"""Seconds after a limit in which the child may report it itself."""
LAST_WORDS: Final = 0.1
"""Seconds that the C level has at most to write down where it stands."""
IDLE_CPU: Final = 0.02
"""Seconds of CPU that a child may use between two calls before it is thought to be up to something."""
CHUNK: Final = 1 << 18
MIB: Final = 1 << 20
EXIT_WAIT: Final = 1.0
"""Seconds that the exit code of a child that is gone may take to come."""
PARSE_RATE: Final = 20e6
"""Bytes of request a second that a child reads at the very least."""

AUTHOR_LINE: Final = re.compile(rb'File "<python\.code>", line (\d{1,6})\b')


class Ended(Exception):
    """The child is gone; what it wrote into its black box."""


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
        self.turn: Turn | None = None
        """Whose place it holds."""
        self.dead = False
        self.exit_code: asyncio.Future[int | None] = loop.create_future()
        self.hello: asyncio.Future[dict[str, Any]] = loop.create_future()
        """The first frame, which comes unasked: it says that the child is sealed. Ended if there was none."""
        self._loop = loop
        self._channel = channel
        self._black_box = black_box
        self._pidfd = pidfd
        self._on_dead = on_dead
        self._clock = (~pid << 3) | 2  # the kernel's number for the CPU clock of another process
        self._cpu_before = self._cpu_after = 0.0
        self._fresh = True
        self._unsent: memoryview | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._words = b""
        self._greeting = Frames(MIB)
        self._ended: asyncio.Future[bool] | None = None
        """For the call that is under way; False when the child is gone without an answer."""
        self._answering: asyncio.Task[None] | None = None
        """What the code asked of its files."""
        channel.setblocking(False)
        loop.add_reader(channel, self._on_readable)

    async def run(self, request: bytes, call: Call, limits: Limits, on_logs: OnLogs | None) -> Outcome:
        """Send the request of a call and wait for its outcome. A child that did anything but answer is killed."""
        assert self._ended is None, "a child takes one call at a time"
        started, fresh = self._loop.time(), self._fresh
        self._fresh = False
        self._words = b""
        self._call, self._limits = call, limits
        self._replies = replies = Replies(call, limits, on_logs)
        self._ended = ended = self._loop.create_future()
        if self.dead:
            self._settle(False)
        else:
            self._cpu_before = self._read_clock()
            self._due = started + limits.timeout + GRACE + len(request) / PARSE_RATE
            first = min(limits.timeout, limits.cpu_seconds) + GRACE
            self._deadline = self._loop.call_later(first, self._check)
            self._send(memoryview(request))
        if not await ended:
            replies.failure = await self._crash()
        self._read_cpu()
        if isinstance(replies.failure, LimitExceeded | SandboxCrashed):
            self.kill()
        used = max(0.0, self._cpu_after - self._cpu_before)
        return replies.outcome(Stats(self._loop.time() - started, used, fresh))

    def quiet(self, cpu_seconds: float) -> bool:
        """Whether the child did nothing since its last call, and has used less CPU in its life."""
        used = self._read_clock()
        return not self.dead and used - self._cpu_after < IDLE_CPU and used < cpu_seconds

    def kill(self) -> None:
        """End the process now and let go of its descriptors; a call under way ends as a crash."""
        if self.dead:
            return
        self._read_cpu()
        self._read_black_box()
        self.dead = True
        self._stop_clock()
        self._signal(signal.SIGKILL)
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._loop.remove_reader(self._black_box)
        self._channel.close()
        os.close(self._pidfd)
        os.close(self._black_box)
        self._settle(False)
        if not self.hello.done():
            self.hello.set_exception(Ended(self._words))
            self.hello.exception()  # seen: asyncio need not complain when nobody awaits it
        self._on_dead(self)

    def _on_readable(self) -> None:
        try:
            data = self._channel.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.kill()
        elif not self.hello.done():
            self._greet(data)
        elif self._ended is None:
            self.kill()  # nobody asked for anything
        else:
            try:
                if self._replies.feed(data):
                    self._settle(True)
                elif self._unsent is not None and self._replies.asked is not None:
                    self.kill()  # it cannot know yet what it is to do
                elif self._replies.asked is not None and self._answering is None:
                    self._answering = self._loop.create_task(self._answer(self._replies))
            except Exception as error:  # the caller's; it must not be lost in a callback of the loop
                self._settle(error)
                self.kill()

    async def _answer(self, replies: Replies) -> None:
        """Tell the code what it asked of its files."""
        try:
            frame = await replies.answer()
        except SandboxFailure as failure:
            replies.failure = failure
            self._settle(True)
            self.kill()
        except Exception as error:  # the store's, say: it ends the call, as what log lines raise does
            self._settle(error)
            self.kill()
        else:
            self._answering = None
            self._send(memoryview(frame))

    def _greet(self, data: bytes) -> None:
        try:
            greeting = self._greeting.feed(data)
            if greeting and self._greeting.rest:
                raise Forged("bytes follow the hello")
        except Forged as error:
            self._words = str(error).encode()
            self.kill()
            return
        if greeting:
            self.hello.set_result(greeting[0])

    def _send(self, request: memoryview) -> None:
        try:
            sent = self._channel.send(request)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.kill()
            return
        left = request[sent:]
        if left and self._unsent is None:
            self._loop.add_writer(self._channel, self._on_writable)
        elif not left and self._unsent is not None:
            self._loop.remove_writer(self._channel)
        self._unsent = left or None

    def _on_writable(self) -> None:
        assert self._unsent is not None
        self._send(self._unsent)

    def _settle(self, end: bool | Exception) -> None:
        """End the call that is under way."""
        self._stop_clock()
        if self._answering is not None and self._answering is not asyncio.current_task():
            self._answering.cancel()
        self._answering = None
        ended, self._ended = self._ended, None
        if ended is None or ended.done():
            return
        if isinstance(end, Exception):
            ended.set_exception(end)
        else:
            ended.set_result(end)

    async def _crash(self) -> SandboxFailure:
        """Why the child is gone, by the word of its parent."""
        try:
            async with asyncio.timeout(EXIT_WAIT):
                code = await asyncio.shield(self.exit_code)
        except TimeoutError:
            code = None
        line = self._last_line()
        return crash(code, self._limits.cpu_seconds, line=line, excerpt=excerpt(self._call.code, line))

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
        if not self._read_black_box() or AUTHOR_LINE.search(self._words):
            self._strike(limit)

    def _strike(self, limit: str) -> None:
        """The child did not report its own limit in time."""
        self._read_black_box()
        line, ceiling = self._last_line(), getattr(self._limits, limit)
        self._replies.failure = LimitExceeded(limit, ceiling, line=line, excerpt=excerpt(self._call.code, line))
        self._settle(True)
        self.kill()

    def _read_black_box(self) -> bytes:
        """What the C level wrote into the black box since the last look."""
        try:
            words = os.read(self._black_box, 1 << 16)
        except OSError:
            return b""
        self._words += words
        return words

    def _last_line(self) -> int | None:
        """The line of the author's code that the C level wrote down."""
        found = AUTHOR_LINE.search(self._words)
        line = int(found[1]) if found else 0
        return line if 1 <= line <= self._call.code.count("\n") + 1 else None

    def _signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _read_cpu(self) -> None:
        if not self.dead:
            self._cpu_after = self._read_clock()

    def _read_clock(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return self._cpu_after  # it has just ended
