"""What goes wrong under a store: crashes, full disks, locks. Nothing acknowledged is lost, nothing is half-written."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aicflow.kernel.errors import Conflict, StoreUnavailable
from aicflow.kernel.ports.executions import EventBatch, ExecutionFilter, SlotLimit
from aicflow.store import SQLiteStore
from aicflow.testing.store_samples import batch, claim, create, end, new, numbers, start

WORK = """
import asyncio, sys
from aicflow.store import SQLiteStore
from aicflow.testing.store_samples import batch, end, start

async def one(store, id):
    await start(store.executions, id)
    print("created", id)
    await store.executions.append(id, 1, batch(2, *["step.log"] * 10), outputs={"a": b"1"})
    print("appended", id)
    await end(store.executions, id, seq=12)
    print("ended", id, flush=True)

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    for i in range(1000):
        await asyncio.gather(*(one(store, f"ex_{sys.argv[2]}_{i}_{j}") for j in range(20)))

asyncio.run(main())
"""


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    seed = random.randrange(1_000_000)
    print("seed", seed)
    chance = random.Random(seed)
    told: dict[str, str] = {}
    for attempt in range(3):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORK, str(path), str(attempt), stdout=asyncio.subprocess.PIPE, limit=2**24
        )
        assert worker.stdout is not None
        first = await worker.stdout.readline()
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        worker.kill()
        rest = await worker.stdout.read()
        await worker.wait()
        for line in (first + rest).decode().splitlines(keepends=True):
            if line.endswith("\n"):
                what, id = line.split()
                told[id] = what
    assert told
    store = SQLiteStore(path)
    await store.open()
    assert await store.maintenance.integrity() == []
    at_least = {"created": 1, "appended": 11, "ended": 12}
    for id, what in told.items():
        execution = await store.executions.get(id)
        assert execution.last_seq >= at_least[what]
        assert (execution.status == "succeeded") == (execution.last_seq == 12)
        if what != "created":
            assert await store.executions.outputs(id) == {"a": b"1"}
    # what was running when its worker died is found again, once, with its history
    running = (await store.executions.count(ExecutionFilter())).get("running", 0)
    assert await store.executions.reclaim("next") == running
    for claimed in await claim(store.executions, worker="next", limit=1000):
        history = numbers(claimed.events) or [1]
        assert history == list(range(1, claimed.execution.last_seq + 1))
    await store.close()


async def test_only_the_guilty_operation_of_a_group_fails(store: SQLiteStore) -> None:
    await create(store.executions, "ex_5", input="another")
    results = await asyncio.gather(*(create(store.executions, f"ex_{i}") for i in range(10)), return_exceptions=True)
    assert [i for i, result in enumerate(results) if isinstance(result, Conflict)] == [5]
    assert await store.executions.count(ExecutionFilter()) == {"queued": 10}


async def test_a_group_that_fails_gives_its_slots_back(store: SQLiteStore) -> None:
    limits = (SlotLimit("k", 1),)
    await create(store.executions, "ex_1", input="another")
    ids = ["ex_1", "ex_2", "ex_3"]
    results = await asyncio.gather(*(create(store.executions, id, limits=limits) for id in ids), return_exceptions=True)
    assert isinstance(results[0], Conflict)
    assert await store.executions.slot_holders("k") == ["ex_2"]
    await claim(store.executions)
    assert (await end(store.executions, "ex_2")).admitted == ("ex_3",)


async def test_text_that_no_database_can_hold_fails_alone(store: SQLiteStore) -> None:
    results = await asyncio.gather(
        create(store.executions, "ex_1"),
        store.executions.create(new("ex_\ud800")),
        create(store.executions, "ex_3"),
        return_exceptions=True,
    )
    assert isinstance(results[1], UnicodeEncodeError)
    assert await store.executions.count(ExecutionFilter()) == {"queued": 2}


async def test_slots_survive_a_restart(tmp_path: Path) -> None:
    limits = (SlotLimit("k", 1),)
    store = SQLiteStore(tmp_path / "a.db")
    await store.open()
    for id, priority in (("ex_1", 0), ("ex_2", 0), ("ex_3", 5)):
        await start(store.executions, id, limits=limits, priority=priority)
    await store.executions.request_cancel("ex_2")
    await store.close()
    await store.open()
    assert await store.executions.slot_holders("k") == ["ex_1"]
    assert not (await start(store.executions, "ex_4", limits=limits)).admitted
    assert (await end(store.executions, "ex_1")).admitted == ("ex_3",)
    await store.close()


async def test_another_writer_makes_the_store_unavailable_until_it_is_done(store: SQLiteStore) -> None:
    await start(store.executions, "ex_1")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(
        *(end(store.executions, "ex_1") for _ in range(1)),
        *(create(store.executions, f"ex_new_{i}") for i in range(20)),
        return_exceptions=True,
    )
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert "locked" in str(results[0])
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.check()
    other.execute("ROLLBACK")
    other.close()
    await store.check()
    await end(store.executions, "ex_1")
    assert await store.executions.count(ExecutionFilter()) == {"succeeded": 1}


async def test_a_reader_that_stays_does_not_stop_writers(store: SQLiteStore) -> None:
    await start(store.executions, "ex_1")
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    for seq in range(2, 50):
        await store.executions.append("ex_1", 1, batch(seq, "step.log"))
    await store.maintenance.reclaim_space()
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert (await store.executions.get("ex_1")).last_seq == 49
    reader.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("needs root to mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_refuses_writes_and_keeps_what_it_has(small_disk: Path) -> None:
    store = SQLiteStore(small_disk / "a.db")
    await store.open()
    await start(store.executions, "ex_1")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 1_000_000)
    done, refused = 0, None
    while refused is None:
        try:
            await store.executions.append("ex_1", 1, EventBatch(done + 2, batch(done + 2, "step.log").events))
            await store.executions.append(
                "ex_1", 1, batch(done + 3, "step.succeeded"), outputs={f"n{done}": b'"' + b"x" * 100_000 + b'"'}
            )
            done += 2
        except StoreUnavailable as error:
            refused = error
    assert "full" in str(refused) or "cannot be read or written" in str(refused)
    execution = await store.executions.get("ex_1")
    assert execution.last_seq in (done + 1, done + 2)
    assert numbers(await store.executions.events("ex_1", limit=1000)) == list(range(1, execution.last_seq + 1))
    with pytest.raises(StoreUnavailable):
        await store.executions.create(new("ex_2", input="x" * 300_000))
    filler.unlink()
    # no restart, no repair: once there is room, work goes on
    await store.check()
    await end(store.executions, "ex_1", seq=execution.last_seq + 1)
    await create(store.executions, "ex_2", input="x" * 300_000)
    assert await store.maintenance.integrity() == []
    await store.close()


async def test_a_database_at_its_size_limit(store: SQLiteStore) -> None:
    await start(store.executions, "ex_1")
    writer = store._writer
    assert writer is not None
    await writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchall(), alone=True)
    results = await asyncio.gather(
        store.executions.append("ex_1", 1, batch(2, "step.log")),
        store.executions.create(new("ex_2", input="x" * 1_000_000)),
        create(store.executions, "ex_3"),
        return_exceptions=True,
    )
    # the large one is refused, its small neighbours are not
    assert [type(result).__name__ for result in results] == ["Appended", "StoreUnavailable", "Created"]
    assert "is full" in str(results[1])
    await writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall(), alone=True)
    await store.executions.create(new("ex_2", input="x" * 1_000_000))


async def test_a_caller_that_gave_up_does_no_harm(store: SQLiteStore) -> None:
    tasks = [asyncio.create_task(create(store.executions, f"ex_{i}")) for i in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    await store.check()
    assert await store.executions.count(ExecutionFilter()) == {"queued": 5}


def test_a_loop_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a.db")
    asyncio.run(store.open())
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def leave() -> None:
        task = asyncio.create_task(create(store.executions, "ex_1"))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    holder.execute("ROLLBACK")
    holder.close()

    async def go_on() -> None:
        await store.check()
        await create(store.executions, "ex_2")
        assert await store.executions.count(ExecutionFilter()) == {"queued": 2}
        await store.close()

    asyncio.run(go_on())
