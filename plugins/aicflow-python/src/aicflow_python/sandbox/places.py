"""Who may have a process next: a fixed number of places, given out in fair turns."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

type Turn = tuple[str, str]
"""Workflow and execution that a call belongs to; empty texts when it belongs to none."""

RESERVE: Final = 4
"""One place in so many is never given to a workflow that holds all others."""


class Places:
    """`count` places. A free one goes to the workflow that holds fewest, in it to the execution that holds fewest;
    where several hold as few, to the one that has held so few for longest. One workflow cannot hold them all, so that
    others need not wait for its sleepers. What it costs does not depend on how many wait.

    `spare` is asked when all places are taken: it may free one and returns whether it did.
    """

    def __init__(self, count: int, spare: Callable[[], bool]) -> None:
        self._free = count
        self._most = max(count - max(count // RESERVE, 1), 1)
        self._spare = spare
        self._held: Counter[str | Turn] = Counter()
        self._calls: dict[Turn, deque[asyncio.Future[None]]] = {}
        self._executions: dict[str, Line[Turn]] = {}
        self._workflows: Line[str] = Line()

    @property
    def waiting(self) -> bool:
        """Whether a call waits."""
        return bool(self._calls)

    async def enter(self, turn: Turn) -> None:
        """Take a place, once there is one."""
        if self._free and not self._calls and self._may_have_more(turn[0]):
            self._count(turn, 1)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._line_up(turn, waiter)
        self.give()
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self.leave(turn)
            elif waiter in self._calls.get(turn, ()):
                self._step_out(turn, waiter)
            raise

    def leave(self, turn: Turn) -> None:
        """Give a place back."""
        self._count(turn, -1)
        self.give()

    def give(self) -> None:
        """Hand free places to those whose turn it is."""
        while self._calls:
            if not self._free:
                if not self._spare():
                    return
                continue  # who was given the place may have been the last one waiting
            workflow = self._workflows.first()
            if not self._may_have_more(workflow):  # nor may those that hold as much or more
                return
            turn = self._executions[workflow].first()
            waiter = self._calls[turn][0]
            self._step_out(turn, waiter)
            if not waiter.done():
                self._count(turn, 1)
                waiter.set_result(None)

    def close(self, error: Exception) -> None:
        """Refuse all who wait."""
        calls, self._calls = self._calls, {}
        self._executions, self._workflows = {}, Line()
        for waiter in (waiter for waiters in calls.values() for waiter in waiters):
            if not waiter.done():
                waiter.set_exception(error)

    def _may_have_more(self, workflow: str) -> bool:
        return not workflow or self._held[workflow] < self._most

    def _count(self, turn: Turn, more: int) -> None:
        self._free -= more
        for name in (turn[0], turn):
            self._held[name] += more
            if not self._held[name]:
                del self._held[name]
        if turn[0] in self._executions:
            self._workflows.put(turn[0], self._held[turn[0]])
        if turn in self._calls:
            self._executions[turn[0]].put(turn, self._held[turn])

    def _line_up(self, turn: Turn, waiter: asyncio.Future[None]) -> None:
        if turn not in self._calls:
            self._calls[turn] = deque()
            if turn[0] not in self._executions:
                self._executions[turn[0]] = Line()
                self._workflows.put(turn[0], self._held[turn[0]])
            self._executions[turn[0]].put(turn, self._held[turn])
        self._calls[turn].append(waiter)

    def _step_out(self, turn: Turn, waiter: asyncio.Future[None]) -> None:
        self._calls[turn].remove(waiter)
        if self._calls[turn]:
            return
        del self._calls[turn]
        self._executions[turn[0]].drop(turn)
        if not self._executions[turn[0]]:
            del self._executions[turn[0]]
            self._workflows.drop(turn[0])


class Line[Name: Hashable]:
    """Those who wait, in the order of how many places they hold, and how long they have held so many."""

    def __init__(self) -> None:
        self._held: dict[Name, int] = {}
        self._by_held: dict[int, OrderedDict[Name, None]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def put(self, name: Name, held: int) -> None:
        """Have somebody wait who holds so many; one who waits already is moved."""
        if name in self._held:
            self.drop(name)
        self._held[name] = held
        self._by_held.setdefault(held, OrderedDict())[name] = None

    def drop(self, name: Name) -> None:
        """Somebody waits no longer."""
        held = self._held.pop(name)
        del self._by_held[held][name]
        if not self._by_held[held]:
            del self._by_held[held]

    def first(self) -> Name:
        """Whose turn it is."""
        return next(iter(self._by_held[min(self._by_held)]))
