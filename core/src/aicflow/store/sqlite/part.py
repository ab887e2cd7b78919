"""What the parts of the store share: each method says in which thread it is called, with the connection there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import wraps
from typing import Any, Concatenate

from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer


class Part:
    """One part of the store."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self.writer = writer
        self.readers = readers

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """The rows of one SELECT."""
        return await self.readers.run(lambda connection: connection.execute(sql, values).fetchall())

    async def write(self, sql: str, *values: Any) -> None:
        """One statement that writes."""
        await self.writer.run(lambda connection: connection.execute(sql, values) and None)


def reads[S: Part, **P, R](
    method: Callable[Concatenate[S, sqlite3.Connection, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A method that is called in a reader's thread. It sees what was committed before it began."""

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.readers.run(lambda connection: method(self, connection, *args, **kwargs))

    return call


def writes[S: Part, **P, R](
    method: Callable[Concatenate[S, sqlite3.Connection, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """A method that is called in the writer's thread, in a transaction that others may share: an AICFlowError is
    raised before it writes. Returns after the commit."""

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        context = copy_context()  # who asks for it
        return await self.writer.run(lambda connection: context.run(method, self, connection, *args, **kwargs))

    return call
