"""Opening and closing the PostgreSQL store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Literal

from aicflow.ports import AICFlowError, Finding, SchemaState, StoreUnavailable, seconds
from psycopg import AsyncConnection, Error, conninfo
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aicflow_postgres.advice import advice
from aicflow_postgres.audit import PostgresAudit
from aicflow_postgres.copying import PostgresTables, copying
from aicflow_postgres.database import NOW, Database, translated
from aicflow_postgres.executions import PostgresExecutions
from aicflow_postgres.files import PostgresFiles
from aicflow_postgres.idempotency import PostgresIdempotency
from aicflow_postgres.maintenance import PostgresMaintenance
from aicflow_postgres.migrate import migrate, migrate_within, schema_of
from aicflow_postgres.rates import PostgresRates
from aicflow_postgres.secrets import PostgresSecrets
from aicflow_postgres.sent import PostgresSent
from aicflow_postgres.signals import PostgresSignals
from aicflow_postgres.small import PostgresKeys, PostgresNodeSettings, PostgresState, PostgresTriggers
from aicflow_postgres.statistics import PostgresStatistics
from aicflow_postgres.subjects import PostgresSubjects
from aicflow_postgres.workers import PostgresWorkers
from aicflow_postgres.workflows import PostgresWorkflows


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pool: int = Field(default=10, ge=3, le=200)
    patience: float = Field(default=5.0, gt=0, le=600)
    timeout: float = Field(default=30.0, gt=0, le=3600)
    listen: str | None = None
    migrate: Literal["auto", "manual"] = "auto"


class PostgresStore:
    """One PostgreSQL database that keeps everything, for any number of processes.

    `pool` is the most connections that this process uses, `patience` the seconds for which it waits for one, and goes
    on trying when one was lost; one that is silent for `timeout` seconds while it writes counts as lost. `listen`
    is the server's own URL, for LISTEN, where `url` leads through a pooler that gives connections out by transaction:
    then no statement is prepared either. With `migrate="manual"` a schema that is not up to date is refused."""

    exclusive = False

    def __init__(
        self,
        url: str,
        *,
        pool: int = 10,
        patience: float = 5.0,
        timeout: float = 30.0,
        listen: str | None = None,
        migrate: Literal["auto", "manual"] = "auto",
    ) -> None:
        try:
            self._where = conninfo.conninfo_to_dict(url)
        except Error as error:
            raise AICFlowError(f"The URL of the PostgreSQL store is wrong: {str(error).strip()}") from None
        self._listen: Final = listen
        self._manual: Final = migrate == "manual"
        self._pool: Final = pool
        self._database: Final = Database(url, pool=pool, patience=patience, timeout=timeout, prepares=listen is None)
        self.workflows: Final = PostgresWorkflows(self._database)
        self.executions: Final = PostgresExecutions(self._database)
        self.triggers: Final = PostgresTriggers(self._database)
        self.sent: Final = PostgresSent(self._database)
        self.keys: Final = PostgresKeys(self._database)
        self.idempotency: Final = PostgresIdempotency(self._database)
        self.node_settings: Final = PostgresNodeSettings(self._database)
        self.state: Final = PostgresState(self._database)
        self.secrets: Final = PostgresSecrets(self._database)
        self.subjects: Final = PostgresSubjects(self._database)
        self.files: Final = PostgresFiles(self._database)
        self.audit: Final = PostgresAudit(self._database)
        self.rates: Final = PostgresRates(self._database)
        self.maintenance: Final = PostgresMaintenance(self._database)
        self.statistics: Final = PostgresStatistics(self._database)
        self.signals: Final = PostgresSignals(self._database, listen or url)
        self.workers: Final = PostgresWorkers(self._database)

    @classmethod
    def from_settings(cls, url: str, settings: Mapping[str, str]) -> PostgresStore:
        """A store with settings as text: `pool`, `patience`, `timeout`, `listen`, `migrate`. Raises AICFlowError for
        others."""
        try:
            known = _Settings.model_validate(dict(settings))
        except ValidationError as error:
            wrong = "; ".join(f"AICFLOW_STORE_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
            raise AICFlowError(f"The settings of the PostgreSQL store are wrong: {wrong}.") from None
        return cls(url, **known.model_dump())

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises StoreUnavailable."""
        try:
            await self._database.open()
            if self._listen is None and await self._database.shares_connections():
                raise StoreUnavailable(
                    "A pooler gives its connections out by transaction; signals need one that stays.",
                    hint="Set AICFLOW_STORE_LISTEN to the URL of the server itself.",
                )
            await migrate(self._database, manual=self._manual)
            await self.maintenance.partitions.make_ahead()
        except StoreUnavailable as error:
            await self._database.close()
            place = f"{self._where.get('host', 'localhost')}, database {self._where.get('dbname')}"
            raise StoreUnavailable(f"PostgreSQL at {place}: {error}", hint=error.hint) from error
        self.executions.groups.start()
        self.signals.start()

    async def close(self) -> None:
        """Commit what waits and let go of the connections."""
        await self.executions.groups.stop()
        # when keys were last used is no great loss
        with suppress(StoreUnavailable):
            await self.keys.flush()
        await self.signals.stop()
        await self._database.close()

    async def schema(self) -> SchemaState:
        """What schema the database has. Needs no open store. Raises StoreUnavailable."""
        with translated():
            async with await AsyncConnection.connect(self._database.url, autocommit=True) as connection:
                return await schema_of(connection)

    async def migrate(self) -> list[str]:
        """Bring the schema up to date; returns what was applied. Needs no open store. Raises StoreUnavailable."""
        with translated():
            async with (
                await AsyncConnection.connect(self._database.url, autocommit=True) as connection,
                connection.transaction(),
            ):
                return await migrate_within(connection)

    def copying(self) -> AbstractAsyncContextManager[PostgresTables]:
        """Its tables, to copy from or into. Raises StoreUnavailable, also when a host has the database open."""
        return copying(self._database.url)

    async def now(self) -> float:
        """The database's clock. Raises StoreUnavailable."""
        [(now,)] = await self._database.rows(f"SELECT {NOW}")
        return seconds(int(now))

    async def advice(self) -> list[Finding]:
        """What whoever operates the server should know. Raises StoreUnavailable."""
        return await advice(self._database, self._pool)

    async def check(self) -> None:
        """Write a row. Raises StoreUnavailable."""
        await self._database.rows("UPDATE writable SET checked = checked + 1")
