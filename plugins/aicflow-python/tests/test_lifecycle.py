"""Starting, failing closed, surviving a dead zygote, and leaving nothing behind."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 - these tests watch real processes, through /proc

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from aicflow import AICFlowError
from aicflow_python.sandbox import (
    Call,
    Environment,
    LimitExceeded,
    Limits,
    ProcessSandbox,
    SandboxCrashed,
    SandboxUnavailable,
)
from aicflow_python.sandbox.box import bpf
from aicflow_python.settings import PythonSettings

CALLS = int(os.environ.get("AICFLOW_SOAK_CALLS", "200"))


def below(pid: int) -> list[int]:
    """Processes under this one, by the kernel's word."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # a process may end while it is looked at
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *below(int(child))]
    return found


def resident(pid: int) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def zygote_of(pid: int) -> int:
    """The process below this one that has children of its own."""
    return next(child for child in below(pid) if below(child))


async def settled(expected: int) -> None:
    """Wait until so many processes are left below this one."""
    async with asyncio.timeout(10):
        while len(below(os.getpid())) > expected:
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_soak_leaves_nothing_behind() -> None:
    before = len(below(os.getpid()))
    descriptors = set(os.listdir("/proc/self/fd"))
    sandbox = ProcessSandbox(warm=2, max_children=6)
    await sandbox.start()
    zygote = zygote_of(os.getpid())
    mixed = [
        Call("return inputs['n'] + 1", {"n": 1}),
        Call("raise ValueError('x')"),
        Call("print('x' * 100)\nreturn ['y'] * 100"),
        Call("import contextlib\ncontextlib.sys.modules['posix']._exit(3)"),
        Call("while True: pass", limits=Limits(cpu_seconds=0.01)),
    ]

    async def one(n: int) -> None:
        call = mixed[4] if n % 50 == 49 else mixed[3] if n % 10 == 9 else mixed[n % 3]
        scope = None if n % 4 == 0 else f"execution {n % 7}"
        if n % 25 == 24:
            task = asyncio.create_task(sandbox.call(call, scope))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            await sandbox.call(call, scope)

    warm_up = CALLS // 3
    for n in range(0, warm_up, 10):
        await asyncio.gather(*map(one, range(n, n + 10)))
    used, used_there = resident(os.getpid()), resident(zygote)
    for n in range(warm_up, CALLS, 10):
        await asyncio.gather(*map(one, range(n, n + 10)))
    for n in range(7):
        await sandbox.release(f"execution {n}")
    await settled(before + 3)
    assert resident(os.getpid()) - used < 16 << 20
    assert resident(zygote) - used_there < 4 << 20
    await sandbox.close()
    await settled(before)
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= descriptors


async def test_a_dead_zygote_is_replaced() -> None:
    sandbox = ProcessSandbox(warm=1)
    await sandbox.start()
    try:
        zygote = zygote_of(os.getpid())
        under_way = asyncio.create_task(sandbox.call(Call("import time\ntime.sleep(60)")))
        await asyncio.sleep(0.05)
        os.kill(zygote, signal.SIGKILL)
        assert isinstance((await under_way).failure, SandboxCrashed)
        assert (await sandbox.call(Call("return 2"))).value == 2
        assert zygote not in below(os.getpid())
        assert sandbox.layers().ready
    finally:
        await sandbox.close()


async def test_children_die_with_the_host() -> None:
    """A host that is killed closes its sockets; nothing else is needed."""
    import subprocess
    import sys

    code = (
        "import asyncio, os\nfrom aicflow_python.sandbox import *\n"
        "async def main():\n"
        "    s = ProcessSandbox(warm=2)\n    await s.start()\n"
        "    t = asyncio.create_task(s.call(Call('import time\\nwhile True: time.sleep(1)', "
        "limits=Limits(timeout=5)), 'x'))\n"
        "    await asyncio.sleep(0.1)\n    print('up', flush=True)\n    await t\nasyncio.run(main())"
    )
    host = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert await asyncio.to_thread(host.stdout.readline) == b"up\n"
    family = below(host.pid)
    assert len(family) >= 3
    host.kill()
    host.wait()
    host.stdout.close()
    async with asyncio.timeout(10):
        while any(os.path.exists(f"/proc/{pid}") for pid in family):
            await asyncio.sleep(0.02)


