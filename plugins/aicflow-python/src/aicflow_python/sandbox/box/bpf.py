"""The seccomp filter as a classic BPF program: built in Python before any fork, an allow-list for one `Arch`."""

from __future__ import annotations

import struct
from typing import Final

from .arch import PROT_EXEC, Arch

ALLOWED: Final = 0x7FFF0000
KILL: Final = 0x80000000
DENY_EPERM: Final = 0x00050000 | 1
DENY_ENOSYS: Final = 0x00050000 | 38

LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN: Final = 0x06  # BPF_RET | BPF_K

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets into struct seccomp_data
X32_BIT: Final = 0x40000000

CHANNEL: Final = 0  # the request socket
BLACK_BOX: Final = 2  # where the C level writes its last words

FATAL_SIGNALS: Final = (4, 6, 7, 8, 11)
"""SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV: their handler tells the line, then puts the default back, which kills."""

# Most frequent first: the kernel walks the list for calls whose arguments matter.
UNCONDITIONAL: Final = (
    "munmap",
    "brk",
    "mremap",
    "madvise",
    "setitimer",
    "getitimer",
    "rt_sigreturn",
    "getrandom",
    "nanosleep",
    "restart_syscall",
    "gettimeofday",
    "time",
    "getrusage",
    "getpid",
    "gettid",
    "sched_yield",
    "exit",
    "exit_group",
)

CLOCK_CALLS: Final = ("clock_gettime", "clock_nanosleep", "clock_getres")
CLOCKS: Final = 12
"""Clocks below this are the system's and the caller's own; those of other processes have negative numbers."""
FUTEX_PRIVATE: Final = 128
"""Without it a futex is found by file and offset, so that any two processes with the same library meet on it."""

type Instruction = tuple[int, int, int, int]


def allow_list(arch: Arch) -> tuple[str, ...]:
    """Names of every call that a sealed child may make in some form; for documentation and doctor."""
    conditional = ("read", "write", "mmap", "mprotect", "prlimit64", "rt_sigaction", "futex", *CLOCK_CALLS)
    return tuple(name for name in (*conditional, *UNCONDITIONAL) if name in arch.numbers)


def argument(index: int) -> int:
    """Offset of the low word of an argument; both processors are little-endian."""
    return ARGUMENTS + 8 * index


def only_values(number: int, index: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call when its argument is one of the values, refuse it otherwise."""
    body: list[Instruction] = [(LOAD, 0, 0, argument(index))]
    for position, value in enumerate(values):
        body.append((EQUAL, len(values) - position, 0, value))
    body.append((RETURN, 0, 0, DENY_EPERM))
    body.append((RETURN, 0, 0, ALLOWED))
    return [(EQUAL, 0, len(body), number), *body]


def without_bits(number: int, index: int, bits: int) -> list[Instruction]:
    """Allow the call unless its argument has one of the bits."""
    body: list[Instruction] = [
        (LOAD, 0, 0, argument(index)),
        (ANY_BIT, 0, 1, bits),
        (RETURN, 0, 0, DENY_EPERM),
        (RETURN, 0, 0, ALLOWED),
    ]
    return [(EQUAL, 0, len(body), number), *body]


def with_bits(number: int, index: int, bits: int) -> list[Instruction]:
    """Allow the call when its argument has one of the bits, refuse it otherwise."""
    body: list[Instruction] = [
        (LOAD, 0, 0, argument(index)),
        (ANY_BIT, 1, 0, bits),
        (RETURN, 0, 0, DENY_EPERM),
        (RETURN, 0, 0, ALLOWED),
    ]
    return [(EQUAL, 0, len(body), number), *body]


def below(number: int, index: int, bound: int) -> list[Instruction]:
    """Allow the call when its argument, without sign, is below the bound, refuse it otherwise."""
    body: list[Instruction] = [
        (LOAD, 0, 0, argument(index)),
        (AT_LEAST, 0, 1, bound),
        (RETURN, 0, 0, DENY_EPERM),
        (RETURN, 0, 0, ALLOWED),
    ]
    return [(EQUAL, 0, len(body), number), *body]


def build(arch: Arch) -> bytes:
    """The program as an array of `struct sock_filter`.

    Reading is possible from the request socket only, writing to it and to the black box only; memory can never
    become executable; limits can be changed for the caller itself only (and a hard limit only goes down); only the
    system's and the caller's own clocks can be read, and futexes do not reach other processes. A foreign architecture
    kills the process, everything unnamed is EPERM.
    """
    numbers = arch.numbers
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, arch.audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if arch.x32:
        program += [(AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    program += with_bits(numbers["futex"], 1, FUTEX_PRIVATE)
    for name in CLOCK_CALLS:
        program += below(numbers[name], 0, CLOCKS)
    program += only_values(numbers["read"], 0, (CHANNEL,))
    program += only_values(numbers["write"], 0, (CHANNEL, BLACK_BOX))
    program += without_bits(numbers["mmap"], 2, PROT_EXEC)
    program += without_bits(numbers["mprotect"], 2, PROT_EXEC)
    program += only_values(numbers["prlimit64"], 0, (0,))
    program += only_values(numbers["rt_sigaction"], 0, FATAL_SIGNALS)
    for name in UNCONDITIONAL:
        if name in numbers:
            program += [(EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, ALLOWED)]
    # glibc falls back to the older call when this one does not exist, and is refused there.
    program += [(EQUAL, 0, 1, numbers["clone3"]), (RETURN, 0, 0, DENY_ENOSYS)]
    program.append((RETURN, 0, 0, DENY_EPERM))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
