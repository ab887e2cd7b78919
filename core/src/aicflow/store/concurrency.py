"""Who holds a slot of which concurrency limit, who waits for one, and who is next: pure bookkeeping.

Both stores keep one book beside their rows. The rows are the truth: a holder is an admitted execution that has not
ended, so a slot cannot leak; a book can be thrown away and made again from them at any time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge

from aicflow.kernel.ports.executions import SlotLimit

type _Turn = tuple[int, int, str]
"""Where an execution stands in line: minus its priority, its age, its id."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What a new execution gets: its slots, or a place in line, or nothing (`skipped`); `cancel` makes room for it."""

    admitted: bool
    skipped: bool = False
    cancel: tuple[str, ...] = ()


@dataclass(slots=True)
class _Entry:
    turn: _Turn
    limits: tuple[SlotLimit, ...]
    admitted: bool
    cancelled: bool


class ConcurrencyLimiter:
    """Holders and waiters of every key. An execution holds all of its keys or none."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._holders: dict[str, dict[str, _Entry]] = {}
        self._waiting: dict[str, list[_Turn]] = {}
        self._age = 0

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._entries

    def restore(
        self, execution_id: str, priority: int, limits: tuple[SlotLimit, ...], *, admitted: bool, cancelled: bool
    ) -> None:
        """Write down what a row says; called oldest first. One that waits and is to be cancelled left the line."""
        if admitted or not cancelled:
            self._add(execution_id, priority, limits, admitted=admitted, cancelled=cancelled)

    def admit(self, execution_id: str, priority: int, limits: tuple[SlotLimit, ...]) -> Admission:
        """Take all slots for a new execution if every key has room, else decide by each full key's `when_full`."""
        full = [limit for limit in limits if self._is_full(limit)]
        if any(limit.when_full == "skip" for limit in full):
            return Admission(admitted=False, skipped=True)
        cancel: dict[str, None] = {}
        for limit in full:
            if limit.when_full == "cancel_oldest":
                cancel.update(dict.fromkeys(self._make_room(limit)))
        self._add(execution_id, priority, limits, admitted=not full, cancelled=False)
        return Admission(admitted=not full, cancel=tuple(cancel))

    def has_room(self, limits: tuple[SlotLimit, ...]) -> bool:
        """Whether a new execution with these limits would have its slots at once."""
        return not any(self._is_full(limit) for limit in limits)

    def cancel(self, execution_id: str) -> None:
        """Note a cancel request: who waits leaves the line, who holds keeps its slots until it has ended."""
        entry = self._entries.get(execution_id)
        if entry is None:
            return
        entry.cancelled = True
        if not entry.admitted:
            del self._entries[execution_id]
            self._leave_line(entry)

    def release(self, execution_id: str) -> tuple[str, ...]:
        """Forget an ended execution; gives who is admitted in its place, by priority, then age."""
        entry = self._entries.pop(execution_id, None)
        if entry is None:
            return ()
        if not entry.admitted:
            self._leave_line(entry)
            return ()
        freed = set()
        for limit in entry.limits:
            holders = self._holders.get(limit.key, {})
            holders.pop(execution_id, None)
            if limit.key in self._waiting:
                freed.add(limit.key)
            elif not holders:
                self._holders.pop(limit.key, None)
        return self._promote(freed)

    def holders(self, key: str) -> Sequence[str]:
        """Who holds the key, oldest first."""
        return [entry.turn[2] for entry in sorted(self._holders.get(key, {}).values(), key=_age)]

    def _add(
        self, execution_id: str, priority: int, limits: tuple[SlotLimit, ...], *, admitted: bool, cancelled: bool
    ) -> None:
        self._age += 1
        entry = _Entry((-priority, self._age, execution_id), limits, admitted, cancelled)
        self._entries[execution_id] = entry
        for limit in limits:
            if admitted:
                self._holders.setdefault(limit.key, {})[execution_id] = entry
            else:
                insort(self._waiting.setdefault(limit.key, []), entry.turn)

    def _make_room(self, limit: SlotLimit) -> Iterable[str]:
        # waiters count as well: after three starts under a limit of one, only the last is left to run
        waiting = [self._entries[turn[2]] for turn in self._waiting.get(limit.key, ())]
        live = [entry for entry in (*self._holders[limit.key].values(), *waiting) if not entry.cancelled]
        live.sort(key=_age)
        ids = [entry.turn[2] for entry in live[: max(0, len(live) + 1 - limit.limit)]]
        for execution_id in ids:
            self.cancel(execution_id)
        return ids

    def _promote(self, freed: set[str]) -> tuple[str, ...]:
        admitted: list[_Entry] = []
        # everybody in line was refused by some key; only a freed key has room, and for one alone
        for turn in merge(*(self._waiting[key] for key in freed)):
            if not freed:
                break
            entry = self._entries[turn[2]]
            if entry.admitted or any(self._is_full(limit) for limit in entry.limits):
                continue
            entry.admitted = True
            admitted.append(entry)
            for limit in entry.limits:
                self._holders.setdefault(limit.key, {})[turn[2]] = entry
                freed.discard(limit.key)
        for entry in admitted:
            self._leave_line(entry)
        return tuple(entry.turn[2] for entry in admitted)

    def _is_full(self, limit: SlotLimit) -> bool:
        return len(self._holders.get(limit.key, ())) >= limit.limit

    def _leave_line(self, entry: _Entry) -> None:
        for limit in entry.limits:
            line = self._waiting[limit.key]
            del line[bisect_left(line, entry.turn)]
            if not line:
                del self._waiting[limit.key]
                if not self._holders.get(limit.key, True):
                    del self._holders[limit.key]


def _age(entry: _Entry) -> int:
    return entry.turn[1]


def limits_to_json(limits: Sequence[SlotLimit]) -> list[list[str | int]]:
    """Limits as a row keeps them."""
    return [[limit.key, limit.limit, limit.when_full] for limit in limits]


def limits_from_json(limits: Iterable[Sequence[object]]) -> tuple[SlotLimit, ...]:
    """Limits as a row kept them."""
    return tuple(SlotLimit(*limit) for limit in limits)  # type: ignore[arg-type]
