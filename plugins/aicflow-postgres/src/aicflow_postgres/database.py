"""The connections of one process to its database, and what their errors mean."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import wraps
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Concatenate, Final, LiteralString

from aicflow.ports import GENESIS, AuditEntry, AuditRow, StoreUnavailable, loads, pending_audit
from psycopg import AsyncConnection, InterfaceError, OperationalError, conninfo, errors
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

type Connection = AsyncConnection[tuple[Any, ...]]

NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The database's clock, in microseconds: those of hosts differ, and a host that was stopped reads its own too late."""

STEADY_NOW: Final = NOW.replace("clock_timestamp", "statement_timestamp")
"""The same for a whole statement: an index can only be read up to what does not change meanwhile."""

AT_ONCE_BEFORE: Final = 4_000_000_000_000_000_000
AT_ONCE: Final = f"({NOW} - {AT_ONCE_BEFORE})"
"""`due_at` of what is to go on at once, in the order in which that became so. Below zero, and so before any instant."""

_AGAIN: Final = (errors.DeadlockDetected, errors.SerializationFailure, errors.ForeignKeyViolation)
_FULL: Final = (errors.DiskFull, errors.OutOfMemory, errors.TooManyConnections, errors.ReadOnlySqlTransaction)
_GONE: Final = ("57P0", "0800")
"""The server was stopped, has crashed, is starting, or ended the connection; the connection failed."""
_TIMES: Final = 8
_ASK_AGAIN: Final = 0.5
_READS: Final = 10
"""How many times longer than a write a read may take: the sizes and the checks of a large database."""
_KEEPALIVE: Final = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A host that has gone without a word is noticed within half a minute, not after hours."""


class _Lost(StoreUnavailable):
    """The connection was lost: what was sent may have been done or not."""


class Database:
    """A pool of connections. Every call is one transaction, which is tried again when it met another's, and for
    `patience` seconds when its connection was lost. One that is silent for `timeout` seconds counts as lost."""

    def __init__(self, url: str, *, pool: int, patience: float, timeout: float, prepares: bool = True) -> None:
        self.url = url
        self._patience, self._timeout = patience, timeout
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            kept_alive(url),
            min_size=2,
            max_size=pool,
            timeout=patience,
            # the pause between attempts doubles until this: longer, and it would outlast the outage
            reconnect_timeout=2.0,
            open=False,
            name="aicflow",
            kwargs={
                "autocommit": True,
                "application_name": "aicflow",
                "prepare_threshold": 5 if prepares else None,
            },
        )

    async def open(self) -> None:
        """Connect. Raises StoreUnavailable."""
        with translated():
            try:
                await self.pool.open(wait=True, timeout=self._patience)
            except PoolTimeout:
                # the pool does not say why: a database that is not there, a wrong password
                async with await AsyncConnection.connect(self.url, connect_timeout=2):
                    raise

    async def close(self) -> None:
        await self.pool.close()

    async def shares_connections(self) -> bool:
        """Whether a pooler lends another connection of the server to each transaction. Raises StoreUnavailable."""
        sql = "SELECT pg_backend_pid()"
        async with self.connection() as one, self.connection() as other:
            [(first,)] = await fetch(one, sql)
            if first == one.info.backend_pid:
                return False  # no pooler between, or one that passes on the number of the process
            async with other.transaction():
                await fetch(other, sql)  # takes the connection that was given back last
                return [(first,)] != await fetch(one, sql)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that commits each statement by itself. Raises StoreUnavailable."""
        with translated():
            async with self._taken(_READS * self._timeout) as connection:
                yield connection

    @asynccontextmanager
    async def _taken(self, seconds: float) -> AsyncIterator[Connection]:
        connection = await self._next()
        # cancelling would ask the server and wait for it, and it is the server that says nothing
        watch = asyncio.get_running_loop().call_later(seconds, _cut, connection)
        try:
            yield connection
        finally:
            watch.cancel()
            await self.pool.putconn(connection)

    async def _next(self) -> Connection:
        """A connection of the pool. A pool that has given up tries again only when it is asked again."""
        until = time.monotonic() + self._patience
        while True:
            try:
                return await self.pool.getconn(timeout=min(self._patience, _ASK_AGAIN))
            except PoolTimeout:
                if time.monotonic() > until:
                    raise

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement, which may be one that writes, if it may be done twice."""

        async def attempt() -> list[tuple[Any, ...]]:
            async with self.connection() as connection:
                cursor = await connection.execute(_literal(sql), values or None)
                return await cursor.fetchall() if cursor.description is not None else []

        return await self._repeated(attempt)

    async def write[T](
        self,
        run: Callable[[Connection], Awaitable[T]],
        *,
        pipeline: bool = False,
        repeatable: bool = False,
        timeout: float | None = None,
    ) -> T:
        """What `run` returns, called in a transaction, and again in a new one when it met another transaction. In a
        pipeline statements go out together, with the commit. What the caller's request tells the audit goes along.

        When the answer to a commit is lost, a mark that was committed with it tells whether it was done. There is none
        of what is `repeatable`, because `run` finds that out itself."""
        pending = pending_audit.get()
        audited = pending is not None and not pending.written
        mark = token_bytes(12)
        unknown: list[T] = []

        async def attempt() -> T:
            committing = False
            try:
                with translated():
                    async with self._taken(timeout or self._timeout) as connection, AsyncExitStack() as stack:
                        if pipeline:
                            await stack.enter_async_context(connection.pipeline())
                        await stack.enter_async_context(connection.transaction())
                        # waits for the lost transaction when that is still under way
                        if unknown and not await fetch(connection, _MARK, mark):
                            return unknown[0]
                        result = await run(connection)
                        if pending is not None and audited:
                            await add_entries(connection, [pending.entry(pending)])
                        if not (repeatable or unknown or result == []):  # an empty list: nothing was claimed
                            await fetch(connection, _MARK, mark)
                            committing = True
            except _Lost:
                if committing:
                    unknown[:] = [result]
                raise
            return result

        result = await self._repeated(attempt)
        if pending is not None and audited:
            pending.written = True
        return result

    async def _repeated[T](self, attempt: Callable[[], Awaitable[T]]) -> T:
        until = time.monotonic() + self._patience
        met = 0
        while True:
            try:
                return await attempt()
            except _AGAIN as error:
                met += 1
                if met < _TIMES:
                    await asyncio.sleep(0.01 * met)
                elif isinstance(error, errors.ForeignKeyViolation):
                    raise
                else:
                    raise StoreUnavailable(f"PostgreSQL ended the transaction {met} times: {error}") from error
            except _Lost:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.02)


def kept_alive(url: str) -> str:
    """The URL with settings for a connection whose other end may go without a word; its own come first."""
    settings: dict[str, Any] = {**_KEEPALIVE, **conninfo.conninfo_to_dict(url)}
    return conninfo.make_conninfo(**settings)


def _cut(connection: Connection) -> None:
    """End it for both sides, so that whoever waits for its answer learns that there is none."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as end, suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _literal(sql: str) -> LiteralString:
    # statements are put together from constants of this package; values are always passed beside them
    return sql


async def send(connection: Connection, sql: str, *values: Any) -> None:
    """A statement without a result. In a pipeline it is not waited for."""
    await connection.execute(_literal(sql), values or None)


async def fetch(connection: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement. In a pipeline everything before it has been done then, too."""
    return await (await connection.execute(_literal(sql), values or None)).fetchall()


async def fetch_planned(connection: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement that is planned for these values. A plan for any values, as a prepared statement gets
    after a while, takes a wrong index for rare ones."""
    return await (await connection.execute(_literal(sql), values or None, prepare=False)).fetchall()


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


_MARK = f"INSERT INTO outcomes (mark, at) VALUES (%b, {NOW}) ON CONFLICT DO NOTHING RETURNING 1"  # noqa: S608
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
            lost = not isinstance(error, PoolClosed) and (error.sqlstate is None or error.sqlstate[:4] in _GONE)
            raise (_Lost if lost else StoreUnavailable)(
                f"PostgreSQL cannot be used now: {str(error).strip()}"
            ) from error


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
