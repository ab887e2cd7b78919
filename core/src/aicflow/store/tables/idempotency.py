"""Idempotency keys over a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aicflow.kernel.errors import KeyUsed
from aicflow.kernel.ports.executions import Idempotency
from aicflow.store.instants import micros
from aicflow.store.tables.part import Part, Table, key_of, writes


class TableIdempotency(Part):
    """Idempotency keys, with what came of them and when they were used."""

    def __init__(self, commit: Callable[[], Awaitable[None]], keys: Table) -> None:
        super().__init__(commit)
        self._keys = keys

    async def find(self, scope: str, key: str) -> KeyUsed | None:
        return self.earlier(scope, key)

    @writes
    async def use(self, idempotency: Idempotency, result: str, *, now: float) -> None:
        self.check(idempotency)
        self.add(idempotency, result, now)

    def earlier(self, scope: str, key: str) -> KeyUsed | None:
        """As `find`, at once."""
        found = self._keys.get(key_of(scope, key))
        return KeyUsed(key, found[0].fingerprint, found[1]) if found is not None else None

    def check(self, idempotency: Idempotency | None) -> None:
        """Raise KeyUsed for a key that was used before."""
        if idempotency is not None and (used := self.earlier(idempotency.scope, idempotency.key)) is not None:
            raise used

    def add(self, idempotency: Idempotency | None, result: str, now: float) -> None:
        """Note a key with the id of what was made."""
        if idempotency is not None:
            self._keys[key_of(idempotency.scope, idempotency.key)] = (idempotency, result, micros(now))

    def forget_owned(self, ids: set[str]) -> None:
        """Remove the keys of these executions."""
        for place in [place for place, kept in self._keys.items() if kept[0].owner in ids]:
            del self._keys[place]

    def forget_used(self, before: float, batch: int) -> int:
        """Remove up to `batch` keys without an owner that are older."""
        cutoff = micros(before)
        old = [place for place, (key, _, at) in self._keys.items() if key.owner is None and at < cutoff][:batch]
        for place in old:
            del self._keys[place]
        return len(old)
