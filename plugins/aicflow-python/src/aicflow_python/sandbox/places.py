"""Who may have a process next: a fixed number of places, given out in fair turns."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

__all__ = ["Places", "Turn"]

type Turn = tuple[str, str]
"""Workflow and execution that a call belongs to; empty texts when it belongs to none."""

RESERVE: Final = 4
"""One place in so many is never given to a workflow that holds all others."""


class Places:
    """`count` places. A free one goes to the workflow that holds fewest, in it to the execution that holds fewest, in
    it to the call that waits longest. One workflow cannot hold them all: others need not wait for its sleepers.

    `spare` is asked when all places are taken: it may free one and returns whether it did.
    """

    def __init__(self, count: int, spare: Callable[[], bool]) -> None:
        self._count = count
        self._most = max(count - max(count // RESERVE, 1), 1)
        self._spare = spare
        self._held: Counter[str] = Counter()
        self._waiting: dict[Turn, deque[asyncio.Future[None]]] = {}

    @property
    def waiting(self) -> bool:
        """Whether a call waits."""
        return bool(self._waiting)

    async def enter(self, turn: Turn) -> None:
        """Take a place, once there is one."""
        if not self._waiting and self._is_open(turn):
            self._take(turn)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(turn, deque()).append(waiter)
        self.give()
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.leave(turn)
            else:
                self._forget(turn, waiter)
            raise

    def leave(self, turn: Turn) -> None:
        """Give a place back."""
        for name in _names(turn):
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
        self.give()

    def give(self) -> None:
        """Hand free places to those whose turn it is."""
        while self._waiting:
            if self._held[""] >= self._count:
                if not self._spare():
                    return
                continue  # who was given the place may have been the last one waiting
            turn = min(filter(self._is_open, self._waiting), key=self._rank, default=None)
            if turn is None:
                return
            waiter = self._waiting[turn][0]
            self._forget(turn, waiter)
            if not waiter.done():
                self._take(turn)
                waiter.set_result(None)

    def close(self, error: Exception) -> None:
        """Refuse all who wait."""
        while self._waiting:
            for waiter in self._waiting.popitem()[1]:
                if not waiter.done():
                    waiter.set_exception(error)

    def _rank(self, turn: Turn) -> tuple[int, int]:
        workflow, execution, _ = _names(turn)
        return self._held[workflow], self._held[execution]

    def _is_open(self, turn: Turn) -> bool:
        workflow = _names(turn)[0]
        return self._held[""] < self._count and (not turn[0] or self._held[workflow] < self._most)

    def _take(self, turn: Turn) -> None:
        self._held.update(_names(turn))

    def _forget(self, turn: Turn, waiter: asyncio.Future[None]) -> None:
        queue = self._waiting.get(turn)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._waiting[turn]


def _names(turn: Turn) -> tuple[str, str, str]:
    """What a place counts for: its workflow, its execution, and all."""
    return "w" + turn[0], "e" + turn[1], ""
