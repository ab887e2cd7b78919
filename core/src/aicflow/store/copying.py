"""Copying everything that a store keeps into another store, which may be of another kind.

A store offers its own tables, row by row, in place of calls of its port: a port makes executions, it cannot take over
claims, event numbers, order of acceptance and hashes as they are. A column that both stores have is copied by its name,
so a new one needs no word here; one that only one of them has is refused unless it is worked out from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import blake2b, sha256
from typing import Final, Protocol, runtime_checkable

from aicflow.kernel.errors import AICFlowError, Conflict

type CopiedRow = Sequence[int | bytes | None]
"""Text is UTF-8, a truth value 0 or 1."""

COPIED: Final = (
    "workflows", "workflow_versions", "executions", "events", "contents", "payloads", "items", "answers",
    "subscriptions", "sent_events", "receipts", "subjects", "idempotency_keys", "fires", "deliveries", "triggers",
    "api_keys", "node_settings", "state", "file_holds", "files", "audit", "secrets",
    "ended_hours", "ended_hours_through",
)  # fmt: skip
"""In this order. Tickets last for a moment and are left out."""

KEYS: Final = {"idempotency_keys": "key", "fires": "key", "sent_events": "key", "subscriptions": "key"}
"""Columns that are looked for by an index, and stand here as `indexed` has them."""

_WORKED_OUT: Final = {"audit": {"actor", "action", "targets", "at"}, "executions": {"requires"}}
_LONGEST: Final = 1000
_ALL: Final = 2**128 - 1


def indexed(text: str) -> bytes:
    """Text of any length for an index, whose entries are short: the end of a long one is a hash."""
    encoded = text.encode("utf-8", "surrogatepass")
    return encoded if len(encoded) <= _LONGEST else encoded[:_LONGEST] + sha256(encoded).digest()


class Tables(Protocol):
    """The tables of one store, for nobody else as long as the copy goes on. What was added is there when the context
    of `copying` ends, and nothing of it when it ends with an error or is killed."""

    async def columns(self, table: str) -> Sequence[str]: ...

    def rows(self, table: str, columns: Sequence[str]) -> AsyncIterator[CopiedRow]: ...

    async def add(self, table: str, columns: Sequence[str], rows: AsyncIterator[CopiedRow]) -> None: ...


@runtime_checkable
class Copyable(Protocol):
    """A store, not open, that can be copied from and into."""

    def copying(self) -> AbstractAsyncContextManager[Tables]:
        """Raises StoreUnavailable, also when a host has the store open."""
        ...


async def copy_tables(source: Tables, target: Tables, done: Callable[[str, int], None]) -> None:
    """Copy all, then read it again from the target and compare. `done` is told each table and how many rows it has.
    Raises Conflict when the target is not empty, AICFlowError when it is not what the source has."""
    for table in COPIED:
        async for _ in target.rows(table, (await target.columns(table))[:1]):
            raise Conflict(
                f"The target is not empty: its table {table} has rows.",
                hint="Copy into a new database, before any server has used it.",
            )
    for table in COPIED:
        columns = await _common(source, target, table)
        read = _Sum()
        await target.add(table, columns, read.following(source.rows(table, columns)))
        written = _Sum()
        async for _ in written.following(target.rows(table, columns)):
            pass
        if (read.count, read.sum) != (written.count, written.sum):
            raise AICFlowError(
                f"The copy of {table} is not what the source has ({read.count} rows, {written.count} in the copy)."
                " Nothing was copied."
            )
        done(table, read.count)


async def _common(source: Tables, target: Tables, table: str) -> list[str]:
    ours, theirs = await source.columns(table), await target.columns(table)
    if unknown := (set(ours) ^ set(theirs)) - _WORKED_OUT.get(table, set()):
        raise AICFlowError(
            f"The stores differ in {table}: {', '.join(sorted(unknown))}.",
            hint="Bring AIC Flow and its store plugins to the same version.",
        )
    return [column for column in ours if column in theirs]


class _Sum:
    """How many rows went past, and the sum of their hashes, in which their order does not count."""

    def __init__(self) -> None:
        self.count = self.sum = 0

    async def following(self, rows: AsyncIterator[CopiedRow]) -> AsyncIterator[CopiedRow]:
        async for row in rows:
            self.count += 1
            hashed = blake2b(digest_size=16)
            for value in row:
                is_bytes = isinstance(value, bytes)
                body = value if isinstance(value, bytes) else str(value).encode()
                hashed.update(b"%d %d " % (is_bytes, len(body)))
                hashed.update(body)
            self.sum = self.sum + int.from_bytes(hashed.digest()) & _ALL
            yield row
