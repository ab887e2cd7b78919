"""The connections of one process to its database, and what their errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from hashlib import sha256
from typing import Any, Concatenate, Final, LiteralString

from aicflow.ports import GENESIS, AuditEntry, AuditRow, StoreUnavailable, loads, pending_audit
from psycopg import AsyncConnection, InterfaceError, OperationalError, errors
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

type Connection = AsyncConnection[tuple[Any, ...]]

NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The database's clock, in microseconds: those of hosts differ, and a host that was stopped reads its own too late."""

_AGAIN: Final = (errors.DeadlockDetected, errors.SerializationFailure, errors.ForeignKeyViolation)
_FULL: Final = (errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections, errors.ReadOnlySqlTransaction)
_TIMES: Final = 8


class Database:
    """A pool of connections. Every call is one transaction, which is tried again when it met another's."""

    def __init__(self, url: str, *, pool: int, patience: float) -> None:
        self.url = url
        self._patience = patience
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=2,
            max_size=pool,
            timeout=patience,
            open=False,
            name="aicflow",
            kwargs={"autocommit": True, "application_name": "aicflow"},
        )

    async def open(self) -> None:
        """Connect. Raises StoreUnavailable."""
        with translated():
            await self.pool.open(wait=True, timeout=self._patience)

    async def close(self) -> None:
        await self.pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that commits each statement by itself. Raises StoreUnavailable."""
        with translated():
            async with self.pool.connection() as connection:
                yield connection

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement, which may be one that writes. A broken connection is replaced once."""
        for last in (False, True):
            try:
                with translated():
                    async with self.pool.connection() as connection:
                        cursor = await connection.execute(_literal(sql), values or None)
                        return await cursor.fetchall() if cursor.description is not None else []
            except StoreUnavailable:
                if last:
                    raise
        raise AssertionError

    async def write[T](self, run: Callable[[Connection], Awaitable[T]], *, pipeline: bool = False) -> T:
        """What `run` returns, called in a transaction, and again in a new one when it met another transaction. In a
        pipeline statements go out together, with the commit. What the caller's request tells the audit goes along."""
        pending = pending_audit.get()
        audited = pending is not None and not pending.written
        for attempt in range(1, _TIMES + 1):
            try:
                with translated():
                    async with self.pool.connection() as connection, AsyncExitStack() as stack:
                        if pipeline:
                            await stack.enter_async_context(connection.pipeline())
                        await stack.enter_async_context(connection.transaction())
                        result = await run(connection)
                        if pending is not None and audited:
                            await add_entries(connection, [pending.entry(pending)])
                    if pending is not None and audited:
                        pending.written = True
                    return result
            except _AGAIN:
                if attempt == _TIMES:
                    raise
                await asyncio.sleep(0.01 * attempt)
        raise AssertionError


def _literal(sql: str) -> LiteralString:
    # statements are put together from constants of this package; values are always passed beside them
    return sql


async def send(connection: Connection, sql: str, *values: Any) -> None:
    """A statement without a result. In a pipeline it is not waited for."""
    await connection.execute(_literal(sql), values or None)


async def fetch(connection: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement. In a pipeline everything before it has been done then, too."""
    return await (await connection.execute(_literal(sql), values or None)).fetchall()


async def changed(connection: Connection, sql: str, *values: Any) -> int:
    """How many rows a statement changed. Not for a pipeline."""
    return (await connection.execute(_literal(sql), values or None)).rowcount


async def add_entries(connection: Connection, entries: Sequence[AuditEntry]) -> AuditRow:
    """Add to the end of the audit chain, in the transaction of what the entries tell. Nobody else adds meanwhile."""
    await send(connection, "SELECT pg_advisory_xact_lock(hashtextextended('aicflow audit', 0))")
    found = await fetch(connection, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    seq, last = found[0] if found else (0, GENESIS)
    for entry in entries:
        seq, last = seq + 1, sha256(bytes(last) + entry.body.encode()).digest()
        told = loads(entry.body)
        targets = [told["target"], told.get("made"), *told.get("many", ())]
        personal = None if entry.personal is None else entry.personal.encode()
        found_by = (told["actor"].encode(), told["action"], [one.encode() for one in targets if one is not None])
        await send(connection, _ADD_ENTRY, seq, last, entry.body, personal, *found_by, told["at"])
    return AuditRow(seq, last, entries[-1].body, entries[-1].personal)


_ADD_ENTRY = """
INSERT INTO audit (seq, hash, body, personal, actor, action, targets, at)
  VALUES (%b, %b, %b, %b, %b, %b, %b::bytea[], %b)
"""


class translated:
    """Inside, errors of the connection are StoreUnavailable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _AGAIN) or error is None:
            return
        if isinstance(error, PoolTimeout):
            raise StoreUnavailable(
                "PostgreSQL cannot be reached, or all connections to it are in use.",
                hint="Check that it runs, and its max_connections.",
            ) from error
        if isinstance(error, (OperationalError, InterfaceError, PoolClosed, *_FULL)):
            raise StoreUnavailable(f"PostgreSQL cannot be used now: {str(error).strip()}") from error


class Part:
    """One part of the store."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self.database.rows(sql, *values)

    async def write(self, sql: str, *values: Any) -> int:
        """How many rows one statement changed, in a transaction of its own."""
        return await self.database.write(lambda connection: changed(connection, sql, *values))


def writes[S: Part, **P, R](
    method: Callable[Concatenate[S, Connection, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A method that is called in a transaction of its own, and again when that met another one. Returns after the
    commit."""

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.database.write(lambda connection: method(self, connection, *args, **kwargs))

    return call
