"""API keys as stores keep them, and when each was last used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.values import dumps, loads
from aicflow.store.instants import micros, seconds

KEY_COLUMNS: Final = (
    "id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at, previous_expires_at, previous_hash,"
    " limits"
)
_WRITE_EVERY: Final = 30.0


def key_row(record: ApiKeyRecord) -> tuple[Any, ...]:
    """The values of KEY_COLUMNS."""
    instants = (
        record.created_at, record.expires_at, record.last_used_at, record.revoked_at, record.previous_expires_at
    )  # fmt: skip
    limits = dumps([record.workflows, record.labels, record.addresses, record.max_queued])
    scopes = dumps(record.scopes).decode()
    return (record.id, record.name, record.hash, scopes, *[micros(at) for at in instants], record.previous_hash, limits)


class LastUsed:
    """Written at most every half minute, and at the close."""

    def __init__(self) -> None:
        self._waiting: dict[str, float] = {}
        self._written_at = 0.0

    def note(self, key_id: str, now: float) -> bool:
        """A key was used; whether it is time to write."""
        self._waiting[key_id] = now
        if abs(now - self._written_at) < _WRITE_EVERY:
            return False
        self._written_at = now
        return True

    async def flush(self, write: Callable[[Mapping[str, int]], Awaitable[object]]) -> None:
        """Call `write` with the instant of each key. They are kept until that is done, so that a list in between tells
        the truth."""
        waiting = dict(self._waiting)
        if not waiting:
            return
        await write({key_id: micros(at) for key_id, at in waiting.items()})
        for key_id, at in waiting.items():
            if self._waiting.get(key_id) == at:
                del self._waiting[key_id]

    def record(self, row: Sequence[Any]) -> ApiKeyRecord:
        """The record of a row of KEY_COLUMNS, with what is not written yet."""
        key_id, name, key_hash, scopes, created_at, *instants, previous_hash, limits = row
        workflows, labels, addresses, *later = loads(limits)  # a row of an earlier version has fewer
        expires_at, used_at, revoked_at, previous_expires_at = map(seconds, instants)
        record = ApiKeyRecord(
            key_id, name, key_hash, tuple(loads(scopes)), seconds(created_at), expires_at, used_at, revoked_at,
            tuple(workflows), labels, tuple(addresses), previous_hash, previous_expires_at, *later,
        )  # fmt: skip
        used = self._waiting.get(key_id)
        return record if used is None else replace(record, last_used_at=used)
