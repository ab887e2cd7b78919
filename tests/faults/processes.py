"""Starting, steering, stopping and killing workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults import databases
from tests.faults.history import World
from tests.faults.worker import Spec, main

# one process imports everything once; each worker is a fork of it, which takes a few milliseconds
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.worker", "aicflow.engine.langgraph"])
_PATIENCE = 30.0


class Refused(Exception):
    """The worker answered with an error."""


def until[T](ask: Callable[[], T], seconds: float = _PATIENCE, what: str = "it") -> T:
    """Ask until the answer is true; gives it."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.004)
    return answer


class WorkerProcess:
    """A worker that runs."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._connection, theirs = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=main, args=(theirs, spec), daemon=True)
        self.process.start()
        theirs.close()
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def up(self) -> WorkerProcess:
        """Wait until it claims and takes commands."""
        self._receive(0, "up")
        return self

    def ask(self, command: str, **kwargs: Any) -> Any:
        """Send a command and wait for its result. Raises Refused, EOFError when the worker died meanwhile."""
        number = next(self._numbers)
        try:
            self._connection.send((number, command, kwargs))
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        return self._receive(number, command)

    def send(self, command: str, **kwargs: Any) -> None:
        """Send a command and do not wait; its result is dropped."""
        try:
            self._connection.send((next(self._numbers), command, kwargs))
        except (BrokenPipeError, ConnectionResetError):
            return

    def _receive(self, number: int, what: str) -> Any:
        while True:
            try:
                assert self._connection.poll(_PATIENCE), f"the worker did not answer {what}"
                found, good, result = self._connection.recv()
            except ConnectionResetError:
                raise EOFError from None
            if found == number:
                if not good:
                    raise Refused(result)
                return result

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL, from whatever it is doing."""
        self.process.kill()
        self.join()

    def join(self, seconds: float = _PATIENCE) -> int:
        """Wait for its end; gives the exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the worker did not end"
        self._connection.close()
        return self.process.exitcode


class Site:
    """A folder with a ledger and a database, unless that is elsewhere, and the workers on it."""

    def __init__(self, folder: Path, db: str | None = None, **spec: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.spec = Spec(db or str(folder / "db"), str(folder / "ledger"), str(folder / "log"), **spec)
        self.workers: list[WorkerProcess] = []
        (folder / "ledger").touch()

    def worker(self, **changes: Any) -> WorkerProcess:
        """Start a worker; what is not said is as the site has it. When it is the only one, it has nobody's leases to
        wait for."""
        if self.workers and not any(worker.alive for worker in self.workers):
            databases.end_leases(self.spec.db)
        worker = WorkerProcess(replace(self.spec, **changes))
        self.workers.append(worker)
        return worker

    def world(self) -> World:
        """What the database and the ledger say now."""
        return World.read(self.spec.db, Path(self.spec.ledger))

    def settled(self, ids: Sequence[str], seconds: float = _PATIENCE) -> World:
        """Wait until these executions have ended."""

        def ended() -> World | None:
            world = self.world()
            return world if all(world.executions[one].ended for one in ids) else None

        try:
            until(ended, seconds, "the end of every execution")
            return self.world()  # once more: the ledger was read before the end was
        except AssertionError as error:
            world = self.world()
            open_ = "\n".join(world.executions[one].story() for one in ids if not world.executions[one].ended)
            raise AssertionError(f"{error}\n{open_}\n{self.log()}") from None

    def log(self) -> str:
        """The end of what the workers logged."""
        log = Path(self.spec.log)
        return log.read_text()[-8_000:] if log.exists() else ""

    def lines(self, word: str) -> int:
        """How often the ledger has this word."""
        return sum(line.split()[4] == word for line in Path(self.spec.ledger).read_text().splitlines())

    def happened(self, word: str) -> None:
        """Wait for this word in the ledger."""
        until(lambda: self.lines(word), what=f"{word} in the ledger")

    def close(self) -> None:
        """End every worker, stopped ones too."""
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
                worker.process.join(_PATIENCE)


def alive(pid: int) -> bool:
    """Whether a process of this id runs and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and sys.platform == "linux"


def stop(worker: WorkerProcess) -> None:
    """SIGSTOP, and wait until it has stopped."""
    worker.signal(signal.SIGSTOP)
    until(lambda: Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
