"""Housekeeping on SQLite: retention, space, integrity, backup."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from aicflow.kernel.errors import Conflict
from aicflow.kernel.execution import TERMINAL_STATUSES
from aicflow.kernel.ports.maintenance import RetentionRule, SizeReport, WorkflowSize
from aicflow.kernel.values import dumps, loads
from aicflow.store.instants import micros
from aicflow.store.sqlite.integrity import problems
from aicflow.store.sqlite.lock import make_private
from aicflow.store.sqlite.part import reads, writes
from aicflow.store.sqlite.parts import SQLiteParts
from aicflow.store.sqlite.queries import of_every_kind
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.repair import repair
from aicflow.store.sqlite.workflows import forget_versions
from aicflow.store.sqlite.writer import Writer


class SQLiteMaintenance(SQLiteParts):
    """Housekeeping beside the work: looking happens in a reader, removing in small batches."""

    def __init__(self, writer: Writer, readers: Readers, path: Path) -> None:
        super().__init__(writer, readers)
        self._path = path

    @reads
    def removable(
        self, connection: sqlite3.Connection, rules: Sequence[RetentionRule], *, now: float
    ) -> dict[str, int]:
        found = {id: len(_outdated(connection, id, rules, now, -1)) for id in _workflows(connection)}
        return {id: many for id, many in found.items() if many}

    async def remove(self, rules: Sequence[RetentionRule], *, now: float, batch: int = 200) -> int:
        await self._remove_refused(rules, now, batch)
        found = await self._find(rules, now, batch)
        return await self._remove(found) if found else 0

    @reads
    def _find(
        self, connection: sqlite3.Connection, rules: Sequence[RetentionRule], now: float, room: int
    ) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for workflow_id in _workflows(connection):
            if room > 0 and (numbers := _outdated(connection, workflow_id, rules, now, room)):
                found[workflow_id] = numbers
                room -= len(numbers)
        return found

    @writes
    def _remove(self, connection: sqlite3.Connection, found: dict[str, list[int]]) -> int:
        # an end is for ever, so what was found may still go, unless another call took it
        numbers = dumps([n for some in found.values() for n in some]).decode()
        removed = remove_executions(connection, loads(connection.execute(_IDS, (numbers,)).fetchone()[0]))
        forget_versions(connection, list(found))
        return removed

    async def _remove_refused(self, rules: Sequence[RetentionRule], now: float, batch: int) -> None:
        """Remove old deliveries that started nothing: no execution will take them along."""
        ages = [rule.max_age for rule in rules if rule.status == "failed" and rule.max_age is not None]
        if ages and await self.rows(_REFUSED, *(values := (micros(now - min(ages)), batch * 10))):
            await self.write(f"DELETE FROM deliveries WHERE n IN ({_REFUSED})", *values)  # noqa: S608

    async def forget_keys(self, *, used_before: float, fired_before: float, batch: int = 1000) -> int:
        used, fired = micros(used_before), micros(fired_before)
        return await self._forget(used, fired, batch) if (await self.rows(_ANY_OLD_KEY, used, fired))[0][0] else 0

    @writes
    def _forget(self, connection: sqlite3.Connection, used: int, fired: int, batch: int) -> int:
        forgotten = connection.execute(_FORGET_USED, (used, batch)).rowcount
        return forgotten + connection.execute(_FORGET_FIRED, (fired, batch)).rowcount

    async def forget_deliveries(self, *, received_before: float, batch: int = 1000) -> int:
        values = micros(received_before), batch
        return await self._forget_deliveries(*values) if await self.rows(f"{_OLD_DELIVERIES} LIMIT 1", values[0]) else 0

    @writes
    def _forget_deliveries(self, connection: sqlite3.Connection, before: int, batch: int) -> int:
        sql = f"DELETE FROM deliveries WHERE n IN ({_OLD_DELIVERIES} LIMIT ?)"  # noqa: S608
        return connection.execute(sql, (before, batch)).rowcount

    async def reclaim_space(self, max_bytes: int = 4_000_000) -> int:
        return await self.writer.run(lambda connection: _reclaim(connection, max_bytes), alone=True)

    @reads
    def sizes(self, connection: sqlite3.Connection) -> SizeReport:
        free = _pragma(connection, "freelist_count") * _pragma(connection, "page_size")
        rows = connection.execute(_SIZES).fetchall()
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return SizeReport(size, free, [WorkflowSize(*row) for row in rows])

    async def integrity(self) -> list[str]:
        return await self.readers.run(problems)

    async def repair(self, *, now: float) -> list[str]:
        return await self.writer.run(lambda connection: repair(connection, now))

    async def backup(self, target: str) -> int:
        return await self.readers.run(lambda connection: _backup(connection, Path(target)))


def remove_executions(connection: sqlite3.Connection, wanted: Sequence[str]) -> int:
    """Remove those of the executions that have ended, with all that belongs to them; returns how many."""
    ids = connection.execute(_ENDED, (dumps(wanted).decode(),)).fetchone() if wanted else ("[]",)
    removed = 0
    if ids[0] == "[]":
        return removed
    tables = dict.fromkeys(("events", "payloads", "items", "answers", "deliveries", "file_holds"), "execution_id")
    for table, column in {**tables, "idempotency_keys": "owner", "executions": "id"}.items():
        removed = connection.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
            ids,
        ).rowcount
    return removed


def _reclaim(connection: sqlite3.Connection, max_bytes: int) -> int:
    page_size = _pragma(connection, "page_size")
    before = _pragma(connection, "page_count")
    if _pragma(connection, "freelist_count"):
        # one step frees one page: the script runs them all without coming back to Python
        connection.executescript(f"PRAGMA incremental_vacuum({max(1, max_bytes // page_size)})")
    # the file shrinks when the log is carried over; what a reader still needs stays for the next time
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return (before - _pragma(connection, "page_count")) * page_size


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _workflows(connection: sqlite3.Connection) -> list[str]:
    found: list[str] = loads(connection.execute(_WORKFLOWS).fetchone()[0])
    return found


def _outdated(
    connection: sqlite3.Connection, workflow_id: str, rules: Sequence[RetentionRule], now: float, limit: int
) -> list[int]:
    numbers: dict[int, None] = {}
    for rule in rules:
        if rule.status not in TERMINAL_STATUSES:
            continue
        values = {"workflow": workflow_id, "status": rule.status, "limit": limit}
        if rule.max_age is not None:
            found = connection.execute(_TOO_OLD, {**values, "cutoff": micros(now - rule.max_age)}).fetchone()[0]
            numbers.update(dict.fromkeys(loads(found)))
        if rule.max_count is not None:
            # two statements: each is a range of the index, while a join of them would sort all that is outdated
            first = connection.execute(_FIRST_TOO_MANY, {**values, "keep": rule.max_count}).fetchone()
            if first is not None:
                found = connection.execute(_TOO_MANY, {**values, "at": first[0], "n": first[1]}).fetchone()[0]
                numbers.update(dict.fromkeys(loads(found)))
    return list(numbers)[:limit] if limit >= 0 else list(numbers)


def _backup(connection: sqlite3.Connection, target: Path) -> int:
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise Conflict(f"{target} exists already.", hint="Give another name, or move it away.")
    partial.unlink(missing_ok=True)
    try:
        make_private(partial)
        copy = sqlite3.connect(partial)
        try:
            connection.backup(copy)
            # one file that can be carried elsewhere, without a log beside it
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        # a link fails when somebody was quicker, a rename would overwrite
        os.link(partial, target)
    except FileExistsError:
        raise Conflict(f"{target} exists already.", hint="Give another name, or move it away.") from None
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


_WORKFLOWS = """
WITH RECURSIVE w(id) AS (
  SELECT min(workflow_id) FROM executions
  UNION ALL
  SELECT (SELECT min(workflow_id) FROM executions WHERE workflow_id > w.id) FROM w WHERE w.id IS NOT NULL)
