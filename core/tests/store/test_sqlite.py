"""What SQLite is asked to do: few statements, indexed reads, packed rows, space given back, sound copies."""

import asyncio
import inspect
import itertools
import os
import sqlite3
import threading
from collections.abc import Coroutine
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aicflow.events import EVENT_TYPES, encode_event
from aicflow.kernel.errors import Conflict, EventsDamaged, StaleClaim
from aicflow.kernel.ports.access import ApiKeyRecord
from aicflow.kernel.ports.executions import EventBatch, ExecutionFilter, Fire, Idempotency, Projection, SlotLimit
from aicflow.kernel.ports.maintenance import RetentionRule
from aicflow.kernel.values import dumps, loads
from aicflow.store import SQLiteStore
from aicflow.store.sqlite.event_rows import pack, unpack
from aicflow.store.sqlite.executions import SQLiteExecutions
from aicflow.store.sqlite.queries import count_query, list_query, ranges_of
from aicflow.testing.store_samples import NOW, batch, claim, create, end, new, park, start


def _connection(store: SQLiteStore) -> sqlite3.Connection:
    assert store._writer is not None
    return store._writer._connection


async def test_a_group_is_one_statement_however_many_are_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Counting(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            calls.append(sql)
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Counting))
    store = SQLiteStore(tmp_path / "a.db")
    await store.open()
    release = threading.Event()
    assert store._writer is not None

    async def together(*operations: Coroutine[Any, Any, Any]) -> list[str]:
        # the writer is held up until all of them stand in line
        release.clear()
        hold = asyncio.create_task(store._writer.run(lambda _: release.wait() and None, alone=True))  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(operation) for operation in operations]
        await asyncio.sleep(0)
        calls.clear()
        release.set()
        await asyncio.gather(hold, *tasks)
        return [*calls]

    ids = [f"ex_{i}" for i in range(200)]
    assert len(await together(*(start(store.executions, id) for id in ids))) == 1
    appended = await together(
        *(store.executions.append(id, 1, batch(2, *["step.log"] * 20)) for id in ids[:100]),
        *(end(store.executions, id) for id in ids[100:]),
    )
    assert len(appended) == 1
    # slots take a transaction, keys a look: still no more for two hundred than for two
    limits = (SlotLimit("k", 100),)
    keyed = [
        new(f"ex_k{i}", limits=limits, fire=Fire("wf_a:hook", f"k{i}"), idempotency=Idempotency("a", f"{i}", ""))
        for i in range(200)
    ]
    created = await together(*(store.executions.create(one, worker="w", lease=0, at=NOW) for one in keyed))
    assert len(created) == 4
    ended = await together(*(end(store.executions, one.id) for one in keyed[:100]))
    assert len(ended) == 4
    assert len(await store.executions.slot_holders("k")) == 100
    await store.close()


async def test_a_commit_is_on_the_disk_by_default(store: SQLiteStore) -> None:
    assert _connection(store).execute("PRAGMA synchronous").fetchone() == (2,)
    assert _connection(store).execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_events_of_a_batch_are_one_row(store: SQLiteStore) -> None:
    await start(store.executions, "ex_1")
    await store.executions.append("ex_1", 1, batch(2, *["step.log"] * 20))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        rows = connection.execute("SELECT first_seq, last_seq FROM events").fetchall()
    connection.close()
    assert rows == [(1, 1), (2, 21)]


FILTERS = [
    ExecutionFilter(workflow_id=workflow, statuses=statuses, trigger_kind=kind, binding_id=binding, created_after=after)
    for workflow, statuses, kind, binding, after in itertools.product(
        (None, "wf_a"),
        (None, frozenset({"failed"}), frozenset({"failed", "running"})),
        (None, "api"),
        (None, "wf_a:hook"),
        (None, NOW),
    )
] + [ExecutionFilter(rerun_of="ex_0"), ExecutionFilter(parent_execution_id="ex_0", workflow_id="wf_a")]


