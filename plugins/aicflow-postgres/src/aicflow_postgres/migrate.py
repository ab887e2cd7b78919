"""Schema migrations: numbered SQL files, applied once by whoever opens the database first."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from aicflow.ports import SchemaState, StoreUnavailable, check_manual, state_of

from aicflow_postgres.database import NOW, Connection, Database, fetch, send

_FILE_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
LONGEST: Final = 6 * 3600.0
_LOCK: Final = 4_851_236_970_105_873


def known() -> list[tuple[int, str, str]]:
    """Number, name and SQL of each migration, in order."""
    folder = files(__package__).joinpath("schema")
    found = [(match, file) for file in folder.iterdir() if (match := _FILE_NAME.fullmatch(file.name))]
    return sorted((int(m[1]), m[2], file.read_text(encoding="utf-8")) for m, file in found)


async def schema_of(connection: Connection) -> SchemaState:
    """What the database has, which is left as it is."""
    [(there,)] = await fetch(connection, "SELECT to_regclass('aicflow_migrations') IS NOT NULL")
    rows = await fetch(connection, "SELECT number, name FROM aicflow_migrations ORDER BY number") if there else []
    return state_of([f"{n:04d}_{name}" for n, name in rows], [f"{n:04d}_{name}" for n, name, _ in known()])


async def migrate(database: Database, *, manual: bool = False) -> list[str]:
    """Apply what the database lacks; returns its names. Raises StoreUnavailable when a newer version has migrated it,
    or with `manual` when it lacks something."""
    if manual:
        async with database.connection() as connection:
            check_manual((await schema_of(connection)).pending)
    return await database.write(migrate_within, repeatable=True, timeout=LONGEST)


async def migrate_within(connection: Connection) -> list[str]:
    """The same within a transaction. Until it ends, no other process opens the database."""
    await send(connection, "SELECT pg_advisory_xact_lock(%b)", _LOCK)
    await send(
        connection,
        "CREATE TABLE IF NOT EXISTS aicflow_migrations"
        " (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)",
    )
    applied = dict(await fetch(connection, "SELECT number, name FROM aicflow_migrations"))
    migrations = known()
    newer = max(applied, default=0)
    if newer > migrations[-1][0]:
        raise StoreUnavailable(
            f"The database has a newer schema: {newer:04d}_{applied[newer]}; this version knows it up to"
            f" {migrations[-1][0]:04d}.",
            hint="Run the version that migrated it or a later one.",
        )
    missing = [migration for migration in migrations if migration[0] not in applied]
    for number, name, sql in missing:
        await send(connection, sql)
        await send(connection, f"INSERT INTO aicflow_migrations VALUES (%b, %b, {NOW})", number, name)  # noqa: S608
    return [f"{number:04d}_{name}" for number, name, _ in missing]
