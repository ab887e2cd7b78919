"""Ids that sort by the time they were made."""

from __future__ import annotations

import os
from os import urandom

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class _Chance:
    """Random bytes of the system, asked for in larger pieces: on virtual machines a call takes longer than an id."""

    def __init__(self) -> None:
        self._bytes = b""

    def take(self, count: int) -> bytes:
        if len(self._bytes) < count:
            self._bytes = urandom(64 * count)
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken

    def forget(self) -> None:
        self._bytes = b""


_chance = _Chance()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.forget)  # or parent and child would make the same ids


def new_id(prefix: str, now: float) -> str:
    """A fresh id such as `ex_01jd…`: the prefix, 50 bits of milliseconds, 80 random bits, in Crockford's base 32."""
    number = (int(now * 1000) << 80) | int.from_bytes(_chance.take(10))
    pairs = _PAIRS
    return prefix + "_" + "".join([pairs[(number >> shift) & 1023] for shift in range(120, -1, -10)])
