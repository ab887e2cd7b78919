"""Several server processes behind one listening socket, and the parent that starts them again when they die."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

_PAUSE: Final = 1.0
"""Seconds between two starts of one process: one that dies at once must not keep the machine busy."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(slots=True)
class Child:
    """What a server process knows of its parent. `is_first` speaks for all: it greets, once."""

    is_first: bool
    parent: int
    ready: int

    def tell_ready(self) -> None:
        """It answers requests now."""
        with suppress(OSError):
            os.write(self.ready, b".")

    def is_orphan(self) -> bool:
        return os.getppid() != self.parent


@dataclass
class Parent:
    """Starts `count` processes, the others once the first answers: what a first start makes is made once. Calls
    `started` then. A process that did not end within `patience` seconds of the signal is killed."""

    count: int
    patience: float
    started: Callable[[], None]
    say: Callable[[str], None]
    _running: dict[int, float] = field(default_factory=dict)
    _stopping: float | None = None

    def run(self) -> Child | int:
        """The exit code, once all have ended; in each process that it starts, what that one is to know."""
        ready, told = os.pipe()
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        old = {one: signal.signal(one, self._note) for one in _SIGNALS}
        old_fd = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)

        def start(*, first: bool = False) -> Child | None:
            pid = os.fork()
            if pid:
                self._running[pid] = time.monotonic()
                return None
            signal.set_wakeup_fd(old_fd)
            for one, handler in old.items():
                signal.signal(one, handler)
            os.setpgid(0, 0)  # Ctrl-C comes from the parent, once
            os.close(ready)
            woken.close()
            wake.close()
            return Child(first, os.getppid(), told)

        code, answered, due = 0, False, 0.0
        if child := start(first=True):
            return child
        while self._running or (due and self._stopping is None):
            timeout = _PAUSE if due or self._stopping is not None else None
            readable, _, _ = select.select([ready, woken.fileno()], [], [], timeout)
            if woken.fileno() in readable:
                woken.recv(4096)
            if ready in readable and os.read(ready, 4096) and not answered:
                answered = True
                self.started()
                for _ in range(self.count - 1):
                    if child := start():
                        return child
            for pid, ended in self._ended():
                if self._stopping is not None:
                    code = code or int(ended != 0)
                elif not answered:
                    return ended or 1  # it has said why
                else:
                    self.say(f"Process {pid} ended with {ended}; another takes its place")
                    due = due or time.monotonic() + _PAUSE
            if due and time.monotonic() >= due and self._stopping is None:
                due = 0.0
                while len(self._running) < self.count:
                    if child := start():
                        return child
            if self._stopping is not None and time.monotonic() > self._stopping + self.patience:
                self._tell_all(signal.SIGKILL)
        return code

    def _note(self, number: int, _: object) -> None:
        if number != signal.SIGCHLD:
            self._stopping = self._stopping or time.monotonic()
            self._tell_all(signal.SIGTERM)

    def _tell_all(self, number: int) -> None:
        for pid in list(self._running):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _ended(self) -> list[tuple[int, int]]:
        found = []
        for pid in list(self._running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._running[pid]
                found.append((pid, os.waitstatus_to_exitcode(status)))
        return found
