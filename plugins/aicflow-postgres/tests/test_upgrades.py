"""Upgrades: what a migration may do, who applies it, and hosts of two versions side by side."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from aicflow.ports import StoreUnavailable
from aicflow.testing.postgres import Postgres
from aicflow_postgres.migrate import known
from aicflow_postgres.store import PostgresStore
from site_kit import ADDS, Site, until

_ROOT = Path(__file__).parents[3]
_SCHEMA = "plugins/aicflow-postgres/src/aicflow_postgres/schema"
_FIRST = 9
"""Since this one, migrations only add."""
_ADDITIVE = (
    r"CREATE (UNLOGGED )?TABLE (?!IF)\w+",
    r"CREATE INDEX \w+ ON \w+",
    r"CREATE STATISTICS \w+",
    r"CREATE FUNCTION \w+",
    r"ALTER TABLE \w+ ADD COLUMN \w+ (?!.*NOT NULL(?!.*DEFAULT))(?!.*(UNIQUE|PRIMARY|REFERENCES|CHECK))",
)


def _statements(sql: str) -> list[str]:
    bare = re.sub(r"--[^\n]*", "", sql)
    parts = re.split(r";(?=(?:[^$]|\$\$[^$]*\$\$)*$)", bare)
    return [" ".join(part.split()) for part in parts if part.strip()]


@pytest.mark.parametrize("number", [number for number, _, _ in known() if number >= _FIRST])
def test_a_migration_only_adds(number: int) -> None:
    """What the version before does not know must not stand in its way: see CONTRIBUTING."""
    (sql,) = [sql for found, _, sql in known() if found == number]
    made = set(re.findall(r"CREATE (?:UNLOGGED )?TABLE (\w+)", sql))
    for statement in _statements(sql):
        table = re.match(r"(?:INSERT INTO|CREATE UNIQUE INDEX \w+ ON|CREATE TRIGGER .* ON) (\w+)", statement)
        of_its_own = table is not None and table[1] in made
        assert of_its_own or any(re.match(one, statement) for one in _ADDITIVE), statement


def test_what_is_not_additive_is_found() -> None:
    for statement in (
        "DROP INDEX a",
        "ALTER TABLE a DROP COLUMN b",
        "ALTER TABLE a ADD COLUMN b integer NOT NULL",
        "ALTER TABLE a ALTER COLUMN b TYPE text",
        "ALTER TABLE a ADD COLUMN b text UNIQUE",
        "UPDATE a SET b = 1",
    ):
        assert not any(re.match(one, statement) for one in _ADDITIVE), statement


def _command(url: str, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "AICFLOW_DATA_DIR": str(folder), "AICFLOW_STORE": url, **variables}
    command = [sys.executable, "-m", "aicflow.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_schema_is_shown_and_brought_up_to_date(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    newest = "{:04d}_{}".format(*known()[-1])
    shown = _command(url, tmp_path, "db", "status")
    assert shown.returncode == 1
    assert "empty" in shown.stdout
    assert f"to be applied: {newest}" in shown.stdout
    refused = _command(url, tmp_path, "serve", "--port", "0", AICFLOW_STORE_MIGRATE="manual")
    assert refused.returncode != 0
    assert newest in refused.stderr
    assert "aicflow db migrate" in refused.stderr
    assert f"applied: {newest}" in _command(url, tmp_path, "db", "migrate").stdout
    assert "Up to date." in _command(url, tmp_path, "db", "migrate").stdout
    assert _command(url, tmp_path, "db", "status").returncode == 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO aicflow_migrations VALUES (9999, 'later', 0)")
    shown = _command(url, tmp_path, "db", "status")
    assert (shown.returncode, "of a newer version: 9999_later" in shown.stdout) == (1, True)
    refused = _command(url, tmp_path, "serve", "--port", "0")
    assert "newer schema: 9999_later" in refused.stderr


def test_sqlite_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    assert "to be applied: 0001_initial" in _command(url, tmp_path, "db", "status").stdout
    refused = _command(url, tmp_path, "serve", "--port", "0", AICFLOW_STORE_MIGRATE="manual")
    assert "aicflow db migrate" in refused.stderr
    assert "applied: 0001_initial" in _command(url, tmp_path, "db", "migrate").stdout
    assert _command(url, tmp_path, "db", "status").stdout.endswith("Up to date.\n")


async def test_of_many_that_migrate_at_once_one_does(postgres: Postgres) -> None:
    url = postgres.new_database()
    applied = await asyncio.gather(*(PostgresStore(url).migrate() for _ in range(5)))
    assert sorted(map(len, applied)) == [0, 0, 0, 0, len(known())]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO aicflow_migrations VALUES (9999, 'later', 0)")
    with pytest.raises(StoreUnavailable, match="newer schema"):
        await PostgresStore(url).migrate()


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The source as it was before the newest migration."""
    number, name, _ = known()[-1]
    place = f"{_SCHEMA}/{number:04d}_{name}.sql"
    git = ["git", "-C", str(_ROOT)]
    found = subprocess.run([*git, "log", "--diff-filter=A", "--format=%H", "--", place], capture_output=True, text=True)
    commits = found.stdout.split()
    if not commits or subprocess.run([*git, "cat-file", "-e", f"{commits[-1]}~1"], check=False).returncode:
        pytest.skip("the history of the source is not at hand")
    folder = tmp_path / "before"
    folder.mkdir()
    archive = subprocess.run([*git, "archive", f"{commits[-1]}~1"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def test_the_version_before_works_beside_this_one(postgres: Postgres, before: Path, tmp_path: Path, site: Site) -> None:
    """It made the database; then a host of this version migrates it, and both run executions of either."""
    site.url = postgres.new_database()
    sources = ":".join(
        str(one) for one in [before / "core/src", before / "language/src", *before.glob("plugins/*/src")]
    )
    old = site.server("--worker", PYTHONPATH=sources)
    assert old.save("adds", ADDS).status_code == 201
    ids = [old.begin("adds") for _ in range(10)]
    with psycopg.connect(site.url, autocommit=True) as connection:
        assert connection.execute("SELECT max(number) FROM aicflow_migrations").fetchone() == (known()[-2][0],)
        new = site.server("--worker")
        assert connection.execute("SELECT max(number) FROM aicflow_migrations").fetchone() == (known()[-1][0],)
    for _ in range(10):
        ids += [old.begin("adds"), new.begin("adds")]
    until(lambda: new.succeeded("adds") == len(ids))
    assert old.succeeded("adds") == len(ids)
    # each goes on with what the other left behind
    ids += [server.begin("adds") for server in (old, new) for _ in range(5)]
    new.process.kill()
    until(lambda: old.succeeded("adds") == len(ids))
    assert old.client.get("/api/v1/workflows/adds/state/n").json()["value"] == len(ids)
