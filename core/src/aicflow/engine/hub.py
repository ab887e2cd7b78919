"""Live streams: tells watchers that events were committed, and hands them deltas. The log is the truth."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from secrets import token_hex

from aicflow.events import encode_delta, event_type
from aicflow.kernel.ports.executions import ExecutionFilter, ExecutionStore
from aicflow.kernel.ports.signals import Signal, SignalBus

type Admits = Callable[[str], Awaitable[bool]]

_TAIL_BYTES = 1_000_000
_DELTAS = 500
_LARGEST_DELTA = 6_000
"""Bytes of a delta that other hosts are sent; they never learn of a larger one."""
_ASK_EVERY = 2.0
_ASKED_FOR = 5.0
_FIREHOSE = 5_000
_PAGE = 200
_TERMINAL = frozenset({"execution.succeeded", "execution.failed", "execution.cancelled"})


class _Watcher:
    """One reader of one execution: a wake-up and a bounded tail of deltas."""

    __slots__ = ("deltas", "signal")

    def __init__(self) -> None:
        self.signal = asyncio.Event()
        self.deltas: deque[bytes] = deque(maxlen=_DELTAS)


class _Channel:
    """What is watched of one execution. `tail` holds its latest committed events, so that a hundred watchers do not
    read the same rows a hundred times; it starts empty when the first watcher comes."""

    __slots__ = ("asked", "first", "size", "tail", "watchers")

    def __init__(self) -> None:
        self.asked = float("-inf")
        self.watchers: set[_Watcher] = set()
        self.tail: deque[bytes] = deque()
        self.first = 0
        self.size = 0

    def keep(self, first_seq: int, events: Sequence[bytes]) -> None:
        if self.tail and first_seq != self.first + len(self.tail):
            self.tail.clear()
            self.size = 0
        if not self.tail:
            self.first = first_seq
        self.tail.extend(events)
        self.size += sum(map(len, events))
        while self.size > _TAIL_BYTES:
            self.size -= len(self.tail.popleft())
            self.first += 1

    def after(self, seq: int) -> list[bytes] | None:
        """Events after `seq` when all of them are in the tail, else None."""
        if not self.tail or seq + 1 < self.first:
            return None
        return [self.tail[i] for i in range(seq + 1 - self.first, len(self.tail))]


class _Tap:
    """One reader of everything; forgets the oldest when it falls behind, and says how much."""

    __slots__ = ("lost", "queue", "signal", "where")

    def __init__(self, where: ExecutionFilter) -> None:
        self.where = where
        self.queue: deque[tuple[str, bytes]] = deque()
        self.signal = asyncio.Event()
        self.lost: Counter[str] = Counter()

    def take(self, workflow_id: str, events: Sequence[bytes]) -> None:
        if self.where.workflow_id not in (None, workflow_id):
            return
        wanted = self.where.statuses
        for event in events:
            if wanted is not None and event_type(event).removeprefix("execution.") not in wanted:
                continue
            self.queue.append((workflow_id, event))
        while len(self.queue) > _FIREHOSE:
            self.lost[self.queue.popleft()[0]] += 1
        self.signal.set()

    async def batch(self, admits: Admits | None) -> list[bytes]:
        """What has come since the last batch, of the workflows that are admitted now."""
        taken, self.queue = self.queue, deque()
        lost, self.lost = self.lost, Counter()
        workflows = {*lost, *[workflow_id for workflow_id, _ in taken]}
        admitted = workflows if admits is None else {one for one in workflows if await admits(one)}
        events = [event for workflow_id, event in taken if workflow_id in admitted]
        if gone := sum(many for workflow_id, many in lost.items() if workflow_id in admitted):
            events.insert(0, b'{"type":"stream.lost","data":{"events":%d}}' % gone)
        return events


class Hub:
    """Watchers of this process. `publish` is called after the commit, from the event loop, and never waits. With
    `signals`, other hosts commit events as well: they tell of them, and every `poll` seconds a watcher looks itself.
    Deltas of executions that other hosts run are asked for as long as somebody watches, and some may be lost."""

    def __init__(
        self,
        store: ExecutionStore,
        observe: Callable[[Sequence[bytes]], None] | None = None,
        *,
        signals: SignalBus | None = None,
        poll: float | None = None,
    ) -> None:
        self._store = store
        self._signals = signals
        self._poll = poll
        self._observe = observe
        self._channels: dict[str, _Channel] = {}
        self._taps: set[_Tap] = set()
        self._here = token_hex(4)
        self._sent = itertools.count(1)  # two equal deltas are two
        self._watched_elsewhere: dict[str, float] = {}
        """Until when other hosts want the deltas of an execution, by the monotonic clock."""

    def publish(self, execution_id: str, workflow_id: str, first_seq: int, events: Sequence[bytes]) -> None:
        """Committed events of an execution, in order."""
        channel = self._channels.get(execution_id)
        if channel is not None:
            channel.keep(first_seq, events)
            for watcher in channel.watchers:
                watcher.signal.set()
        for tap in self._taps:
            tap.take(workflow_id, events)
        if self._observe is not None:
            self._observe(events)
        if self._signals is not None:
            self._signals.hint(Signal("events", execution_id, first_seq + len(events) - 1))

    def look(self, execution_id: str) -> None:
        """Another host has committed events of this execution."""
        channel = self._channels.get(execution_id)
        if channel is not None:
            for watcher in channel.watchers:
                watcher.signal.set()

    def delta(self, execution_id: str, node_id: str, attempt: int, data: object) -> None:
        """Live progress of a step; goes to those who watch now."""
        elsewhere = self._watched_elsewhere.get(execution_id, 0.0) > time.monotonic()
        if not elsewhere and execution_id not in self._channels:
            return
        encoded = encode_delta(execution_id, node_id, attempt, data)
        self._show(execution_id, encoded)
        if elsewhere and self._signals is not None and len(encoded) <= _LARGEST_DELTA:
            self._signals.hint(Signal("delta", execution_id, next(self._sent), f"{self._here} {encoded.decode()}"))

    def hear(self, signal: Signal) -> None:
        """What another host, or this one, has said of watching: that it does, or a delta."""
        if signal.kind == "delta":
            sender, _, delta = signal.data.partition(" ")
            if sender != self._here:
                self._show(signal.id, delta.encode())
        elif signal.data != self._here:
            now = time.monotonic()
            if len(self._watched_elsewhere) >= _FIREHOSE:
                self._watched_elsewhere = {id: end for id, end in self._watched_elsewhere.items() if end > now}
            self._watched_elsewhere[signal.id] = now + _ASKED_FOR

    def _show(self, execution_id: str, delta: bytes) -> None:
        channel = self._channels.get(execution_id)
        if channel is not None:
            for watcher in channel.watchers:
                watcher.deltas.append(delta)
                watcher.signal.set()

    def _ask(self, execution_id: str, channel: _Channel) -> None:
        """Ask the other hosts for an execution's deltas, from time to time."""
        now = time.monotonic()
        if self._signals is not None and now >= channel.asked + _ASK_EVERY:
            channel.asked = now
            self._signals.hint(Signal("watch", execution_id, data=self._here))

    async def watch(self, execution_id: str, after: int) -> AsyncIterator[Sequence[bytes]]:
        """Batches of events after `after`, stored ones first, then live, no gap, no repeat, deltas in between; ends
        after the terminal event. Memory is bounded however slowly the reader reads."""
        channel = self._channels.setdefault(execution_id, _Channel())
        watcher = _Watcher()
        channel.watchers.add(watcher)
        try:
            while True:
                self._ask(execution_id, channel)
                watcher.signal.clear()
                events = channel.after(after)
                if events is None or (not events and self._signals is not None):
                    events = list(await self._store.events(execution_id, after=after, limit=_PAGE))
                if events:
                    after += len(events)
                    yield events
                    if event_type(events[-1]) in _TERMINAL:
                        return
                    continue
                if watcher.deltas:
                    deltas = list(watcher.deltas)
                    watcher.deltas.clear()
                    yield deltas
                    continue
                try:
                    async with asyncio.timeout(self._poll):
                        await watcher.signal.wait()
                except TimeoutError:
                    pass
        finally:
            channel.watchers.discard(watcher)
            if not channel.watchers:
                self._channels.pop(execution_id, None)

    async def watch_all(self, where: ExecutionFilter, admits: Admits | None = None) -> AsyncIterator[Sequence[bytes]]:
        """Everything that is committed from now on, of the workflows that `admits` returns true for. A reader that
        falls behind loses the oldest events and is told so by an object
        `{"type": "stream.lost", "data": {"events": N}}`."""
        tap = _Tap(where)
        self._taps.add(tap)
        try:
            while True:
                await tap.signal.wait()
                tap.signal.clear()
                if batch := await tap.batch(admits):
                    yield batch
        finally:
            self._taps.discard(tap)
