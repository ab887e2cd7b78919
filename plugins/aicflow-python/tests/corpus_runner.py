"""Runs the corpus: each case in its own scope, its verdict checked, a healthy call after it.

Also a program, so that the corpus can be run as another user: `python corpus_runner.py [--unguarded]` prints one
JSON line with the problems found.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aicflow_python.sandbox import (
    Call,
    ForgedAnswer,
    LimitExceeded,
    Limits,
    Outcome,
    ProcessSandbox,
    SandboxCrashed,
    UserCodeError,
)

CORPUS = Path(__file__).parent / "corpus"
VARIABLE = "AICFLOW_CANARY"
CANARY = "canary-7f3a9c"
HEALTHY = Call("import json\nreturn json.loads(json.dumps(inputs['n'])) + 1", {"n": 1})


@dataclass(frozen=True, slots=True)
class Case:
    """One file of the corpus: header lines, `---`, code."""

    name: str
    category: str
    expect: str
    unguarded: str
    code: str
    limits: Limits = field(default_factory=Limits)


def load(path: Path) -> Case:
    head, _, code = path.read_text().partition("---\n")
    words = dict(line.removeprefix("# ").split(": ", 1) for line in head.splitlines())
    unknown = words.keys() - {"category", "expect", "unguarded", "limits", "why"}
    assert not unknown, f"{path.name}: unknown header {unknown}"
    limits = Limits(**json.loads(words.get("limits", "{}")))
    expect = words["expect"]
    return Case(path.stem, words["category"], expect, words.get("unguarded", expect), code, limits)


def cases() -> list[Case]:
    return [load(path) for path in sorted(CORPUS.glob("*.case"))]


@dataclass(frozen=True, slots=True)
class Bait:
    """Real things outside that the code inside must not reach; what it is told about them."""

    inputs: dict[str, Any]
    tcp: socket.socket
    unix: socket.socket
    victim: subprocess.Popen[bytes]
    folder: Path

    def touched(self) -> list[str]:
        problems = []
        for name, server in (("TCP port", self.tcp), ("Unix socket", self.unix)):
            try:
                server.accept()
                problems.append(f"somebody connected to the {name}")
            except BlockingIOError:
                pass
        if self.victim.poll() is not None:
            problems.append("the victim process was ended")
        if sorted(os.listdir(self.folder)) != ["canary", "socket"]:
            problems.append(f"the files changed: {os.listdir(self.folder)}")
        return problems


@contextmanager
def bait() -> Iterator[Bait]:
    os.environ[VARIABLE] = CANARY
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        file = Path(folder, "canary")
        file.write_text(CANARY)
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"{folder}/socket")
            unix.listen()
            tcp.setblocking(False)
            unix.setblocking(False)
            victim = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
            try:
                inputs = {
                    "secret": VARIABLE,
                    "file": str(file),
                    "port": tcp.getsockname()[1],
                    "unix": f"{folder}/socket",
                    "victim": victim.pid,
                    "host": os.getpid(),
                    "number": 1.5,
                    "text": "text",
                    "nothing": None,
                    "yes": True,
                    "nested": {"k": []},
                }
                yield Bait(inputs, tcp, unix, victim, Path(folder))
            finally:
                victim.kill()
                victim.wait()


async def problem(sandbox: ProcessSandbox, case: Case, inputs: dict[str, Any], *, guarded: bool = True) -> str | None:
    """Run one case; what is wrong with how it ended, or None."""
    call = Call(case.code, inputs, case.limits)
    expect = case.expect if guarded else case.unguarded
    if expect == "cancel":
        found = await cancelled_too_late(sandbox, call)
    else:
        outcome = await sandbox.call(call, case.name)
        found = misjudged(outcome, expect)
    healthy = await sandbox.call(
        Call("import json\nreturn json.loads(json.dumps(inputs['n'])) + 1", {"n": 1}), "healthy"
    )
    if healthy.value != 2:
        found = f"{found or ''} the healthy call after it gave {healthy}"
    await sandbox.release(case.name)
    return f"{case.name}: {found}" if found else None


def misjudged(outcome: Outcome, expect: str) -> str | None:
    failure = outcome.failure
    seen = repr(outcome) + str(failure) + repr(vars(failure) if failure else "")
    if CANARY in seen:
        return f"the canary got out: {seen[:300]}"
    verdict, _, rest = expect.partition(" ")
    name, _, line = rest.partition(" line ")
    right = {
        "contained": not (isinstance(outcome.value, str) and outcome.value.startswith("breach")),
        "value": failure is None and verdict == "value" and outcome.value == json.loads(rest),
        "error": isinstance(failure, UserCodeError) and failure.type == name,
        "limit": isinstance(failure, LimitExceeded) and failure.limit == name,
        "crash": isinstance(failure, SandboxCrashed) and name in ("", failure.signal),
        "forged": isinstance(failure, ForgedAnswer),
    }[verdict]
    if right and line and (failure is None or failure.line != int(line)):
        right = False
    shown = f"{failure!r} at line {failure.line}" if failure else repr(outcome.value)[:300]
    return None if right else f"expected {expect}, got {shown}"


async def cancelled_too_late(sandbox: ProcessSandbox, call: Call) -> str | None:
    """Cancel in the middle; the call must end by that, and with it the process."""
    task = asyncio.create_task(sandbox.call(call, "cancelled"))
    await asyncio.sleep(0.05)
    task.cancel()
    try:
        async with asyncio.timeout(2):
            await task
    except asyncio.CancelledError:
        return None
    except TimeoutError:
        return "cancelling did not end it"
    return "it ended before it was cancelled"


async def run_all(chosen: Sequence[Case], *, guarded: bool, at_once: int = 4) -> list[str]:
    sandbox = ProcessSandbox(guards=guarded, warm=4, ceiling=Limits(cpu_seconds=30, timeout=30))
    gate = asyncio.Semaphore(at_once)
    with bait() as lure:

        async def run(case: Case) -> str | None:
            async with gate:
                return await problem(sandbox, case, lure.inputs, guarded=guarded)

        await sandbox.start()
        try:
            problems = [found for found in await asyncio.gather(*map(run, chosen)) if found]
        finally:
            await sandbox.close()
        return problems + lure.touched()


if __name__ == "__main__":
    guarded = "--unguarded" not in sys.argv
    print(json.dumps({"uid": os.geteuid(), "problems": asyncio.run(run_all(cases(), guarded=guarded))}))
