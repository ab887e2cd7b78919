"""Reading: a few threads, each with a connection of its own, beside the writer."""

from __future__ import annotations

import sqlite3
from asyncio import Future, get_running_loop
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from aicflow.kernel.errors import RecordDamaged, StoreUnavailable
from aicflow.store.sqlite.errors import translate_error
from aicflow.store.sqlite.threads import settle

type _Read = tuple[Future[Any], Callable[[sqlite3.Connection], Any]]


class Readers:
    """A pool of readers. A read sees everything committed before it began."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], database: Path, count: int = 2) -> None:
        self._connect = connect
        self._database = database
        self._queue: SimpleQueue[_Read | None] = SimpleQueue()
        # daemons: a store that was never closed must not keep the interpreter from ending
        self._threads = [Thread(target=self._run, name=f"aicflow-read-{i}", daemon=True) for i in range(count)]
        self._open = False

    def start(self) -> None:
        self._open = True
        for thread in self._threads:
            thread.start()

    async def run[T](self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Call `read` with a connection in a reader thread."""
        if not self._open:
            raise StoreUnavailable(f"The database {self._database} is not open.")
        future: Future[T] = get_running_loop().create_future()
        self._queue.put((future, read))
        return await future

    def stop(self) -> None:
        """Finish the reads under way and end the threads."""
        self._open = False
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while (task := self._queue.get()) is not None:
            future, read = task
            result, failure = None, None
            try:
                if connection is None:
                    connection = self._connect()
                    connection.execute("PRAGMA query_only = ON")
                result = read(connection)
            except BaseException as error:
                failure = translate_error(error, self._database)
                if isinstance(error, ValueError) and not isinstance(error, UnicodeEncodeError):
                    failure = RecordDamaged(f"A record of the store cannot be read: {error}.")
                if connection is not None and connection.in_transaction:
                    connection.rollback()
            settle([(future, result, failure)])
            # neither the caller's closure nor its result may live on here until the next read comes
            del task, future, read, result, failure
        if connection is not None:
            connection.close()
