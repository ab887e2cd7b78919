"""The `restricted` and `trusted` backends: plain subprocesses, killed when late. No boundary; see `layers`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, Literal

from .frames import Forged, Frames, Replies, encode_request
from .launching import box_command, library_path
from .outcomes import LimitExceeded, Outcome, SandboxCrashed, SandboxFailure, SandboxUnavailable, Stats, crash
from .port import DEFAULT, Call, Environment, Layers, Limits, OnLogs

GRACE: Final = 0.3
START_TIMEOUT: Final = 30.0
CHUNK: Final = 1 << 18
ASSURANCE: Final = {
    "restricted": "RestrictedPython in a subprocess: keeps honest mistakes in, is no boundary against attackers",
    "trusted": "no sandbox: code may do everything that the server's user may do",
}
NOT_HERE: Final = {"seccomp": "not used by this backend", "landlock": "not used by this backend"}


class Worker:
    """One subprocess and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.writer = process.stdin
        self.reader = process.stdout
        self.used = False

    async def hello(self) -> dict[str, Any]:
        """The first frame. Raises Forged, EOFError."""
        frames = Frames(1 << 16)
        while True:
            for reply in frames.feed(await self.read()):
                return reply

    async def read(self) -> bytes:
        """What comes next. Raises EOFError."""
        data = await self.reader.read(CHUNK)
        if not data:
            raise EOFError
        return data

    async def end(self) -> int | None:
        """Kill and reap; how it ended."""
        if self.process.returncode is None:
            self.process.kill()
        self.writer.close()
        code = await self.process.wait()
        # Let the transport see the end of its pipes, so that it is closed when the loop is.
        await asyncio.sleep(0)
        return code


class WorkerSandbox:
    """A subprocess for each scope, or a fresh one for each call."""

    def __init__(
        self,
        kind: Literal["restricted", "trusted"],
        *,
        ceiling: Limits | None = None,
        environments: Mapping[str, Environment] | None = None,
        max_workers: int = 32,
        idle_timeout: float = 30.0,
    ) -> None:
        self.ceiling = ceiling or Limits()
        self._kind = kind
        self._environments = {"default": DEFAULT, **(environments or {})}
        self._gate = asyncio.Semaphore(max_workers)
        self._max_workers = max_workers
        self._idle_timeout = idle_timeout
        self._idle: OrderedDict[str, tuple[Worker, asyncio.TimerHandle]] = OrderedDict()
        self._ending: set[asyncio.Task[int | None]] = set()
        self._active: dict[str, str] = {}
        self._reason: str | None = "not started"

    async def start(self) -> None:
        """Prove that a worker comes up. Raises SandboxUnavailable."""
        worker = await self._spawn()
        await worker.end()
        self._reason = None

    async def call(self, call: Call, scope: str | None = None, on_logs: OnLogs | None = None) -> Outcome:
        """Run the code; see `Sandbox.call`."""
        if self._reason is not None:
            raise SandboxUnavailable(f"The sandbox does not run: {self._reason}.")
        if call.environment not in self._environments:
            known = ", ".join(sorted(self._environments))
            raise SandboxUnavailable(f"There is no sandbox environment {call.environment!r}; there are: {known}.")
        limits = call.limits.within(self.ceiling)
        try:
            request = encode_request(call, limits)
        except SandboxFailure as failure:
            return Outcome(failure=failure)
        async with self._gate:
            worker = self._take(scope) or await self._spawn()
            try:
                outcome = await self._converse(worker, request, call, limits, on_logs)
            except BaseException:
                self._end_later(worker)
                raise
            if scope is None or isinstance(outcome.failure, LimitExceeded | SandboxCrashed):
                await worker.end()
            else:
                self._keep(scope, worker)
            return outcome

    async def release(self, scope: str) -> None:
        """End the worker of a scope."""
        worker = self._take(scope)
        if worker:
            await worker.end()

    async def close(self) -> None:
        """End every worker."""
        self._reason = "closed"
        for scope in list(self._idle):
            await self.release(scope)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def layers(self) -> Layers:
        """What little protection there is."""
        missing = NOT_HERE if self._kind == "restricted" else {**NOT_HERE, "rlimits": "not used by this backend"}
        return Layers(
            self._kind, self._reason is None, dict(self._active), missing, self._reason, ASSURANCE[self._kind]
        )

    async def _converse(
        self, worker: Worker, request: bytes, call: Call, limits: Limits, on_logs: OnLogs | None
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        started, fresh = loop.time(), not worker.used
        worker.used = True
        replies = Replies(call, limits, on_logs)
        try:
            async with asyncio.timeout(limits.timeout + GRACE):
                worker.writer.write(request)
                await worker.writer.drain()
                while not replies.feed(await worker.read()):
                    if replies.asked is not None:
                        worker.writer.write(await replies.answer())
                        await worker.writer.drain()
        except LimitExceeded as failure:
            replies.failure = failure
        except TimeoutError:
            replies.failure = LimitExceeded("timeout", limits.timeout)
        except (EOFError, ConnectionError):
            replies.failure = crash(await worker.end(), limits.cpu_seconds)
        return replies.outcome(Stats(loop.time() - started, 0.0, fresh))

    async def _spawn(self) -> Worker:
        options = {
            "kind": self._kind,
            "memory_mb": self.ceiling.memory_mb,
            "cpu_seconds": int(self.ceiling.cpu_seconds * 60) + 1,
            "paths": [path for path in sys.path if path],
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *box_command("worker_process", json.dumps(options), isolated=self._kind == "restricted"),
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SandboxUnavailable(f"A worker could not be started: {error}") from None
        worker = Worker(process)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                hello = (await worker.hello()).get("hello")
        except (TimeoutError, EOFError, ConnectionError, Forged):
            await worker.end()
            hint = " Is RestrictedPython installed?" if self._kind == "restricted" else ""
            raise SandboxUnavailable(f"A worker did not come up.{hint}") from None
        except BaseException:
            self._end_later(worker)
            raise
        self._active = dict(hello) if isinstance(hello, dict) else {}
        return worker

    def _environment(self) -> dict[str, str]:
        if self._kind == "restricted":
            return library_path()
        # Trusted code may have the environment, but the server's own keys are nobody's business.
        return {name: value for name, value in os.environ.items() if not name.startswith("AICFLOW_")}

    def _take(self, scope: str | None) -> Worker | None:
        if scope is None or scope not in self._idle:
            return None
        worker, timer = self._idle.pop(scope)
        timer.cancel()
        return worker

    def _keep(self, scope: str, worker: Worker) -> None:
        other = self._take(scope)
        if other:
            self._end_later(other)
        timer = asyncio.get_running_loop().call_later(self._idle_timeout, self._expire, scope)
        self._idle[scope] = (worker, timer)
        while len(self._idle) > self._max_workers:
            self._expire(next(iter(self._idle)))

    def _expire(self, scope: str) -> None:
        worker = self._take(scope)
        if worker:
            self._end_later(worker)

    def _end_later(self, worker: Worker) -> None:
        worker.process.kill() if worker.process.returncode is None else None
        task = asyncio.get_running_loop().create_task(worker.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