async def test_every_list_is_a_range_of_an_index(store: SQLiteStore) -> None:
    connection = sqlite3.connect(store.path)
    for where in FILTERS:
        for sql, values in (list_query("id", ranges_of(where), 20, (1, 1)), count_query(where)):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            reads = [step for step in plan if "executions" in step]
            assert reads, plan
            assert all(("USING" in step and "INDEX" in step) or "INTEGER PRIMARY KEY" in step for step in reads), plan
            assert not any("TEMP B-TREE FOR ORDER" in step for step in plan), plan
            searched = where != ExecutionFilter() or "LIMIT" in sql
            assert not searched or all(step.startswith("SEARCH") for step in reads), plan
    connection.close()


async def test_the_queue_never_reads_more_than_it_needs(store: SQLiteStore) -> None:
    """Whatever is done while thousands run, wait or stand in line is a look at a few rows of the right index."""
    seen: list[str] = []
    executions = store.executions
    limits = (SlotLimit("k", 1),)
    for i in range(3):
        await start(executions, f"ex_{i}", limits=limits)
    assert store._writer is not None
    _connection(store).set_trace_callback(seen.append)
    await claim(executions)
    await executions.renew("w1", ["ex_0"], lease=0, at=NOW)
    await executions.request_cancel("ex_0")
    await executions.hand_back("w1", "ex_0", 1)
    await claim(executions)
    await end(executions, "ex_0", epoch=2)
    next_due = inspect.unwrap(SQLiteExecutions.next_due)  # in the thread whose statements are seen
    await store._writer.run(lambda connection: next_due(executions, connection))
    await store._writer.run(lambda connection: store._writer._batch.forget())  # type: ignore[union-attr]
    await create(executions, "ex_9", limits=limits)
    _connection(store).set_trace_callback(None)
    connection = sqlite3.connect(store.path)
    looked_at = 0
    for sql in seen:
        if not sql.lstrip().startswith(("SELECT", "UPDATE")) or "NEW." in sql:
            continue
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        for step in plan:
            looked_at += 1
            assert "executions_by_" not in step, (sql, plan)
            assert not step.startswith(("SCAN executions", "SCAN e")) or "INDEX executions_" in step, (sql, plan)
    assert looked_at > 20
    connection.close()


async def test_the_file_shrinks_when_executions_go(store: SQLiteStore) -> None:
    for i in range(40):
        await start(store.executions, f"ex_{i}")
        await store.executions.append(
            f"ex_{i}", 1, batch(2, "step.succeeded"), outputs={"a": dumps(f"{i}" + "x" * 100_000)}
        )
        await end(store.executions, f"ex_{i}", seq=3)
    await store.maintenance.reclaim_space()
    before = store.path.stat().st_size
    assert before > 4_000_000
    rules = [RetentionRule("succeeded", max_count=5)]
    while await store.maintenance.remove(rules, now=NOW, batch=10):
        pass
    assert (await store.maintenance.sizes()).free_bytes > 3_000_000
    freed = 0
    while part := await store.maintenance.reclaim_space(1_000_000):
        assert part <= 1_010_000
        freed += part
    assert freed > 3_000_000
    assert store.path.stat().st_size < before - 3_000_000
    assert (await store.maintenance.sizes()).free_bytes == 0
    assert await store.maintenance.integrity() == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM events WHERE first_seq = 2", "event 2 should follow, but the next is 4"),
        ("DELETE FROM events WHERE first_seq = 4", "its row says 4 events, there are 3"),
        ("DELETE FROM events", "none of its 4 events"),
        ("UPDATE executions SET status = 'running'", "status is running, but its last event is execution.succeeded"),
        ("UPDATE executions SET status = 'failed'", "status is failed, but its last event is execution.succeeded"),
        ('UPDATE events SET body = CAST(\'{"seq":9,"type":"x"}\' AS BLOB) WHERE first_seq = 4', "unreadable"),
        ("UPDATE events SET body = x'ff' WHERE first_seq = 2", "unreadable"),
        ("DELETE FROM executions", "does not exist"),
        ("DELETE FROM workflow_versions", "current version 1 is missing"),
        ("DROP INDEX executions_by_time; CREATE INDEX executions_by_time ON executions (version)", None),
    ],
)
async def test_damage_is_found(store: SQLiteStore, damage: str, found: str | None) -> None:
    await store.workflows.create("wf_a", {"name": "a"}, now=NOW)
    await start(store.executions, "ex_1")
    await store.executions.append("ex_1", 1, batch(2, "execution.started", "step.log"))
    await end(store.executions, "ex_1", seq=4)
    assert await store.maintenance.integrity() == []
    connection = sqlite3.connect(store.path)
    connection.executescript(damage)
    connection.close()
    problems = await store.maintenance.integrity()
    assert any(found in problem for problem in problems) if found else problems == []


