"""Writing: one thread that commits everything that waits as one transaction (group commit)."""

from __future__ import annotations

import sqlite3
from asyncio import Future, get_running_loop
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from aicflow.kernel.errors import AICFlowError, StoreUnavailable
from aicflow.kernel.ports.audit import PendingAudit, pending_audit
from aicflow.store.sqlite.batch import Append, Batch, Create, repeated
from aicflow.store.sqlite.chain import add_entries
from aicflow.store.sqlite.errors import is_fatal, translate_error
from aicflow.store.sqlite.threads import settle

MAX_GROUP = 1024


class Work:
    """Any other write: `run` is called inside the group's transaction. An AICFlowError that it raises is its result,
    so it must raise before it writes. With `alone` it is called between transactions."""

    __slots__ = ("alone", "audit", "error", "future", "result", "run")

    def __init__(self, run: Callable[[sqlite3.Connection], Any], *, alone: bool = False) -> None:
        self.run = run
        self.alone = alone
        self.audit: PendingAudit | None = None
        self.future: Future[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None


type Operation = Work | Create | Append


class Writer:
    """The only connection that writes, in a thread of its own.

    Every call into sqlite3 hands the interpreter lock to the event loop and waits to get it back, so a group makes a
    constant number of calls however many operations it holds."""

    def __init__(self, connection: sqlite3.Connection, database: Path, batch: Batch, *, shared: bool) -> None:
        self._connection = connection
        self._database = database
        self._batch = batch
        self._shared = shared
        self._queue: SimpleQueue[Operation | None] = SimpleQueue()
        self._open = False
        # a daemon: a store that was never closed must not keep the interpreter from ending
        self._thread = Thread(target=self._run, name="aicflow-write", daemon=True)

    def start(self) -> None:
        self._open = True
        self._thread.start()

    def submit(self, operation: Operation) -> Future[Any]:
        """Put an operation in line; the future is resolved after its commit."""
        if not self._open:
            raise StoreUnavailable(f"The database {self._database} is not open.")
        future = operation.future = get_running_loop().create_future()
        pending = pending_audit.get()
        if pending is not None and not pending.written and not isinstance(operation, Append):
            operation.audit = pending
        self._queue.put(operation)
        return future

    async def run[T](self, run: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Call `run` with the writing connection, in a transaction that others may share."""
        result: T = await self.submit(Work(run, alone=alone))
        return result

    def stop(self) -> None:
        """Commit what waits and end the thread."""
        if self._open:
            self._open = False
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        connection = self._connection
        try:
            more = True
            while more:
                group, more = self._next_group()
                together = [operation for operation in group if not (type(operation) is Work and operation.alone)]
                if together:
                    self._commit(connection, together)
                for operation in group:
                    if type(operation) is Work and operation.alone:
                        self._call_alone(connection, operation)
                settle([(op.future, op.result, op.error) for op in group if op.future is not None])
                del group, together
        finally:
            connection.close()

    def _next_group(self) -> tuple[list[Operation], bool]:
        first = self._queue.get()
        if first is None:
            return [], False
        group = [first]
        try:
            while len(group) < MAX_GROUP:
                operation = self._queue.get_nowait()
                if operation is None:
                    return group, False
                group.append(operation)
        except Empty:
            pass
        return group, True

    def _commit(self, connection: sqlite3.Connection, group: Sequence[Operation]) -> None:
        try:
            self._attempt(connection, group)
            return
        except Exception as error:
            self._undo(connection)
            if len(group) == 1 or is_fatal(error):
                for operation in group:
                    self._fail(connection, operation, error)
                return
        # one of them is guilty: each in a transaction of its own, so that only that one fails
        for operation in group:
            operation.result, operation.error = None, None
            try:
                self._attempt(connection, [operation])
            except Exception as error:
                self._undo(connection)
                self._fail(connection, operation, error)

    def _fail(self, connection: sqlite3.Connection, operation: Operation, error: Exception) -> None:
        operation.result, operation.error = None, translate_error(error, self._database)
        if type(operation) is Create and isinstance(error, sqlite3.IntegrityError):
            # it may be there because it was written before, and the answer to that was lost
            operation.result = repeated(connection, operation)
            operation.error = None if operation.result is not None else operation.error

    def _attempt(self, connection: sqlite3.Connection, group: Sequence[Operation]) -> None:
        hot = [operation for operation in group if not isinstance(operation, Work)]
        # one statement is a transaction already; more of them need one around them
        audited = [op for op in group if not isinstance(op, Append) and op.audit is not None]
        many = self._shared or len(hot) < len(group) or bool(audited) or self._batch.takes_many_statements(hot)
        if many:
            connection.execute("BEGIN IMMEDIATE")
        if hot:
            self._batch.write(connection, hot)
        for operation in group:
            if type(operation) is Work:
                try:
                    operation.result = operation.run(connection)
                except AICFlowError as error:
                    operation.error = error
        told = {id(op.audit): op.audit for op in audited if op.audit is not None and _changed(op)}.values()
        if told:
            add_entries(connection, [pending.entry(pending) for pending in told])
        if many:
            connection.execute("COMMIT")
        for pending in told:
            pending.written = True

    def _undo(self, connection: sqlite3.Connection) -> None:
        self._batch.forget()
        if connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                # the disk is in trouble; the next group fails at its BEGIN and comes here again
                return

    def _call_alone(self, connection: sqlite3.Connection, work: Work) -> None:
        try:
            work.result = work.run(connection)
        except Exception as error:
            work.error = translate_error(error, self._database)
            self._undo(connection)


def _changed(operation: Work | Create) -> bool:
    if type(operation) is Create:
        made = operation.result
        return made is not None and not made.duplicate and not made.queue_full
    return operation.error is None
