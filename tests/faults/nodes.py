"""Node types of the fault suite. What they do to the world outside is one line each in a ledger file.

A line is `execution_id node_id attempt idempotency_key word`. It is one write at the end of the file, so lines of
several processes do not mix, and what was written stays when the process is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aicflow import Context, Node, Params, PermanentError, StartChild, TransientError, hookimpl, node

LEDGER = "AICFLOW_FAULT_LEDGER"
TOKEN = '2026 "hunter"'


def note(ctx: Context, word: str) -> None:
    """A side effect in the world outside."""
    line = f"{ctx.execution_id} {ctx.node_id} {ctx.attempt} {ctx.idempotency_key} {word}\n"
    file = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


@node("faults.effect")
async def effect(ctx: Context, word: str, before: float = 0.0, after: float = 0.0) -> str:
    """Sleep, have an effect, sleep again."""
    if before:
        note(ctx, f"{word}-begins")
        await asyncio.sleep(before)
    note(ctx, word)
    if after:
        await asyncio.sleep(after)
    return word


@node("faults.block")
def block(ctx: Context, word: str, before: float = 0.0, after: float = 0.0) -> str:
    """The same in plain blocking code that never looks whether it should stop."""
    if before:
        note(ctx, f"{word}-begins")
    end = time.monotonic() + before
    while time.monotonic() < end:
        time.sleep(0.01)
    note(ctx, word)
    if after:
        time.sleep(after)
    return word


@node("faults.add", pure=True)
async def add(n: int, by: int = 1) -> int:
    """No effect at all."""
    return n + by


@node("faults.flaky")
async def flaky(ctx: Context, word: str, failures: int = 1) -> str:
    """Has its effect and says each time that it did not work, until enough attempts were made."""
    note(ctx, word)
    if ctx.attempt <= failures:
        raise TransientError("not yet")
    return word


@node("faults.boom")
async def boom(ctx: Context, word: str) -> str:
    """Never works."""
    note(ctx, word)
    raise PermanentError("boom")


@node("faults.deaf")
async def deaf(ctx: Context, word: str, seconds: float = 3_600.0) -> str:
    """Does not stop when it is told to."""
    note(ctx, f"{word}-begins")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(end - time.monotonic())
    note(ctx, word)
    return word


_STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
parent = os.getppid()
print("up", flush=True)
while os.getppid() == parent:  # no test leaves it behind
    time.sleep(0.2)
"""


@node("faults.child")
async def child(ctx: Context, word: str, patience: float = 60.0) -> str:
    """Waits for a child process that ignores SIGTERM, politely first."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", _STUBBORN, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        note(ctx, f"{word}-{process.pid}")
        await process.wait()
    finally:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), patience)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    return word


class CallsParams(Params):
    workflow: str
    inputs: list[Any]


class Calls(Node[CallsParams, list[Any]]):
    """Calls a workflow for each input, one after the other."""

    type_id = "faults.calls"

    async def run(self, ctx: Context, params: CallsParams) -> list[Any] | StartChild:
        """The next child, or what all of them gave."""
        if len(ctx.children) < len(params.inputs):
            return StartChild(params.workflow, params.inputs[len(ctx.children)])
        return [child["output"] for child in ctx.children]


@node("faults.whisper")
async def whisper(ctx: Context) -> dict[str, str]:
    """Its output holds a secret."""
    note(ctx, "whispers")
    return {"token": ctx.secret("TOKEN")}


@node("faults.compare")
async def compare(ctx: Context, token: str) -> str:
    """Whether it received the real secret."""
    note(ctx, "real" if token == TOKEN else "masked")
    return token


@node("faults.later")
async def later(ctx: Context, word: str, times: int) -> str:
    """Works when it has been tried so often, by whatever step or attempt."""
    note(ctx, word)
    await asyncio.sleep(0.005)
    with open(os.environ[LEDGER]) as ledger:
        tries = sum(line.split()[0] == ctx.execution_id and line.split()[4] == word for line in ledger)
    if tries < times:
        raise TransientError("not yet")
    return word


@node("faults.speak")
async def speak(ctx: Context, words: int) -> int:
    """Says its numbered words one after the other, to whoever watches."""
    for number in range(words):
        ctx.emit({"text": f"{number} "})
        await asyncio.sleep(0.02)
    return words


NODES = (speak, later, effect, block, add, flaky, boom, deaf, child, whisper, compare, Calls)


@hookimpl
def aicflow_nodes() -> Sequence[type[Node[Any, Any]]]:
    """The suite's node types, for a whole server."""
    return NODES