async def test_a_copy_made_while_the_store_is_in_use(store: SQLiteStore, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    stop = asyncio.Event()

    async def work() -> int:
        i = 0
        while not stop.is_set():
            await start(store.executions, f"ex_{i}")
            await end(store.executions, f"ex_{i}")
            i += 1
        return i

    for i in range(200):
        await create(store.executions, f"ex_old_{i}", input="x" * 3000)
    busy = asyncio.create_task(work())
    size = await store.maintenance.backup(str(target))
    with pytest.raises(Conflict, match=r"copy\.db exists"):
        await store.maintenance.backup(str(target))
    stop.set()
    made = await busy
    assert size == target.stat().st_size > 0
    assert {"copy.db", "copy.db.partial"} & set(os.listdir(tmp_path)) == {"copy.db"}
    copy = SQLiteStore(target)
    await copy.open()
    assert await copy.maintenance.integrity() == []
    counts = await copy.executions.count(ExecutionFilter())
    assert counts["queued"] == 200
    assert counts.get("succeeded", 0) <= made
    await start(copy.executions, "ex_more")
    await copy.close()


async def test_a_waiting_execution_costs_rows_only(store: SQLiteStore) -> None:
    writer = store._writer
    assert writer is not None
    ids = [f"ex_{i}" for i in range(300)]
    await asyncio.gather(*(start(store.executions, id) for id in ids))
    await asyncio.gather(*(park(store.executions, id) for id in ids))
    assert (await store.executions.count(ExecutionFilter())) == {"waiting": 300}
    assert not [id for id in ids if id in writer._batch.book(_connection(store))]


async def test_keys_are_touched_in_bulk_and_not_forgotten_at_the_close(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a.db")
    await store.open()
    await store.keys.create(ApiKeyRecord("key_1", "a", "h", (), NOW))
    statements: list[str] = []
    _connection(store).set_trace_callback(statements.append)
    for i in range(100):
        await store.keys.touch("key_1", now=NOW + i / 10)
    assert len([sql for sql in statements if "UPDATE api_keys" in sql]) == 1
    await store.close()
    await store.open()
    [record] = await store.keys.list()
    assert record.last_used_at == NOW + 9.9
    await store.close()


async def test_large_batches_and_many_outputs(store: SQLiteStore) -> None:
    await store.executions.create(new("ex_1", outputs={f"n{i}": b"1" for i in range(700)}), worker="w", lease=0, at=NOW)
    events = [dumps({"seq": seq, "type": "step.log"}) for seq in range(2, 20_002)]
    await store.executions.append("ex_1", 1, EventBatch(2, events), outputs={f"m{i}": b"2" for i in range(700)})
    assert len(await store.executions.outputs("ex_1")) == 1400
    [claimed] = await claim(store.executions)
    assert len(claimed.events) == 20_001
    assert len(claimed.outputs) == 1400


HALF = '{"seq":2,"type":"execution.started","data":{}}\n{"seq":3,"type":"step.'


@pytest.mark.parametrize(
    ("damage", "told", "types"),
    [
        ("DELETE FROM events WHERE first_seq = 2", "lost: 2 to 3", ["event.lost", "event.lost"]),
        ("UPDATE events SET body = x'00ff' WHERE first_seq = 2", "lost: 2 to 3", ["event.lost", "event.lost"]),
        (
            f"UPDATE events SET body = CAST('{HALF}' AS BLOB) WHERE first_seq = 2",
            "lost: 3",
            ["execution.started", "event.lost"],
        ),
        (
            "DELETE FROM events WHERE first_seq IN (1, 4)",
            "event 1 was made again from its row; event 4 was made again from its row",
            ["execution.started", "step.log"],
        ),
        (
            "UPDATE executions SET status = 'failed'",
            "said failed and says succeeded",
            ["execution.started", "step.log"],
        ),
        (
            "UPDATE executions SET status = 'running', finished_at = NULL",
            "says succeeded",
            ["execution.started", "step.log"],
        ),
        ("UPDATE executions SET last_seq = 3", "4 events could be read", ["execution.started", "step.log"]),
        (
            "INSERT INTO payloads (execution_id, name, body) VALUES ('ex_no', 'a', '1')",
            "1 rows of payloads",
            ["execution.started", "step.log"],
        ),
    ],
)
async def test_damage_is_repaired_as_far_as_it_can_be(
    store: SQLiteStore, damage: str, told: str, types: list[str]
) -> None:
    await start(store.executions, "ex_1")
    await store.executions.append("ex_1", 1, batch(2, "execution.started", "step.log"))
    await end(store.executions, "ex_1", seq=4)
    with closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(damage)
    assert await store.maintenance.integrity() != []
    done = await store.maintenance.repair(now=NOW)
    assert len(done) == 1
    assert told in done[0]
    assert await store.maintenance.integrity() == []
    assert await store.maintenance.repair(now=NOW) == []
    events = [loads(event) for event in await store.executions.events("ex_1")]
    assert [event["type"] for event in events] == ["execution.queued", *types, "execution.succeeded"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert (await store.executions.get("ex_1")).status == "succeeded"


async def test_a_damaged_row_stops_its_own_reads_and_nobody_elses(store: SQLiteStore) -> None:
    for id in ("ex_1", "ex_2"):
        await start(store.executions, id)
        await store.executions.append(id, 1, batch(2, *["step.log"] * 40))
    packed = (await read_row(store, "SELECT body FROM events WHERE first_seq = 2 AND execution_id = 'ex_1'"))[0]
    assert len(packed) < 2_000
    flipped = [bytes([*packed[:i], packed[i] ^ 1, *packed[i + 1 :]]) for i in range(0, len(packed), 7)]
    for body in [*flipped, packed[: len(packed) // 2]]:
        with closing(sqlite3.connect(store.path)) as connection, connection:
            connection.execute("UPDATE events SET body = ? WHERE execution_id = 'ex_1' AND first_seq = 2", (body,))
        with pytest.raises(EventsDamaged, match="Execution ex_1: events 2 to 41 cannot be read"):
            await store.executions.events("ex_1", after=5)
    assert [execution.id for execution in (await store.executions.list(ExecutionFilter(), limit=9)).items]
    assert len(await store.executions.events("ex_2")) == 41
    await store.executions.reclaim("w2")
    claimed = {one.execution.id: one for one in await claim(store.executions, worker="w2")}
    assert claimed["ex_1"].damage is not None
    assert claimed["ex_2"].damage is None
    assert len(claimed["ex_2"].events) == 41
    done = await store.maintenance.repair(now=NOW)
    assert "it fails when it goes on" in done[0]


async def read_row(store: SQLiteStore, sql: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(store.path)) as connection:
        row: tuple[Any, ...] = connection.execute(sql).fetchone()
        return row


async def test_a_search_looks_at_so_many_rows_and_goes_on_from_there(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aicflow.store.sqlite.queries.LOOKED_AT", 10)
    for i in range(35):
        await create(store.executions, f"ex_{i:02}", at=NOW + i, input={"i": i, "rare": i % 15 == 0})
    where = ExecutionFilter(text='"rare":true')
    pages, cursor = [], None
    while not pages or cursor:
        page = await store.executions.list(where, limit=2, cursor=cursor)
        pages.append([execution.id for execution in page.items])
        cursor = page.next_cursor
    assert pages == [["ex_30"], ["ex_15"], [], ["ex_00"]]
    for i in range(3):
        await create(store.executions, f"ex_n{i}", at=NOW + 100, input={"rare": True})
    first = await store.executions.list(where, limit=2)
    then = await store.executions.list(where, limit=2, cursor=first.next_cursor)
    assert [[one.id for one in page.items] for page in (first, then)] == [["ex_n2", "ex_n1"], ["ex_n0", "ex_30"]]


@pytest.mark.parametrize("seconds", [0.0, 1.5])
def test_packed_events_come_back_to_the_byte(seconds: float) -> None:
    texts = ["\x01\x02\x1f\n\t", '","execution_id":"ex_1",', 'Z","type":"step.started', "é\u2028", "{'seq':"]
    events = [
        encode_event(i, NOW + i * seconds, kind, "ex_1", "a" if kind.startswith("step.") else None, 1, data)
        for i, (kind, data) in enumerate(
            ((kind, {"execution_id": "ex_1", "output": text}) for kind in EVENT_TYPES for text in texts), 1
        )
    ]
    packed = pack("ex_1", events)
    assert unpack("ex_1", 1, len(events), packed) == events
    assert len(packed) < 0.8 * sum(map(len, events))
    with pytest.raises(EventsDamaged):
        unpack("ex_2", 2, len(events), packed)


async def test_equal_large_values_are_kept_once_and_go_with_the_last_that_has_them(store: SQLiteStore) -> None:
    value, other = "v" * 100_000, dumps("w" * 50_000)
    executions = store.executions

    async def contents() -> list[int]:
        sql = "SELECT json_group_array(size) FROM (SELECT length(body) AS size FROM contents ORDER BY size)"
        return list(loads((await read_row(store, sql))[0]))

    for i in range(2):
        await start(executions, f"ex_{i}", input=value, at=NOW + i)
        both = {"a": dumps(value), "b": dumps(value)}
        await executions.append(f"ex_{i}", 1, batch(2, "step.succeeded"), outputs=both)
    assert await contents() == [100_002]
    with pytest.raises(StaleClaim):
        await executions.append("ex_0", 7, batch(3, "step.succeeded"), outputs={"c": other})
    assert await contents() == [100_002]
    await executions.append("ex_0", 1, batch(3, "step.succeeded"), outputs={"b": other})
    assert await contents() == [50_002, 100_002]
    await executions.append("ex_0", 1, batch(4, "step.succeeded"), outputs={"b": b"1"})
    assert await contents() == [100_002]
    # what an earlier version wrote lies in its row
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute(
            "UPDATE payloads SET body = (SELECT body FROM contents), hash = NULL WHERE execution_id = 'ex_1'"
        )
    for i, output in ((0, b"1"), (1, dumps(value))):
        projection = Projection("succeeded", NOW, NOW + i, dumps(value))
        await executions.append(f"ex_{i}", 1, batch(5 - 2 * i, "execution.succeeded"), projection)
        got = await executions.get(f"ex_{i}")
        assert (got.input, got.output) == (value, value)
        assert await executions.outputs(f"ex_{i}") == {"a": dumps(value), "b": output}
    assert await contents() == [100_002]
    assert [one.id for one in (await executions.list(ExecutionFilter(text="vvv"), limit=9)).items] == ["ex_1", "ex_0"]
    assert await store.maintenance.integrity() == []
    for left in ([100_002], []):
        assert await store.maintenance.remove([RetentionRule("succeeded", max_count=len(left))], now=NOW) == 1
        assert await contents() == left
    assert await store.maintenance.integrity() == []


async def test_state_is_kept_without_looking_at_the_rest_of_it(store: SQLiteStore) -> None:
    """A workflow that remembers what it has seen keeps many entries, each with a lifetime."""
    seen: list[str] = []
    await store.state.put("wf", "a", 1, lifetime=60)
    _connection(store).set_trace_callback(seen.append)
    await store.state.put("wf", "b", 2, lifetime=60)
    _connection(store).set_trace_callback(None)
    connection = sqlite3.connect(store.path)
    about = [sql for sql in seen if " state" in sql and sql.startswith(("SELECT", "DELETE"))]
    assert {sql.split()[0] for sql in about} == {"SELECT", "DELETE"}
    for sql in about:
        (step,) = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert step.endswith(("(workflow_id=? AND key=?)", "(workflow_id=? AND expires_at<?)")), step
    connection.close()
