"""What `aicflow doctor` says of the PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from aicflow.testing.postgres import MISSING, Postgres, binaries, running_postgres
from aicflow_postgres import advice
from aicflow_postgres.store import PostgresStore


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip(MISSING)
    settings = {"max_connections": "40", "max_prepared_transactions": "2", "wal_level": "logical"}
    with running_postgres(fsync="off", autovacuum="off", **settings) as server:
        yield server


@pytest_asyncio.fixture
async def store(server: Postgres) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(server.new_database())
    await store.open()
    yield store
    await store.close()


async def _told(store: PostgresStore) -> dict[str, tuple[str, str]]:
    return {one.subject: (one.state, one.text) for one in await store.advice()}


async def test_what_is_right_is_told_in_a_line(store: PostgresStore) -> None:
    told = await _told(store)
    assert told["postgresql"][0] == told["clock"][0] == told["connections"][0] == told["vacuum"][0] == "ok"
    assert "1 processes may use 12" in told["connections"][1]
    assert "executions" not in told


async def test_settings_that_lose_or_keep_too_much(store: PostgresStore) -> None:
    told = await _told(store)
    assert told["autovacuum"] == ("problem", "It is off: dead rows are never removed. Set autovacuum = on.")
    assert told["fsync"][0] == "problem"
    assert told["idle_in_transaction_session_timeout"][0] == "note"
    await store.maintenance.rows("ALTER TABLE executions SET (autovacuum_enabled = off, fillfactor = 100)")
    told = await _told(store)
    assert "RESET (autovacuum_enabled)" in told["autovacuum"][1]
    assert "fillfactor = 50" in told["executions"][1]


async def test_more_connections_than_there_are(server: Postgres) -> None:
    store = PostgresStore(server.new_database(), pool=60)
    await store.open()
    state, text = (await _told(store))["connections"]
    assert state == "note"
    assert "may use 62" in text
    assert "AICFLOW_STORE_POOL" in text
    await store.close()


async def test_who_holds_up_vacuum(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LONG", "_PREPARED"):
        monkeypatch.setattr(advice, name, getattr(advice, name).replace("10 minutes", "0 minutes"))
    url = server.new_database()
    store = PostgresStore(url)
    await store.open()
    with psycopg.connect(url, application_name="report") as reader, psycopg.connect(url, autocommit=True) as other:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM executions")
        other.execute("SELECT pg_create_logical_replication_slot('old', 'test_decoding')")
        other.execute("BEGIN")
        other.execute("UPDATE writable SET checked = checked + 1")
        other.execute("PREPARE TRANSACTION 'forgotten'")
        found = [(one.state, one.subject, one.text) for one in await store.advice()]
        other.execute("ROLLBACK PREPARED 'forgotten'")
        other.execute("SELECT pg_drop_replication_slot('old')")
    await store.close()
    assert any(state == "note" and "(report, idle in transaction)" in text for state, _, text in found)
    assert any(state == "problem" and "ROLLBACK PREPARED 'forgotten'" in text for state, _, text in found)
    assert any(subject == "replication" and "pg_drop_replication_slot('old')" in text for _, subject, text in found)


async def test_a_clock_that_is_wrong(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = advice.time
    monkeypatch.setattr(advice, "time", lambda: real() - 3600)
    state, text = (await _told(store))["clock"]
    assert state == "problem"
    assert "3600 s behind" in text


def test_the_doctor_shows_it(server: Postgres, tmp_path: Path) -> None:
    environment = {**os.environ, "AICFLOW_STORE": server.new_database(), "AICFLOW_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "aicflow.cli", "doctor", "--output", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = {one["subject"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    assert found["postgresql"] == "ok"
    assert found["autovacuum"] == "problem"
    assert done.returncode == 1
