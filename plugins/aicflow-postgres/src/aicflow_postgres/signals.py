"""Signals between processes, by NOTIFY and LISTEN.

A NOTIFY takes a lock of the whole server until its transaction commits, so it never stands in one that writes: hints
are collected for a moment and sent together, on a connection of their own. Deltas are not merged; when there are more
than a few notifications hold each time, the oldest are dropped."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Any, Final

from aicflow.ports import LocalSignals, Signal, dumps, loads
from psycopg import AsyncConnection, Error

from aicflow_postgres.database import Database, kept_alive

_logger = logging.getLogger("aicflow.postgres")
_CHANNEL: Final = "aicflow"
_EVERY: Final = 0.01
_MOST_BYTES: Final = 7_500
_MOST_KEPT: Final = 20_000
_MOST_DELTAS: Final = 500
_DELTAS_AT_ONCE: Final = 8
"""Notifications with deltas every hundredth of a second: at most 6 MB a second."""
_PAUSE: Final = 1.0


class PostgresSignals:
    """Hints to every process that has the database open."""

    def __init__(self, database: Database, url: str) -> None:
        self._database = database
        self._url = kept_alive(url)
        self._here = token_hex(6)
        self._local = LocalSignals()
        self._waiting: dict[Signal, None] = {}
        self._deltas: deque[Signal] = deque(maxlen=_MOST_DELTAS)
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen and to send."""
        self._tasks = [asyncio.create_task(task, name="aicflow-signals") for task in (self._listen(), self._send())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def hint(self, signal: Signal) -> None:
        """See the port."""
        self._local.hint(signal)
        if signal.kind == "delta":
            self._deltas.append(signal)
        elif len(self._waiting) < _MOST_KEPT:
            self._waiting[signal] = None
        self._ready.set()

    async def changes(self) -> int | None:
        """See the port."""
        found = await self._database.rows("SELECT n FROM changes")
        return found[0][0] if found else None

    def signals(self) -> AsyncIterator[Signal]:
        """See the port."""
        return self._local.signals()

    async def _listen(self) -> None:
        while True:
            try:
                async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    self._local.hint(Signal("work"))  # while nobody listened, anything may have come
                    async for notice in connection.notifies():
                        self._receive(notice.payload)
            except (Error, OSError) as error:
                _logger.info("The connection for signals was lost (%s); it is made again.", type(error).__name__)
            await asyncio.sleep(_PAUSE)

    def _receive(self, payload: str) -> None:
        sender, _, text = payload.partition(" ")
        if sender == self._here:
            return
        try:
            for parts in loads(text):
                self._local.hint(Signal(*parts))
        except (ValueError, TypeError):
            _logger.warning("A signal that is not one of AIC Flow's came on the channel %r.", _CHANNEL)

    async def _send(self) -> None:
        while True:
            try:
                async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
                    while True:
                        await self._ready.wait()
                        await asyncio.sleep(_EVERY)
                        self._ready.clear()
                        while self._waiting:
                            await self._notify(connection, _taken(self._waiting))
                        for _ in range(_DELTAS_AT_ONCE):
                            if self._deltas:
                                await self._notify(connection, _taken(self._deltas))
                        if self._deltas:
                            self._ready.set()
            except (Error, OSError):
                self._waiting.clear()  # whoever listens looks at the store as well
                self._deltas.clear()
            await asyncio.sleep(_PAUSE)

    async def _notify(self, connection: AsyncConnection[Any], parts: list[str]) -> None:
        await connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, f"{self._here} [{','.join(parts)}]"))


def _taken(waiting: dict[Signal, None] | deque[Signal]) -> list[str]:
    """As many of the first hints as one notification can hold; they wait no more."""
    parts: list[str] = []
    size = 0
    while waiting:
        signal = next(iter(waiting))
        part = dumps([signal.kind, signal.id, signal.seq, *([signal.data] if signal.data else [])]).decode()
        size += len(part.encode()) + 1
        if size >= _MOST_BYTES and parts:
            break
        if isinstance(waiting, deque):
            waiting.popleft()
        else:
            del waiting[signal]
        if size < _MOST_BYTES:
            parts.append(part)
    return parts
