"""Finds mistakes in code before it runs. Synchronous, because validation is; the parsing happens in another process."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aicflow import cut

from .frames import Forged, Frames, encode_check
from .launching import box_command, library_path

log: Final = logging.getLogger(__name__)

type Names = tuple[str, ...] | None

PATIENCE: Final = 2.0
"""Seconds that reading a piece of code may take."""
LARGEST_REPLY: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in the code; line and column start at 1."""

    message: str
    line: int | None = None
    column: int | None = None
    warning: bool = False


class Unreadable(Exception):
    """The process that reads code did not survive this piece of it, or took too long."""


class CheckerUnavailable(Exception):
    """The process that reads code cannot be started here."""


class Checker:
    """Owns the process; started when first asked, started again when it dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._owner = os.getpid()

    def check(
        self, code: str, allowed: Sequence[str] | None, inputs: Sequence[str] | None = None
    ) -> tuple[Problem, ...]:
        """Syntax errors, imports of modules that are not allowed (None: all are), uses of inputs that are not given
        (None: not known). Raises Unreadable, CheckerUnavailable."""
        request = encode_check(code, allowed, inputs)
        with self._lock:
            used = self._process is not None
            try:
                reply = self._ask(request)
            except (OSError, EOFError, Forged):
                if not used:
                    raise Unreadable from None
                try:  # the process may have ended long before, of something else
                    reply = self._ask(request)
                except (OSError, EOFError, Forged):
                    raise Unreadable from None
        return problems_in(reply.get("problems"))

    def _ask(self, request: bytes) -> dict[str, Any]:
        channel = self._open()
        alarm = threading.Timer(PATIENCE, self._kill)
        alarm.daemon = True
        alarm.start()
        try:
            channel.sendall(request)
            return receive(channel)
        except BaseException:
            self._drop()
            raise
        finally:
            alarm.cancel()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._drop()

    def _open(self) -> socket.socket:
        if self._owner != os.getpid():  # the server was forked: the channel is its parent's
            self._owner, self._process, self._channel = os.getpid(), None, None
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                box_command("check_process"),
                env=library_path(),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise CheckerUnavailable(str(error)) from None
        finally:
            theirs.close()
        self._channel = ours
        return ours

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            process.kill()

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def receive(channel: socket.socket) -> dict[str, Any]:
    """One reply. Raises EOFError, OSError or Forged."""
    frames = Frames(LARGEST_REPLY)
    while True:
        data = channel.recv(1 << 16)
        if not data:
            raise EOFError
        for reply in frames.feed(data):
            return reply


def problems_in(raw: object) -> tuple[Problem, ...]:
    """The reply's problems, as far as they look like problems."""
    found = []
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict) and isinstance(item.get("message"), str):
            line, column = item.get("line"), item.get("column")
            found.append(
                Problem(
                    cut(item["message"], 1000),
                    line if isinstance(line, int) and line > 0 else None,
                    column if isinstance(column, int) and column > 0 else None,
                    item.get("warning") is True,
                )
            )
    return tuple(found)


_shared: Final = Checker()
atexit.register(_shared.close)


@lru_cache(maxsize=1024)
def remembered(code: str, allowed: Names, inputs: Names) -> tuple[Problem, ...]:
    """What the process's own checker finds; only answers are remembered, not that there was none."""
    return _shared.check(code, allowed, inputs)


def check(code: str, allowed: Names, inputs: Names = None) -> tuple[Problem, ...]:
    """Problems of the code, with the process's own checker. Code that cannot be read is a problem too."""
    try:
        return remembered(code, allowed, inputs)
    except CheckerUnavailable as error:
        log.warning("code is not checked before it runs: %s", error)
        return ()
    except Unreadable:
        return (Problem("The code could not be read: it is too large, too deep, or breaks the parser."),)
