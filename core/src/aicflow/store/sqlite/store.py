"""Opening and closing the SQLite store."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aicflow.kernel.errors import AICFlowError, StoreUnavailable
from aicflow.store import instants
from aicflow.store.schema import SchemaState, check_manual, state_of
from aicflow.store.signals import LocalSignals
from aicflow.store.sqlite.audit import SQLiteAudit
from aicflow.store.sqlite.batch import Batch
from aicflow.store.sqlite.copying import SQLiteTables
from aicflow.store.sqlite.errors import translate_error
from aicflow.store.sqlite.executions import SQLiteExecutions
from aicflow.store.sqlite.files import SQLiteFiles
from aicflow.store.sqlite.idempotency import SQLiteIdempotency
from aicflow.store.sqlite.keys import SQLiteKeys
from aicflow.store.sqlite.lock import FileLock, make_private
from aicflow.store.sqlite.maintenance import SQLiteMaintenance
from aicflow.store.sqlite.migrate import Migration, has_history, migrate, migrations_in
from aicflow.store.sqlite.node_settings import SQLiteNodeSettings
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.secrets import SQLiteSecrets
from aicflow.store.sqlite.sent import SQLiteSent
from aicflow.store.sqlite.state import SQLiteState
from aicflow.store.sqlite.statistics import SQLiteStatistics
from aicflow.store.sqlite.subjects import SQLiteSubjects
from aicflow.store.sqlite.triggers import SQLiteTriggers
from aicflow.store.sqlite.workflows import SQLiteWorkflows
from aicflow.store.sqlite.writer import Writer
from aicflow.workers import OneHost

BUSY_SECONDS: Final = 5.0
SWITCH_SECONDS: Final = 0.0005
_PREFIX: Final = "sqlite:///"
_SCRUBBED: Final = 1
_ANY: Final = "SELECT EXISTS (SELECT 1 FROM executions) OR EXISTS (SELECT 1 FROM api_keys)"
_log = logging.getLogger("aicflow.store")


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    synchronous: Annotated[Literal["FULL", "NORMAL"], BeforeValidator(str.upper)] = "FULL"
    busy_seconds: float = Field(default=BUSY_SECONDS, ge=0, le=600)
    shared: bool = False
    migrate: Literal["auto", "manual"] = "auto"


class SQLiteStore:
    """One SQLite file that keeps everything.

    `path_or_url` is a path, or `sqlite:///relative/path` or `sqlite:////absolute/path`. `synchronous="NORMAL"` trades
    the last moments before a power cut (never before a crash of the process) for speed. With `shared`, several
    processes may open the file; each then relies on leases alone."""

    workflows: SQLiteWorkflows
    executions: SQLiteExecutions
    triggers: SQLiteTriggers
    sent: SQLiteSent
    keys: SQLiteKeys
    idempotency: SQLiteIdempotency
    node_settings: SQLiteNodeSettings
    state: SQLiteState
    files: SQLiteFiles
    subjects: SQLiteSubjects
    audit: SQLiteAudit
    secrets: SQLiteSecrets
    maintenance: SQLiteMaintenance
    statistics: SQLiteStatistics

    def __init__(
        self,
        path_or_url: str | Path,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        shared: bool = False,
        busy_seconds: float = BUSY_SECONDS,
        migrate: Literal["auto", "manual"] = "auto",
    ) -> None:
        self.path: Final = _path(path_or_url)
        self.exclusive = not shared
        self._synchronous = synchronous
        self._busy_seconds = busy_seconds
        self._manual = migrate == "manual"
        self._applied: list[str] = []
        self.signals: Final = LocalSignals()
        self.workers: Final = OneHost(instants.now)
        self._lock = FileLock(self.path)
        self._writer: Writer | None = None
        self._readers: Readers | None = None

    @classmethod
    def from_settings(cls, url: str, settings: Mapping[str, str]) -> SQLiteStore:
        """A store with settings as text: `synchronous` (`full`, `normal`), `busy_seconds`, `shared` (`yes`, `no`),
        `migrate` (`auto`, `manual`).
        Raises AICFlowError for others."""
        try:
            known = _Settings.model_validate(dict(settings))
        except ValidationError as error:
            wrong = "; ".join(f"AICFLOW_STORE_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
            raise AICFlowError(f"The settings of the SQLite store are wrong: {wrong}.") from None
        return cls(url, **known.model_dump())

    async def open(self) -> None:
        """Open the file, made when there is none, and bring its schema up to date. Raises StoreUnavailable."""
        if self._writer is not None:
            raise StoreUnavailable(f"The database {self.path} is open already.")
        await asyncio.to_thread(self._open)
        if sys.getswitchinterval() > SWITCH_SECONDS:
            # a commit asks for the interpreter lock a few times and waits so long for each while the loop is busy:
            # measured beside a busy loop, a third more executions a second than with Python's 5 ms
            sys.setswitchinterval(SWITCH_SECONDS)

    async def close(self) -> None:
        """Commit what waits and let go of the file."""
        writer, readers = self._writer, self._readers
        self._writer = self._readers = None
        try:
            if writer is not None and readers is not None:
                # a full disk must not keep the store from closing; when keys were last used is no great loss
                with suppress(StoreUnavailable):
                    await self.keys.flush()
                await asyncio.to_thread(writer.stop)
                await asyncio.to_thread(readers.stop)
        finally:
            self._lock.release()

    @asynccontextmanager
    async def copying(self) -> AsyncIterator[SQLiteTables]:
        """Its tables, read and written in one transaction that no host sees half of. Raises StoreUnavailable."""
        await self.open()
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield SQLiteTables(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate_error(error, self.path) from error
        finally:
            connection.close()
            await self.close()

    async def now(self) -> float:
        """This machine's clock."""
        return instants.now()

    async def schema(self) -> SchemaState:
        """What schema the file has, which is left as it is. Needs no open store. Raises StoreUnavailable."""

        def look() -> SchemaState:
            if not self.path.exists():
                return state_of([], [one.label for one in _migrations()])
            try:
                with closing(sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True)) as connection:
                    return _schema(connection)
            except sqlite3.Error as error:
                raise translate_error(error, self.path) from error

        return await asyncio.to_thread(look)

    async def migrate(self) -> Sequence[str]:
        """Bring the schema up to date; returns what was applied. The store is not open. Raises StoreUnavailable, also
        when a host has the file open."""
        self._manual = False
        await self.open()
        await self.close()
        return self._applied

    async def check(self) -> None:
        """Write a row. Raises StoreUnavailable."""
        if self._writer is None:
            raise StoreUnavailable(f"The database {self.path} is not open.")
        await self._writer.run(
            lambda connection: connection.execute("UPDATE writable SET checked = checked + 1") and None
        )

    def _open(self) -> None:
        connection = None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.exclusive:
                self._lock.acquire()
            make_private(self.path)
            connection = self._connect()
            _set_up(connection)
            if self._manual:
                check_manual(_schema(connection).pending)
            self._applied = migrate(connection, _migrations())
            if self.exclusive:
                _scrub(connection, self.path)
            batch = Batch(shared=not self.exclusive)
            batch.prepare(connection)
        except BaseException as error:
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
            self._lock.release()
            raise _unopened(error, self.path) from error
        saving = self.path.with_name(self.path.name + ".saving")
        self._writer = Writer(connection, self.path, batch, shared=not self.exclusive)
        self._readers = Readers(self._connect, self.path)
        self.workflows = SQLiteWorkflows(self._writer, self._readers, None if self.exclusive else FileLock(saving))
        self.executions = SQLiteExecutions(self._writer, self._readers, batch)
        self.triggers = SQLiteTriggers(self._writer, self._readers)
        self.sent = SQLiteSent(self._writer, self._readers)
        self.keys = SQLiteKeys(self._writer, self._readers)
        self.idempotency = SQLiteIdempotency(self._writer, self._readers)
        self.node_settings = SQLiteNodeSettings(self._writer, self._readers)
        self.state = SQLiteState(self._writer, self._readers)
        self.files = SQLiteFiles(self._writer, self._readers)
        self.subjects = SQLiteSubjects(self._writer, self._readers, self.path)
        self.audit = SQLiteAudit(self._writer, self._readers)
        self.secrets = SQLiteSecrets(self._writer, self._readers)
        self.maintenance = SQLiteMaintenance(self._writer, self._readers, self.path)
        self.statistics = SQLiteStatistics(self._writer, self._readers)
        self._writer.start()
        self._readers.start()

    def _connect(self) -> sqlite3.Connection:
        # each connection is used by one thread only, but opened and closed by others
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            cached_statements=256,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            # what is removed is overwritten, so that nobody reads it in the free pages of the file
            connection.execute("PRAGMA secure_delete = ON").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection


