"""Schema migrations: numbered SQL files, one history for each component that keeps tables in the database."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from aicflow.kernel.errors import StoreUnavailable

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a component's schema."""

    component: str
    number: int
    name: str
    sql: str

    @property
    def label(self) -> str:
        """As its file is called."""
        return f"{self.number:04d}_{self.name}"


def migrations_in(component: str, folder: Traversable) -> list[Migration]:
    """The migrations in a folder, files named `0001_what.sql`, in order."""
    found = [(match, file) for file in folder.iterdir() if (match := _FILE_NAME.fullmatch(file.name))]
    migrations = [Migration(component, int(m[1]), m[2], f.read_text(encoding="utf-8")) for m, f in found]
    return sorted(migrations, key=lambda migration: migration.number)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> list[str]:
    """Apply what the database lacks, each migration in a transaction of its own; gives the names of what was applied.

    Raises StoreUnavailable when the database has migrations of these components that are not known here: a newer
    version made them, and writing to its tables by old rules could spoil them."""
    if not has_history(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (component TEXT NOT NULL, number INTEGER NOT NULL,"
            " name TEXT NOT NULL, applied_at INTEGER NOT NULL, PRIMARY KEY (component, number))"
        )
    known: dict[str, set[int]] = {}
    for migration in migrations:
        known.setdefault(migration.component, set()).add(migration.number)
    for component, number, name in connection.execute("SELECT component, number, name FROM migrations").fetchall():
        if component in known and number not in known[component]:
            raise StoreUnavailable(
                f"The database has a newer schema: {component} {number:04d}_{name};"
                f" this version knows {component} up to {max(known[component]):04d}.",
                hint="Run the version that wrote it or a later one, or restore a backup made before the upgrade.",
            )
    return [one.label for one in migrations if _apply(connection, one)]


def has_history(connection: sqlite3.Connection) -> bool:
    """Whether anything was ever migrated."""
    return bool(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchall())


def _apply(connection: sqlite3.Connection, migration: Migration) -> bool:
    place = (migration.component, migration.number)
    done = "SELECT 1 FROM migrations WHERE component = ? AND number = ?"
    if connection.execute(done, place).fetchone():
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        # two processes may come here at once; the second finds it done
        if connection.execute(done, place).fetchone():
            connection.execute("ROLLBACK")
            return False
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, ?, ?)", (*place, migration.name, int(time.time() * 1_000_000))
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def _statements(sql: str) -> list[str]:
    statements, pending = [], ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    if re.sub(r"--[^\n]*", "", pending).strip():
        raise ValueError(f"the migration ends in the middle of a statement: {pending.strip()[:80]!r}")
    return statements
