"""The filter itself: what it allows on each processor, and that a sealed process can make no other call."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from aicflow_python.sandbox import Call, ProcessSandbox
from aicflow_python.sandbox.box import arch, bpf

ARCHES = [arch.X86_64, arch.AARCH64]


def judge(machine: arch.Arch, number: int, *arguments: int, audit: int | None = None) -> int:
    """Run the program as the kernel does, on one system call."""
    data = struct.pack("<IIQ6Q", number, audit or machine.audit, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("<HBBI", bpf.build(machine)))
    accumulator, at = 0, 0
    while True:
        code, when_true, when_false, k = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, k)[0]
            case 0x15:
                at += when_true if accumulator == k else when_false
            case 0x35:
                at += when_true if accumulator >= k else when_false
            case 0x45:
                at += when_true if accumulator & k else when_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"the kernel knows no instruction {code:#x} in this place")


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_reading_and_writing_are_for_the_channel_only(machine: arch.Arch) -> None:
    numbers = machine.numbers
    assert [fd for fd in range(8) if judge(machine, numbers["read"], fd) == bpf.ALLOWED] == [0]
    assert [fd for fd in range(8) if judge(machine, numbers["write"], fd) == bpf.ALLOWED] == [0, 2]


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_memory_never_becomes_executable(machine: arch.Arch) -> None:
    for name in ("mmap", "mprotect"):
        verdicts = [judge(machine, machine.numbers[name], 0, 4096, protection) for protection in range(8)]
        assert verdicts == [bpf.ALLOWED] * 4 + [bpf.DENY_EPERM] * 4


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_limits_and_handlers_are_the_callers_own(machine: arch.Arch) -> None:
    assert judge(machine, machine.numbers["prlimit64"], 0) == bpf.ALLOWED
    assert judge(machine, machine.numbers["prlimit64"], 1) == bpf.DENY_EPERM
    allowed = [n for n in range(1, 65) if judge(machine, machine.numbers["rt_sigaction"], n) == bpf.ALLOWED]
    assert allowed == [4, 6, 7, 8, 11]


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_clocks_are_the_systems_and_the_callers_own(machine: arch.Arch) -> None:
    others = [((~pid << 3) | kind) & 0xFFFFFFFF for pid in (1, 2, 300, 4_194_304) for kind in (0, 1, 2, 6)]
    for name in bpf.CLOCK_CALLS:
        number = machine.numbers[name]
        assert all(judge(machine, number, clock) == bpf.ALLOWED for clock in range(12))
        assert all(judge(machine, number, clock) == bpf.DENY_EPERM for clock in (12, 16, 0x7FFFFFFF, *others))


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_futexes_are_private(machine: arch.Arch) -> None:
    number = machine.numbers["futex"]
    assert all(judge(machine, number, 0, operation | 128) == bpf.ALLOWED for operation in (0, 1, 9, 10, 256))
    assert all(judge(machine, number, 0, operation) == bpf.DENY_EPERM for operation in (0, 1, 9, 10, 256))


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_everything_unnamed_is_refused(machine: arch.Arch) -> None:
    named = {machine.numbers[name] for name in bpf.allow_list(machine)}
    for number in set(range(600)) - named - {machine.numbers["clone3"]}:
        assert judge(machine, number) == bpf.DENY_EPERM
    assert judge(machine, machine.numbers["clone3"]) == bpf.DENY_ENOSYS


@pytest.mark.parametrize("machine", ARCHES, ids=lambda machine: machine.name)
def test_a_foreign_architecture_is_killed(machine: arch.Arch) -> None:
    assert judge(machine, machine.numbers["read"], 0, audit=0x40000003) == bpf.KILL
    if machine.x32:
        assert judge(machine, 0x40000000 | machine.numbers["read"], 0) == bpf.KILL


def test_no_call_beyond_the_list_reaches_this_kernel() -> None:
    """From native code, inside: every number, with harmless arguments, is refused by the filter."""
    machine = arch.native()
    assert machine is not None
    skipped = [machine.numbers[name] for name in bpf.allow_list(machine)]
    if machine is arch.X86_64:
        skipped += [335, 336]  # uretprobe and uprobe: the kernel never filters them, and they do nothing when called
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
through = []
for number in range(600):
    if number in inputs["skipped"]:
        continue
    ctypes.set_errno(0)
    result = libc.syscall(number, -1, -1, -1, -1, -1, -1)
    if result != -1 or ctypes.get_errno() not in (inputs["EPERM"], inputs["ENOSYS"]):
        through.append([number, result, ctypes.get_errno()])
return through
"""
    inputs = {"skipped": skipped, "EPERM": errno.EPERM, "ENOSYS": errno.ENOSYS}
    assert run_unguarded(code, inputs) == []


def test_native_code_gains_nothing() -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
refused = []
refused.append(libc.mmap(None, 4096, 7, 0x22, -1, 0) in (None, 2**64 - 1))
page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
refused.append(page not in (None, 2**64 - 1))
refused.append(libc.mprotect(ctypes.c_void_p(page), 4096, 5) == -1)
refused.append(libc.prctl(38, 0, 0, 0, 0) == -1)
refused.append(libc.kill(-1, 9) == -1)
refused.append(libc.setuid(0) == -1)
return refused
"""
    assert run_unguarded(code, {}) == [True] * 6


def test_processes_neither_see_nor_signal_each_other() -> None:
    """The clock of another process tells how busy it is, and a futex on a shared library's page wakes whoever waits
    there: both carried bits from one execution to another."""
    code = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(*call):
    ctypes.set_errno(0)
    return libc.syscall(*call) == -1 and ctypes.get_errno() == inputs["EPERM"]
time = (ctypes.c_long * 2)()
page = ctypes.cast(libc.qsort, ctypes.c_void_p)
seen = [pid for pid in range(1, 5000) if not refused(inputs["clock"], (~pid << 3) | 2, time)]
return [seen, refused(inputs["futex"], page, 1, 1), refused(inputs["futex"], page, 0, 0, time)]
"""
    machine = arch.native()
    assert machine is not None
    inputs = {
        "EPERM": errno.EPERM,
        "clock": machine.numbers["clock_gettime"],
        "futex": machine.numbers["futex"],
    }
    assert run_unguarded(code, inputs) == [[], True, True]


def run_unguarded(code: str, inputs: dict[str, Any]) -> Any:
    import asyncio

    async def run() -> Any:
        sandbox = ProcessSandbox(guards=False, warm=1)
        await sandbox.start()
        try:
            return (await sandbox.call(Call(code, inputs))).unwrap()
        finally:
            await sandbox.close()

    return asyncio.run(run())
