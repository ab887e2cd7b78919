"""Opening a database: who may, which ones, and what is said when not."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from aicflow.host.wiring import installed_plugins, make_store
from aicflow.kernel.errors import AICFlowError, NotFound, StoreUnavailable
from aicflow.kernel.ports.executions import Fire, Idempotency, StoredAnswer
from aicflow.store import SQLiteStore
from aicflow.store.sqlite.migrate import Migration, migrate, migrations_in
from aicflow.testing.store_samples import claim, create, start

ALL = migrations_in("aicflow", files("aicflow.store.sqlite").joinpath("migrations"))

HOLD = """
import asyncio, sys
from aicflow.store import SQLiteStore

async def main():
    await SQLiteStore(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
DROP = """
import asyncio, sys
from aicflow.store import SQLiteStore
from aicflow.testing.store_samples import start

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    await start(store.executions, "ex_1")
    await store.executions.get("ex_1")

asyncio.run(main())
"""


async def test_two_hosts_cannot_share_a_database_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "aicflow.db"
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(path), stdout=asyncio.subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert await other.stdout.readline() == b"open\n"
        mine = SQLiteStore(path)
        with pytest.raises(StoreUnavailable, match=f"in use by another host .process {other.pid}."):
            await mine.open()
    finally:
        other.kill()
        await other.wait()
    # the dead hold no locks
    await mine.open()
    await mine.close()


async def test_a_store_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    store = SQLiteStore(f"sqlite:///{tmp_path}/new/folder/my%20data.db")
    await store.open()
    with pytest.raises(StoreUnavailable, match="open already"):
        await store.open()
    await create(store.executions, "ex_1")
    await store.close()
    await store.close()
    assert (tmp_path / "new/folder/my data.db").exists()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.executions.get("ex_1")
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.check()
    await store.open()
    assert (await store.executions.get("ex_1")).status == "queued"
    await store.close()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_only_the_owner_reads_the_files_whoever_made_them_and_the_folder(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        folder = tmp_path / "wide"
        folder.mkdir(0o777)
        store = SQLiteStore(folder / "a.db")
        await store.open()
        await create(store.executions, "ex_1")
        await store.maintenance.backup(str(folder / "copy.db"))
        assert set(modes(folder)) == {"a.db", "a.db-wal", "a.db-shm", "a.db.lock", "copy.db"}
        assert set(modes(folder).values()) == {0o600}
        for path in folder.iterdir():
            path.chmod(0o644)  # an earlier version's
        other = SQLiteStore(folder / "a.db", shared=True)
        await other.open()
        assert {name for name, mode in modes(folder).items() if mode != 0o600} == {"a.db.lock", "copy.db"}
        await other.close()
        await store.close()
        made = SQLiteStore(tmp_path / "made" / "a.db")
        await made.open()
        await made.close()
        assert modes(tmp_path)["made"] == 0o700
    finally:
        os.umask(umask)


async def test_close_commits_what_waits(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a.db")
    await store.open()
    waiting = [asyncio.create_task(start(store.executions, f"ex_{i}")) for i in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert all(created.epoch == 1 for created in await asyncio.gather(*waiting))


def test_a_store_that_was_never_closed_lets_the_interpreter_end(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    subprocess.run([sys.executable, "-W", "ignore", "-c", DROP, str(path)], check=True, timeout=30)
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT id FROM executions").fetchall() == [("ex_1",)]
    connection.close()


@pytest.mark.parametrize("url", ["postgres://x", "sqlite://x", "sqlite:///", ":memory:", "sqlite:///:memory:"])
def test_urls_that_are_not_a_file(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///|memory://"):
        SQLiteStore(url)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes. " * 100)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt is not an SQLite database"):
        await SQLiteStore(path).open()
    assert path.read_text().startswith("These are my notes.")


async def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = SQLiteStore(path)
    await store.open()
    for i in range(20):
        await create(store.executions, f"ex_{i}", input="x" * 900)
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="is damaged"):
        await SQLiteStore(path).open()


async def test_a_folder_that_cannot_hold_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await SQLiteStore(tmp_path / "file" / "a.db").open()


async def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO migrations VALUES ('aicflow', 42, 'the_future', 0)")
    connection.execute("INSERT INTO migrations VALUES ('someones_plugin', 7, 'own_tables', 0)")
    connection.commit()
    with pytest.raises(StoreUnavailable, match="newer schema: aicflow 0042_the_future") as caught:
        await store.open()
    assert caught.value.hint is not None
    # a plugin's history is the plugin's own matter
    connection.execute("DELETE FROM migrations WHERE component = 'aicflow' AND number = 42")
    connection.commit()
    connection.close()
    await store.open()
    await store.close()


def test_a_plugin_has_a_history_of_its_own(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    steps = [
        Migration("plugin", 1, "first", "CREATE TABLE a (x); -- one; not two\nCREATE TABLE b (x);"),
        Migration("plugin", 2, "second", "CREATE TABLE c (x);"),
    ]
    assert len(migrate(connection, steps[:1])) == 1
    assert len(migrate(connection, steps)) == 1
    assert migrate(connection, steps) == []
    broken = Migration("plugin", 3, "broken", "CREATE TABLE d (x);\nCREATE TABLE a (x);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*steps, broken])
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {"a", "b", "c"} <= tables
    assert "d" not in tables
    connection.close()


async def test_two_processes_may_share_a_file_when_told_to(tmp_path: Path) -> None:
    one, two = (SQLiteStore(tmp_path / "a.db", shared=True) for _ in range(2))
    await one.open()
    await two.open()
    assert not one.exclusive
    await asyncio.gather(*(create((one, two)[i % 2].executions, f"ex_{i}") for i in range(20)))
    shares = await asyncio.gather(*((one, two)[i % 2].executions.claim(f"w{i}", 3, lease=30, at=2e9) for i in range(8)))
    ids = [claimed.execution.id for share in shares for claimed in share]
    assert len(ids) == len(set(ids)) == 20
    with pytest.raises(NotFound):
        await two.executions.get("ex_none")
    await one.close()
    await two.close()


async def test_keys_of_an_older_database_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "aicflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, [one for one in ALL if one.number == 1])
        for id, scope, key in (("ex_1", "executions:ak_1", "k"), ("ex_2", "child", "ex_1:node"), ("ex_3", None, None)):
            connection.execute(
                "INSERT INTO executions (id, workflow_id, version, status, created_at, available_at, last_seq, epoch,"
                " priority, admitted, idempotency_scope, idempotency_key, fingerprint)"
                " VALUES (?, 'wf_a', 1, 'queued', 0, 0, 1, 0, 0, 1, ?, ?, '')",
                (id, scope, key),
            )
        connection.execute("INSERT INTO fires VALUES ('wf_a:hook', 'f', 'ex_1')")
    store = SQLiteStore(path)
    await store.open()
    assert (await create(store.executions, "ex_4", idempotency=Idempotency("executions:ak_1", "k", ""))).duplicate
    assert (await create(store.executions, "ex_5", fire=Fire("wf_a:hook", "f"))).execution_id == "ex_1"
    # a fire's age counts from the migration; a child's key stays with its parent
    assert await store.maintenance.forget_keys(used_before=1e9, fired_before=1e9) == 1
    assert await store.idempotency.find("executions:ak_1", "k") is None
    assert await store.idempotency.find("child", "ex_1:node") is not None
    await store.close()


async def test_answers_of_an_earlier_version_are_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "aicflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, [one for one in ALL if one.number == 1])
        connection.execute(
            "INSERT INTO executions (id, workflow_id, version, status, created_at, available_at, last_seq, epoch,"
            " due_at, priority, admitted, trigger, input)"
            " VALUES ('ex_1', 'wf_a', 1, 'waiting', 1, 1, 1, 1, -1, 0, 1, '{}', 'null')"
        )
        connection.execute("INSERT INTO answers VALUES ('ex_1', 'ask', 'answered', '7')")
    store = SQLiteStore(path)
    await store.open()
    [claimed] = await claim(store.executions)
    assert claimed.answers == [StoredAnswer("ask", "answered", b"7", 0)]
    await store.close()


async def test_settings_of_the_environment_reach_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    plugins = installed_plugins(found=())
    for name, value in {"SYNCHRONOUS": "normal", "SHARED": "yes"}.items():
        monkeypatch.setenv(f"AICFLOW_STORE_{name}", value)
    one, two = make_store(plugins, url), make_store(plugins, url)
    assert not one.exclusive
    await one.open()
    await two.open()
    await two.close()
    await one.close()
    monkeypatch.setenv("AICFLOW_STORE_POOL", "8")
    with pytest.raises(AICFlowError, match="AICFLOW_STORE_POOL: Extra inputs"):
        make_store(plugins, url)
