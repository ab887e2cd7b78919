"""Where the executions of a site stand, an SQLite file or a PostgreSQL database, read beside the product."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from aicflow.store.sqlite import SQLiteStore
from aicflow.store.sqlite.event_rows import unpack
from aicflow_postgres.store import PostgresStore
from psycopg.rows import dict_row

type Rows = Sequence[Mapping[str, Any]]
type Events = Mapping[str, list[dict[str, Any]]]


def is_postgres(db: str) -> bool:
    return db.startswith("postgresql://")


def open_store(db: str, *, shared: bool, busy_seconds: float) -> SQLiteStore | PostgresStore:
    """The product's store on it. What an SQLite file must be told, PostgreSQL always is: shared."""
    if is_postgres(db):
        return PostgresStore(db, pool=4)
    return SQLiteStore(Path(db), shared=shared, busy_seconds=busy_seconds)


def read(db: str) -> tuple[Rows, Events]:
    """The rows of all executions in the order of their acceptance, and their events, at one moment."""
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with _reading(db) as ask:
        if not ask(_HAS_TABLES[is_postgres(db)]):
            return [], events
        for row in ask("SELECT execution_id, first_seq, last_seq, body FROM events ORDER BY execution_id, first_seq"):
            body = row["body"]
            parts = body.split(b"\n") if is_postgres(db) else unpack(*row.values())
            events[row["execution_id"]] += [json.loads(one) for one in parts]
        return ask("SELECT * FROM executions ORDER BY n"), events


def ended_items(db: str) -> Rows:
    """The items of maps and passes of repeats that have ended."""
    with _reading(db) as ask:
        return ask("SELECT execution_id, step_id, i FROM items")


def stored_bytes(db: str) -> bytes:
    """All that stands in it, and in its log where that is a file."""
    if not is_postgres(db):
        return b"".join(path.read_bytes() for path in Path(db).parent.glob("db*"))
    with psycopg.connect(db) as connection:
        tables = connection.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        rows = (row for (name,) in tables.fetchall() for row in connection.execute(f"SELECT * FROM {name}"))
        return b"\n".join(one if isinstance(one, bytes) else str(one).encode() for row in rows for one in row)


_HAS_TABLES = {
    False: "SELECT 1 FROM sqlite_master WHERE name = 'executions'",
    True: "SELECT 1 FROM pg_tables WHERE tablename = 'executions'",
}


@contextmanager
def _reading(db: str) -> Iterator[Any]:
    if is_postgres(db):
        with psycopg.connect(db, row_factory=dict_row) as postgres:
            postgres.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield lambda query: postgres.execute(query).fetchall()
    elif not Path(db).exists():
        yield lambda query: []
    else:
        with closing(sqlite3.connect(db, timeout=20)) as sqlite:
            sqlite.row_factory = sqlite3.Row
            sqlite.execute("BEGIN")
            yield lambda query: [dict(row) for row in sqlite.execute(query)]


def left_behind(db: str, folder: Path) -> str:
    """What dead workers left, to be looked at: of a file a copy, for reading it would repair what the next one must."""
    if is_postgres(db):
        _wait_for_the_dead(db)
        return db
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in Path(db).parent.glob("db*"):
        if file.suffix != ".lock" and not file.name.endswith("-shm"):
            shutil.copy(file, copy / file.name)
    return str(copy / "db")


def emptied(db: str) -> str:
    """A PostgreSQL database whose users are all gone, without a row: making a new one takes longer than most tests."""
    _wait_for_the_dead(db)
    kept = ("aicflow_migrations", "writable")
    with psycopg.connect(db, autocommit=True) as connection:
        found = connection.execute("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
        if tables := [name for (name,) in found.fetchall() if name not in kept]:
            connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
    return db


def end_leases(db: str) -> None:
    """Let the leases of workers that are all dead run out, which nobody has to wait for. A file's next worker knows
    that it is alone with what they held."""
    if not is_postgres(db):
        return
    _wait_for_the_dead(db)
    with psycopg.connect(db, autocommit=True) as connection:
        if connection.execute(_HAS_TABLES[True]).fetchone():
            connection.execute("UPDATE executions SET due_at = 0 WHERE status = 'running'")


def _wait_for_the_dead(db: str) -> None:
    """The server does to its end what a process that was killed had sent."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(db, autocommit=True) as connection:
        end = time.monotonic() + 20
        while found := connection.execute(f"SELECT query {others} AND backend_type = 'client backend'").fetchall():
            assert time.monotonic() < end, f"connections of dead workers stay: {found}"
            time.sleep(0.005)
