"""One PostgreSQL server for all tests of the package, and an empty database for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from aicflow.testing.postgres import MISSING, Postgres, binaries, running_postgres

sys.path.append(str(Path(__file__).parent))  # for site_kit

from site_kit import Site

_TABLES = "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public' AND {}"
_KEPT = "tablename NOT IN ('aicflow_migrations', 'changes', 'writable')"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip(MISSING)
    with running_postgres(fsync="off") as server:
        yield server


@pytest.fixture(scope="session")
def one_database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def url(one_database: str) -> str:
    """A database without a row: emptied, for making one takes longer than most tests."""
    with psycopg.connect(one_database, autocommit=True) as connection:
        row = connection.execute(_TABLES.format(_KEPT)).fetchone()
        if row and row[0]:
            connection.execute(f"TRUNCATE {row[0]} RESTART IDENTITY")
    return one_database


@pytest.fixture
def site(url: str, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(url, tmp_path, stack)
