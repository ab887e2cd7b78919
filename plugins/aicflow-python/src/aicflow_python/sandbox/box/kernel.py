"""Plain system calls through ctypes: no new privileges, seccomp, Landlock, parent-death signal."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from .arch import Arch

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_SET_NO_NEW_PRIVS: Final = 38
SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_MODE_FILTER: Final = 2
LANDLOCK_VERSION_FLAG: Final = 1

# Rights that each Landlock ABI knows: handling a right and granting it nowhere forbids it everywhere.
FILESYSTEM_RIGHTS: Final = ((5, 16), (3, 15), (2, 14), (1, 13))  # (first ABI, number of bits)
NETWORK_FROM, NETWORK_BITS = 4, 2
SCOPES_FROM, SCOPE_BITS = 6, 2  # abstract Unix sockets, signals


class Kernel:
    """The calls the seal needs. Made once in the zygote; everything a child uses is prepared there."""

    def __init__(self, arch: Arch) -> None:
        self._arch = arch
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        self._libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        self._filter: ctypes.Array[ctypes.c_char] | None = None
        self._program: ctypes.Array[ctypes.c_char] | None = None

    def prepare_filter(self, program: bytes) -> None:
        """Keep a seccomp program ready as `struct sock_fprog`."""
        self._filter = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(self._filter))
        self._program = ctypes.create_string_buffer(header, len(header))

    def no_new_privileges(self) -> None:
        """Nothing executed from here on can gain rights."""
        self._prctl(PR_SET_NO_NEW_PRIVS, 1)

    def not_dumpable(self) -> None:
        """No core, and nobody of the same user may look into this process."""
        self._prctl(PR_SET_DUMPABLE, 0)

    def die_with_parent(self, signal_number: int) -> None:
        """Have the kernel send this signal when the parent ends. Changing user clears it, so call it after."""
        self._prctl(PR_SET_PDEATHSIG, signal_number)

    def install_filter(self) -> None:
        """Install the prepared seccomp program; there is no way back."""
        if self._program is None:
            raise OSError(errno.EINVAL, "no seccomp program was prepared")
        pointer = ctypes.addressof(self._program)
        try:
            self._syscall("seccomp", SECCOMP_SET_MODE_FILTER, 0, pointer)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            self._prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, pointer)

    def landlock_abi(self) -> int:
        """The Landlock version of this kernel; 0 when there is none."""
        try:
            return self._syscall("landlock_create_ruleset", 0, 0, LANDLOCK_VERSION_FLAG)
        except OSError:
            return 0

    def landlock_ruleset(self, abi: int) -> int:
        """A descriptor of a ruleset that knows every right of the ABI and grants none."""
        bits = next(count for first, count in FILESYSTEM_RIGHTS if abi >= first)
        attributes = struct.pack("=Q", (1 << bits) - 1)
        if abi >= NETWORK_FROM:
            attributes += struct.pack("=Q", (1 << NETWORK_BITS) - 1)
        if abi >= SCOPES_FROM:
            attributes += struct.pack("=Q", (1 << SCOPE_BITS) - 1)
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        return self._syscall("landlock_create_ruleset", ctypes.addressof(buffer), len(attributes), 0)

    def landlock_restrict(self, ruleset: int) -> None:
        """Put the calling thread under the ruleset."""
        self._syscall("landlock_restrict_self", ruleset, 0, 0)

    def _syscall(self, name: str, *arguments: int) -> int:
        result: int = self._libc.syscall(
            ctypes.c_long(self._arch.numbers[name]), *(ctypes.c_ulong(argument) for argument in arguments)
        )
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")
        return result

    def _prctl(self, option: int, *arguments: int) -> None:
        padded = [*arguments, 0, 0, 0, 0][:4]
        if self._libc.prctl(option, *padded) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"prctl {option}: {os.strerror(code)}")
