"""System call numbers of the two processors the seal is written for, and which of them a sealed child may make."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PROT_EXEC: Final = 4


@dataclass(frozen=True, slots=True)
class Arch:
    """One processor: its audit number (as the kernel reports it to a filter) and its system call numbers."""

    name: str
    audit: int
    numbers: MappingProxyType[str, int]
    x32: bool = False
    """Whether a second ABI hides in the same numbers, marked by bit 30."""


X86_64: Final = Arch(
    name="x86_64",
    audit=0xC000003E,
    x32=True,
    numbers=MappingProxyType(
        {
            "read": 0,
            "write": 1,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigreturn": 15,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "nanosleep": 35,
            "getitimer": 36,
            "setitimer": 38,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "prctl": 157,
            "gettid": 186,
            "time": 201,
            "futex": 202,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "clock_getres": 229,
            "clock_nanosleep": 230,
            "exit_group": 231,
            "prlimit64": 302,
            "seccomp": 317,
            "getrandom": 318,
            "clone3": 435,
            "landlock_create_ruleset": 444,
            "landlock_restrict_self": 446,
        }
    ),
)

AARCH64: Final = Arch(
    name="aarch64",
    audit=0xC00000B7,
    numbers=MappingProxyType(
        {
            "read": 63,
            "write": 64,
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "nanosleep": 101,
            "getitimer": 102,
            "setitimer": 103,
            "clock_gettime": 113,
            "clock_getres": 114,
            "clock_nanosleep": 115,
            "sched_yield": 124,
            "restart_syscall": 128,
            "rt_sigaction": 134,
            "rt_sigreturn": 139,
            "getrusage": 165,
            "prctl": 167,
            "gettimeofday": 169,
            "getpid": 172,
            "gettid": 178,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "mmap": 222,
            "mprotect": 226,
            "madvise": 233,
            "prlimit64": 261,
            "seccomp": 277,
            "getrandom": 278,
            "clone3": 435,
            "landlock_create_ruleset": 444,
            "landlock_restrict_self": 446,
        }
    ),
)


def native() -> Arch | None:
    """The processor this runs on, or None when there is no table for it."""
    return {"x86_64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}.get(platform.machine())
