"""`aicflow db`: looking, copying and removing, beside whoever has the store open."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from aicflow.store.sqlite import SQLiteStore
from aicflow.testing.store_samples import NOW, end, start

from .conftest import Run


@pytest.fixture
def database(environment: dict[str, str]) -> Path:
    """A database with five ended executions of long ago."""
    path = Path(environment["AICFLOW_DATA_DIR"]) / "aicflow.db"
    path.parent.mkdir(mode=0o700)

    async def fill() -> None:
        store = SQLiteStore(path)
        await store.open()
        for i in range(5):
            at = NOW - 1_000_000_000 + i
            await start(store.executions, f"ex_{i}", at=at)
            await end(store.executions, f"ex_{i}", at=at, status="failed" if i == 0 else "succeeded")
        await store.close()

    asyncio.run(fill())
    return path


@pytest.fixture
def held(database: Path) -> Iterator[Path]:
    """The same, while a host has it open."""
    loop = asyncio.new_event_loop()
    store = SQLiteStore(database)
    loop.run_until_complete(store.open())
    yield database
    loop.run_until_complete(store.close())
    loop.close()


def test_the_doctor_tells_sizes_and_what_would_go(aicflow: Run, held: Path) -> None:
    done = aicflow("db", "doctor", env={"AICFLOW_RETENTION_AGE": "forever", "AICFLOW_RETENTION_COUNT": "succeeded=1"})
    assert done.returncode == 0, done.stderr
    assert "wf_a: 5 executions" in done.stdout
    assert "3 to be removed" in done.stdout
    assert "Sound." in done.stdout
    kept = {"AICFLOW_RETENTION_AGE": "forever"}
    found = json.loads(aicflow("db", "doctor", "--quick", "--output", "json", env=kept).stdout)
    assert found["workflows"][0]["events"] == 10
    assert found["workflows"][0]["removable"] == 0
    assert found["retention"] == []
    assert "Everything is kept" in aicflow("db", "doctor", "--quick", env=kept).stdout
    default = json.loads(aicflow("db", "doctor", "--quick", "--output", "json").stdout)
    assert {rule["status"]: rule["max_age"] / 86_400 for rule in default["retention"]} == {
        "succeeded": 90, "failed": 365, "cancelled": 365,
    }  # fmt: skip
    assert default["workflows"][0]["removable"] == 5


def test_the_doctor_finds_damage(aicflow: Run, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("DELETE FROM events WHERE execution_id = 'ex_3' AND first_seq > 1")
    connection.close()
    done = aicflow("db", "doctor")
    assert done.returncode == 1
    assert "ex_3" in done.stdout


def test_repair_needs_the_database_alone_and_says_what_it_did(aicflow: Run, held: Path) -> None:
    done = aicflow("db", "doctor", "--repair")
    assert done.returncode == 2
    assert "in use by another host" in done.stderr


def test_repair_says_what_it_did(aicflow: Run, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE events SET body = x'ff' WHERE execution_id = 'ex_3' AND first_seq > 1")
    connection.close()
    done = aicflow("db", "doctor", "--repair")
    assert done.returncode == 0, done.stdout
    assert "repaired: Execution ex_3: 1 events could be read; event 2 was made again from its row." in done.stdout
    assert "Sound." in done.stdout
    assert json.loads(aicflow("db", "doctor", "--output", "json").stdout)["repaired"] == []


def test_a_backup_is_whole_and_overwrites_nothing(aicflow: Run, held: Path, tmp_path: Path) -> None:
    assert aicflow("db", "backup", "copy.db").returncode == 0
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT count(*) FROM executions").fetchone() == (5,)
    copy.close()
    again = aicflow("db", "backup", "copy.db")
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert "no folder" in aicflow("db", "backup", "nowhere/copy.db").stderr


def test_prune_removes_beside_a_host(aicflow: Run, held: Path) -> None:
    told = aicflow("db", "prune", "--count", "succeeded=1", "--dry-run")
    assert "3 executions would be removed" in told.stdout
    done = json.loads(aicflow("db", "prune", "--count", "succeeded=1", "--output", "json").stdout)
    assert (done["executions"], done["workflows"]) == (3, {"wf_a": 3})
    assert "1 executions removed" in aicflow("db", "prune", "--age", "failed=1d").stdout
    assert "wf_a: 1 executions" in aicflow("db", "doctor").stdout


def test_what_prune_must_be_told(aicflow: Run, database: Path) -> None:
    kept = {"AICFLOW_RETENTION_AGE": "forever"}
    assert "--age 30d" in aicflow("db", "prune", env=kept).stderr
    assert "not an age" in aicflow("db", "prune", "--age", "soon").stderr
    assert aicflow("db", "prune", "--age", "running=1d").returncode == 2


def test_without_a_database(aicflow: Run, environment: dict[str, str]) -> None:
    done = aicflow("db", "doctor")
    assert done.returncode == 2
    assert "no database" in done.stderr
    assert not Path(environment["AICFLOW_DATA_DIR"]).exists()
    assert "memory" in aicflow("db", "doctor", env={"AICFLOW_STORE": "memory://"}).stderr