async def test_a_missing_required_layer_means_no_sandbox() -> None:
    sandbox = ProcessSandbox(required=("seccomp", "moat"))
    with pytest.raises(SandboxUnavailable, match="does not offer the protection moat"):
        await sandbox.start()
    assert not sandbox.layers().ready
    with pytest.raises(SandboxUnavailable):
        await sandbox.call(Call("return 1"))


async def test_an_unsealed_child_never_reads_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Break the filter in a copy of the box: the child notices, and nothing starts."""
    import shutil

    from aicflow_python.sandbox import launching

    box = Path(bpf.__file__).parent
    shutil.copytree(box, tmp_path / "box")
    last = "program.append((RETURN, 0, 0, {}))"
    source = (tmp_path / "box" / "bpf.py").read_text()
    broken = source.replace(last.format("DENY_EPERM"), last.format("ALLOWED"))
    assert broken != source
    (tmp_path / "box" / "bpf.py").write_text(broken)
    monkeypatch.setattr(launching, "__file__", str(tmp_path / "launching.py"))
    sandbox = ProcessSandbox(warm=1)
    with pytest.raises(SandboxUnavailable, match=r"sealed child could|not with a refusal by the filter"):
        await sandbox.start()


async def test_a_zygote_that_cannot_load_says_why() -> None:
    sandbox = ProcessSandbox(environments={"science": Environment(("no_such_package",))})
    with pytest.raises(SandboxUnavailable, match="No module named 'no_such_package'"):
        await sandbox.start()


async def test_an_environment_has_its_own_packages_and_no_other_has_them() -> None:
    sandbox = ProcessSandbox(warm=1, environments={"versions": Environment(("packaging.version",))})
    await sandbox.start()
    try:
        code = "from packaging.version import Version\nreturn Version('1.10') > Version('1.9')"
        assert (await sandbox.call(Call(code, environment="versions"))).value is True
        refused = await sandbox.call(Call(code))
        assert "not allowed" in str(refused.failure)
        with pytest.raises(SandboxUnavailable, match="there are: default, versions"):
            await sandbox.call(Call(code, environment="nowhere"))
    finally:
        await sandbox.close()


async def test_closing_ends_calls_under_way() -> None:
    before = len(below(os.getpid()))
    sandbox = ProcessSandbox(warm=1)
    await sandbox.start()
    task = asyncio.create_task(sandbox.call(Call("import time\ntime.sleep(60)"), "x"))
    await asyncio.sleep(0.05)
    await sandbox.close()
    async with asyncio.timeout(5):
        outcome = await task
    assert outcome.failure is not None
    assert not isinstance(outcome.failure, LimitExceeded)
    await settled(before)


async def test_the_event_loop_goes_on_while_code_runs() -> None:
    sandbox = ProcessSandbox(warm=1)
    await sandbox.start()
    try:
        task = asyncio.create_task(sandbox.call(Call("while True: pass", limits=Limits(cpu_seconds=0.1))))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 5
    finally:
        await sandbox.close()


def test_layers_are_added_never_taken_away() -> None:
    sandbox = ProcessSandbox(required=["landlock"])
    assert sandbox._required >= {"seccomp", "no_new_privs", "rlimits", "landlock"}
    assert PythonSettings.from_environment({"AICFLOW_PYTHON_REQUIRE": "landlock"}).require == ("landlock",)
    with pytest.raises(AICFlowError, match=r"AICFLOW_PYTHON_REQUIRE: 'secomp' is not a layer"):
        PythonSettings.from_environment({"AICFLOW_PYTHON_REQUIRE": "secomp"})


def test_the_processes_fit_into_the_total_memory() -> None:
    given = {"AICFLOW_PYTHON_TOTAL_MEMORY_MB": "1000", "AICFLOW_PYTHON_MEMORY_MB": "300"}
    assert PythonSettings.from_environment(given).places == 3
    with pytest.raises(AICFlowError, match="1000 MB are less than the 2000 MB"):
        PythonSettings.from_environment({**given, "AICFLOW_PYTHON_MEMORY_MB": "2000"})
    assert PythonSettings.from_environment({}).places >= 1


@pytest.mark.parametrize("call", ["memfd_create", "pidfd_open"])
async def test_a_call_that_the_kernel_lacks_is_told_in_a_sentence(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, call, missing)
    with pytest.raises(SandboxUnavailable, match=f"{call} is missing .* needs Linux"):
        await ProcessSandbox().start()
