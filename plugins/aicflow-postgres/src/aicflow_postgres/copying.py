"""The tables of a PostgreSQL database, to copy from and into: one transaction, streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aicflow.ports import COPIED, CopiedRow, StoreUnavailable, loads
from psycopg import AsyncConnection, sql

from aicflow_postgres.database import Connection, fetch, send, translated
from aicflow_postgres.migrate import migrate_within

_COLUMNS: Final = """
SELECT column_name, udt_name FROM information_schema.columns
  WHERE table_schema = current_schema() AND table_name = %b ORDER BY ordinal_position
"""
_OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'aicflow' AND pid <> pg_backend_pid()
"""
_LABELLED: Final = "SELECT id, labels FROM workflows WHERE labels <> '{}'"
_LABEL: Final = "INSERT INTO workflow_labels (workflow_id, name, value) VALUES (%b, %b, %b)"
_NUMBER: Final = "SELECT setval(pg_get_serial_sequence(%b, 'n'), max(n)) FROM {} HAVING max(n) IS NOT NULL"


class PostgresTables:
    """Within one transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def columns(self, table: str) -> Sequence[str]:
        return list(await self._types(table))

    async def rows(self, table: str, columns: Sequence[str]) -> AsyncIterator[CopiedRow]:
        types = await self._types(table)
        command = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT BINARY)").format(
            sql.SQL(", ").join(
                # every store says -1 of what is to go on at once; this one says more
                sql.SQL("CASE WHEN due_at < 0 THEN -1 ELSE due_at END") if name == "due_at" else sql.Identifier(name)
                for name in columns
            ),
            sql.Identifier(table),
        )
        async with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.set_types([types[name] for name in columns])
            async for row in copy.rows():
                yield [_neutral(value) for value in row]

    async def add(self, table: str, columns: Sequence[str], rows: AsyncIterator[CopiedRow]) -> None:
        types = await self._types(table)
        extra = ("actor", "action", "targets", "at") if table == "audit" else ()
        kinds = [types[name] for name in (*columns, *extra)]
        command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, (*columns, *extra)))
        )
        async with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            copy.set_types(kinds)
            async for row in rows:
                values: list[Any] = [_own(value, kind) for value, kind in zip(row, kinds, strict=False)]
                if extra:
                    values += _found_by(values[columns.index("body")])
                await copy.write_row(values)
        if "n" in columns:
            await fetch(self._connection, _NUMBER.format(table), table)
        if table == "workflows":
            for id, labels in await fetch(self._connection, _LABELLED):
                for name, value in loads(labels).items():
                    await send(self._connection, _LABEL, id, name, value.encode("utf-8", "surrogatepass"))

    async def _types(self, table: str) -> dict[str, str]:
        return {
            name: f"{kind[1:]}[]" if kind.startswith("_") else kind
            for name, kind in await fetch(self._connection, _COLUMNS, table)
        }


@asynccontextmanager
async def copying(url: str) -> AsyncIterator[PostgresTables]:
    """The tables of the database, for nobody else. A host that starts meanwhile waits until the end, as it does while
    another migrates; one that is at work is found by its connections."""
    with translated():
        async with (
            await AsyncConnection.connect(url, autocommit=True, application_name="aicflow copy") as connection,
            connection.transaction(),
        ):
            await migrate_within(connection)
            [(others,)] = await fetch(connection, _OTHERS)
            if others:
                raise StoreUnavailable(
                    f"The database is in use: {others} connections of servers, workers or commands.",
                    hint="Stop every server and worker of it first.",
                )
            # a host that had lost its connections must not come back in the middle
            await send(connection, f"LOCK TABLE {', '.join(COPIED)} IN SHARE ROW EXCLUSIVE MODE")
            yield PostgresTables(connection)


def _neutral(value: Any) -> int | bytes | None:
    if isinstance(value, str):
        return value.encode()
    return int(value) if isinstance(value, bool) else value


def _own(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "bool":
        return bool(value)
    return value.decode() if kind == "text" else value


def _found_by(body: str) -> list[Any]:
    """What the audit is filtered by: actor, action, targets, time."""
    told = loads(body)
    targets = [told["target"], told.get("made"), *told.get("many", ())]
    return [told["actor"].encode(), told["action"], [one.encode() for one in targets if one is not None], told["at"]]
