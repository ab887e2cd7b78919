"""The backends that are no boundary: they keep the same manners, and say what they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aicflow_python.node import open_sandbox, probe
from aicflow_python.sandbox import (
    Call,
    LimitExceeded,
    Limits,
    ProcessSandbox,
    SandboxCrashed,
    SandboxUnavailable,
    UserCodeError,
    WorkerSandbox,
)
from aicflow_python.settings import PythonSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def restricted() -> AsyncIterator[WorkerSandbox]:
    sandbox = WorkerSandbox("restricted")
    await sandbox.start()
    yield sandbox
    await sandbox.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusted() -> AsyncIterator[WorkerSandbox]:
    sandbox = WorkerSandbox("trusted")
    await sandbox.start()
    yield sandbox
    await sandbox.close()


async def test_restricted_code_computes(restricted: WorkerSandbox) -> None:
    code = """
import math
from datetime import date
import urllib.parse
class Sum:
    def of(self, rows):
        total = 0
        for row in rows:
            total += row
        return total
print("summing", len(inputs["rows"]))
first, *rest = inputs["rows"]
found = {"sum": Sum().of(inputs["rows"]), "root": math.sqrt(4)}
found["rest"] = [n for n in rest if n > 2]
return [found, date(2024, 1, 1).isoformat(), urllib.parse.quote("a b")]
"""
    outcome = await restricted.call(Call(code, {"rows": [1, 2, 3]}), "computes")
    assert outcome.unwrap() == [{"sum": 6, "root": 2.0, "rest": [3]}, "2024-01-01", "a%20b"]
    assert [line.message for line in outcome.logs] == ["summing 3"]


@pytest.mark.parametrize(
    ("code", "type_name", "line"),
    [
        ("x = 1\nreturn ().__class__", "SyntaxError", 2),
        ("import os", "ImportError", 1),
        ("import json\nreturn json.codecs.sys", "AttributeError", 2),
        ("return '{0.__class__}'.format(1)", "NotImplementedError", 1),
        ("return open('/etc/passwd')", "NameError", 1),
        ("await x", "SyntaxError", 1),
        ("raise ValueError('own')", "ValueError", 1),
    ],
)
async def test_restricted_code_is_kept_from_the_usual_ways(
    restricted: WorkerSandbox, code: str, type_name: str, line: int
) -> None:
    failure = (await restricted.call(Call(code), "usual")).failure
    assert isinstance(failure, UserCodeError)
    assert (failure.type, failure.line) == (type_name, line)


async def test_limits_hold_there_too(restricted: WorkerSandbox) -> None:
    for limits, code in (
        (Limits(timeout=0.1), "while True:\n    pass"),
        (Limits(cpu_seconds=0.1), "while True:\n    pass"),
        (Limits(stdout_bytes=100), "print('x' * 200)"),
        (Limits(timeout=0.1), "return sum(range(10 ** 12))"),
        (Limits(memory_mb=64), "return len([0] * (1 << 28))"),
    ):
        failure = (await restricted.call(Call(code, limits=limits), "limits")).failure
        assert isinstance(failure, LimitExceeded), code
        asked = {"timeout": 0.1, "cpu_seconds": 0.1, "stdout_bytes": 100, "memory_mb": 64}
        assert failure.ceiling == asked[failure.limit]


async def test_a_worker_that_dies_is_told_and_replaced(trusted: WorkerSandbox) -> None:
    failure = (await trusted.call(Call("import os\nos._exit(3)"), "dies")).failure
    assert isinstance(failure, SandboxCrashed)
    assert failure.exit_code == 3
    assert (await trusted.call(Call("return 1"), "dies")).value == 1


async def test_scopes_keep_a_worker_and_release_ends_it(trusted: WorkerSandbox) -> None:
    who = Call("import os\nreturn os.getpid()")
    first = (await trusted.call(who, "kept")).value
    assert (await trusted.call(who, "kept")).value == first
    assert (await trusted.call(who)).value != first
    await trusted.release("kept")
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


async def test_cancelling_ends_the_worker(trusted: WorkerSandbox) -> None:
    seen: list[str] = []
    code = "import os, time\nlog(str(os.getpid()))\ntime.sleep(0.2)\nlog('x')\nwhile True:\n    time.sleep(1)"
    arrived = asyncio.Event()

    def on_logs(lines: object) -> None:
        seen.extend(line.message for line in lines)  # type: ignore[attr-defined]
        arrived.set()

    task = asyncio.create_task(trusted.call(Call(code), "cancelled", on_logs))
    await asyncio.wait_for(arrived.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while True:
            try:
                os.kill(int(seen[0]), 0)
            except ProcessLookupError:
                break
            await asyncio.sleep(0.01)


async def test_trusted_code_does_not_get_the_servers_own_keys(
    trusted: WorkerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AICFLOW_VAULT_KEY", "secret")
    monkeypatch.setenv("COLOUR", "green")
    code = Call("import os\nreturn [os.environ.get('AICFLOW_VAULT_KEY'), os.environ.get('COLOUR')]")
    assert (await trusted.call(code)).value == [None, "green"]


async def test_only_backends_that_were_named_are_tried() -> None:
    strict = PythonSettings(require=("moat",))
    with pytest.raises(SandboxUnavailable, match=r"process: .*moat"):
        await open_sandbox(strict)
    lenient = PythonSettings(backends=("process", "restricted"), require=("moat",))
    sandbox = await open_sandbox(lenient)
    try:
        assert sandbox.layers().backend == "restricted"
        assert "no boundary" in sandbox.layers().assurance
        assert "seccomp" in sandbox.layers().missing
    finally:
        await sandbox.close()


async def test_doctor_can_ask() -> None:
    good = await probe(PythonSettings(warm=1))
    assert (good.backend, good.ready) == ("process", True)
    assert "seccomp" in good.active
    bad = await probe(PythonSettings(require=("moat",)))
    assert not bad.ready
    assert "moat" in str(bad.reason)


async def test_the_sealed_backend_is_the_default() -> None:
    sandbox = await open_sandbox(PythonSettings(warm=1))
    try:
        assert isinstance(sandbox, ProcessSandbox)
    finally:
        await sandbox.close()