def _migrations() -> list[Migration]:
    return migrations_in("aicflow", files(__package__).joinpath("migrations"))


def _schema(connection: sqlite3.Connection) -> SchemaState:
    applied: list[str] = []
    if has_history(connection):
        sql = "SELECT number, name FROM migrations WHERE component = 'aicflow' ORDER BY number"
        applied = [f"{number:04d}_{name}" for number, name in connection.execute(sql).fetchall()]
    return state_of(applied, [one.label for one in _migrations()])


def _set_up(connection: sqlite3.Connection) -> None:
    # auto_vacuum only takes in a file that has no table yet
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(
            f"SQLite cannot use a write-ahead log here (journal mode {mode}).",
            hint="Put the database on a local disk; network file systems do not work.",
        )
    # after a burst the log file is cut back to this
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _scrub(connection: sqlite3.Connection, path: Path) -> None:
    """Once: overwrite what earlier versions removed, which did so without overwriting."""
    if connection.execute("PRAGMA user_version").fetchone()[0] >= _SCRUBBED:
        return
    if connection.execute("PRAGMA freelist_count").fetchone()[0] or connection.execute(_ANY).fetchone()[0]:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            _log.warning("What was removed from %s earlier may still be in it: %s. It is tried again.", path, error)
            return
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA user_version = {_SCRUBBED}")


def _path(path_or_url: str | Path) -> Path:
    if isinstance(path_or_url, Path):
        return path_or_url
    if "://" not in path_or_url:
        path = path_or_url
    elif path_or_url.startswith(_PREFIX):
        path = unquote(path_or_url[len(_PREFIX) :])
    else:
        raise ValueError(f"{path_or_url!r} is not an SQLite URL; write sqlite:///path or sqlite:////absolute/path.")
    if not path or path == ":memory:":
        raise ValueError("An SQLite store needs a file; for one in memory use memory://.")
    return Path(path)


def _unopened(error: BaseException, path: Path) -> BaseException:
    if isinstance(error, OSError):
        return StoreUnavailable(
            f"The database {path} cannot be opened ({error}).", hint="Check its folder's owner and mode."
        )
    return translate_error(error, path)