SELECT json_group_array(id) FROM w WHERE id IS NOT NULL
"""
_NUMBERS = "SELECT json_group_array(n) FROM ({} LIMIT :limit)"
_TOO_OLD = _NUMBERS.format(of_every_kind(" AND created_at <= :cutoff AND finished_at <= :cutoff", "ASC"))
_FIRST_TOO_MANY = f"{of_every_kind('', 'DESC')} LIMIT 1 OFFSET :keep"
_TOO_MANY = _NUMBERS.format(of_every_kind(" AND (created_at, n) <= (:at, :n)", "ASC"))
_REFUSED = "SELECT n FROM deliveries WHERE execution_id IS NULL AND received_at <= ? LIMIT ?"
_ANY_OLD_KEY = """
SELECT EXISTS (SELECT 1 FROM idempotency_keys WHERE owner IS NULL AND used_at < ?)
  OR EXISTS (SELECT 1 FROM fires WHERE fired_at < ?)
"""
_OLD_DELIVERIES = "SELECT n FROM deliveries WHERE received_at < ?"
_FORGET_USED = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
  SELECT scope, key FROM idempotency_keys WHERE owner IS NULL AND used_at < ? LIMIT ?)
"""
_FORGET_FIRED = """
DELETE FROM fires WHERE (binding_id, key) IN (
  SELECT binding_id, key FROM fires WHERE fired_at < ? LIMIT ?)
"""
_IDS = "SELECT json_group_array(id) FROM executions WHERE n IN (SELECT value FROM json_each(?))"
_ENDED = """
SELECT json_group_array(id) FROM executions
  WHERE id IN (SELECT value FROM json_each(?)) AND finished_at IS NOT NULL
"""
_SIZES = """
SELECT workflow_id, count(*), sum(last_seq), sum(
    coalesce(length(trigger), 0) + coalesce(length(input), 0) + coalesce(length(output), 0) + coalesce(length(error), 0)
    + (SELECT coalesce(sum(length(body)), 0) FROM events WHERE execution_id = id)
    + (SELECT coalesce(sum(length(body)), 0) FROM stored WHERE execution_id = id)
    + (SELECT coalesce(sum(length(output)), 0) FROM items WHERE execution_id = id)) AS bytes
  FROM executions GROUP BY workflow_id ORDER BY bytes DESC, workflow_id
"""
