"""The hot path: the creates and appends that wait together are committed together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from aicflow.ports import Appended, Conflict, Created, StoreUnavailable
from psycopg import errors

from aicflow_postgres.appends import write_appends
from aicflow_postgres.creates import write_creates
from aicflow_postgres.database import Connection, Database, add_entries
from aicflow_postgres.operations import Append, Create, LimitsUnknown
from aicflow_postgres.slots import SlotBooks

_MOST: Final = 500
_TRIES: Final = 6

type Operation = Create | Append


class Groups:
    """Writes what waits, one group after another, in a task of its own."""

    def __init__(self, database: Database, books: SlotBooks) -> None:
        self._database = database
        self._books = books
        self._waiting: deque[Operation] = deque()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="aicflow-postgres-writer")

    async def stop(self) -> None:
        """Commit what waits and end."""
        if self._task is not None:
            task, self._task = self._task, None
            self._ready.set()
            await task

    async def create(self, operation: Create) -> Created:
        self._submit(operation)
        return await operation.future

    async def append(self, operation: Append) -> Appended:
        self._submit(operation)
        return await operation.future

    def _submit(self, operation: Operation) -> None:
        if self._task is None:
            raise StoreUnavailable("The PostgreSQL store is not open.")
        self._waiting.append(operation)
        self._ready.set()

    async def _run(self) -> None:
        while self._task is not None or self._waiting:
            await self._ready.wait()
            self._ready.clear()
            while self._waiting:
                group = self._next()
                try:
                    await self._write(group)
                except Exception as error:
                    _settle(group, error)
                else:
                    _settle(group, None)

    def _next(self) -> list[Operation]:
        """What waits, in order; of each execution only the first, for one statement writes a row once."""
        group: dict[str, Operation] = {}
        later: list[Operation] = []
        while self._waiting and len(group) < _MOST:
            operation = self._waiting.popleft()
            if operation.execution_id in group:
                later.append(operation)
            else:
                group[operation.execution_id] = operation
        self._waiting.extendleft(reversed(later))
        return list(group.values())

    async def _write(self, group: Sequence[Operation]) -> None:
        """Write a group. When one of them cannot be written, each is written alone, so that only that one fails."""
        try:
            await self._attempt(group)
        except errors.UniqueViolation:
            # what another process just wrote is seen now
            for operation in group:
                await self._alone(operation)
        except (errors.DataError, errors.IntegrityError):
            if len(group) == 1:
                raise
            for operation in group:
                await self._alone(operation)

    async def _alone(self, operation: Operation) -> None:
        try:
            await self._attempt([operation], alone=True)
        except errors.UniqueViolation as violation:
            try:
                await self._attempt([operation], alone=True)
            except errors.UniqueViolation:
                operation.error = Conflict(f"Execution {operation.execution_id} or its delivery exists already.")
                operation.error.__cause__ = violation
        except Exception as error:
            operation.error = error

    async def _attempt(self, group: Sequence[Operation], *, alone: bool = False) -> None:
        """One transaction. A lost connection may have lost the answer to a commit only: then the repeat finds each
        operation written, which is what it is told."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self._database.write(
                    lambda connection: self._commit(connection, group, alone=alone), pipeline=True, repeatable=True
                )
                return
            except LimitsUnknown:
                if attempt == _TRIES:
                    raise

    async def _commit(self, connection: Connection, group: Sequence[Operation], *, alone: bool) -> None:
        creates = [operation for operation in group if isinstance(operation, Create)]
        appends = [operation for operation in group if isinstance(operation, Append)]
        for operation in group:
            operation.result = operation.error = None
            operation.written = False
        limited = {create.new.workflow_id for create in creates if create.new.limits}
        limited |= {workflow for op in appends if op.ends and (workflow := self._books.workflow_of(op.execution_id))}
        lines = await self._books.lock(connection, limited) if limited else {}
        if creates:
            await write_creates(connection, creates, lines, alone=alone)
        if appends:
            await write_appends(connection, appends, lines, self._books)
        told = [create.audit for create in creates if create.audit is not None and create.written]
        if told:
            await add_entries(connection, [pending.entry(pending) for pending in told])
        for create in creates:
            if create.new.limits and create.result is not None and create.result.execution_id == create.new.id:
                self._books.note(create.new.id, create.new.workflow_id)


def _settle(group: Sequence[Operation], error: Exception | None) -> None:
    for operation in group:
        future: asyncio.Future[Any] = operation.future
        if future.done():
            continue
        if (failed := operation.error or error) is not None:
            future.set_exception(failed)
            continue
        if isinstance(operation, Create) and operation.audit is not None and operation.result is not None:
            operation.audit.written |= not (operation.result.duplicate or operation.result.queue_full)
        future.set_result(operation.result)
