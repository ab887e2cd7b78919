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
from aicflow.store.sqlite.queries import of_every_kind
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.repair import repair
from aicflow.store.sqlite.workflows import forget_versions
from aicflow.store.sqlite.writer import Writer

__all__ = ["SQLiteMaintenance"]


class SQLiteMaintenance:
    """Housekeeping beside the work: looking happens in a reader, removing in small batches."""

    def __init__(self, writer: Writer, readers: Readers, path: Path) -> None:
        self._writer = writer
        self._readers = readers
        self._path = path

    async def removable(self, rules: Sequence[RetentionRule], *, now: float) -> dict[str, int]:
        def read(connection: sqlite3.Connection) -> dict[str, int]:
            counts: dict[str, int] = {}
            for workflow_id in _workflows(connection):
                if many := len(_outdated(connection, workflow_id, rules, now, -1)):
                    counts[workflow_id] = many
            return counts

        return await self._readers.run(read)

    async def remove(self, rules: Sequence[RetentionRule], *, now: float, batch: int = 200) -> int:
        def read(connection: sqlite3.Connection) -> dict[str, list[int]]:
            found: dict[str, list[int]] = {}
            room = batch
            for workflow_id in _workflows(connection):
                if room <= 0:
                    break
                if numbers := _outdated(connection, workflow_id, rules, now, room):
                    found[workflow_id] = numbers
                    room -= len(numbers)
            return found

        await self._remove_refused(rules, now, batch)
        found = await self._readers.run(read)
        if not found:
            return 0
        numbers = dumps([n for some in found.values() for n in some]).decode()

        def run(connection: sqlite3.Connection) -> int:
            # an end is for ever, so what was found may still go, unless another call took it
            ids = connection.execute(_IDS, (numbers,)).fetchone()[0]
            tables = dict.fromkeys(("events", "payloads", "answers", "deliveries"), "execution_id")
            for table, column in {**tables, "idempotency_keys": "owner"}.items():
                connection.execute(
                    f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
                    (ids,),
                )
            removed = connection.execute(
                "DELETE FROM executions WHERE id IN (SELECT value FROM json_each(?))", (ids,)
            ).rowcount
            forget_versions(connection, list(found))
            return removed

        return await self._writer.run(run)

    async def _remove_refused(self, rules: Sequence[RetentionRule], now: float, batch: int) -> None:
        """Remove old deliveries that started nothing: no execution will take them along."""
        ages = [rule.max_age for rule in rules if rule.status == "failed" and rule.max_age is not None]
        if not ages:
            return
        values = (micros(now - min(ages)), batch * 10)
        if await self._readers.run(lambda connection: connection.execute(_REFUSED, values).fetchall()):
            await self._writer.run(
                lambda connection: (
                    connection.execute(f"DELETE FROM deliveries WHERE n IN ({_REFUSED})", values)  # noqa: S608
                    and None
                )
            )

    async def forget_keys(self, *, used_before: float, fired_before: float, batch: int = 1000) -> int:
        values = {"used": micros(used_before), "fired": micros(fired_before), "batch": batch}
        if not await self._readers.run(lambda connection: connection.execute(_ANY_OLD_KEY, values).fetchone()[0]):
            return 0

        def run(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(sql, values).rowcount for sql in (_FORGET_USED, _FORGET_FIRED))

        return await self._writer.run(run)

    async def reclaim_space(self, max_bytes: int = 4_000_000) -> int:
        def run(connection: sqlite3.Connection) -> int:
            page_size = _pragma(connection, "page_size")
            before = _pragma(connection, "page_count")
            if _pragma(connection, "freelist_count"):
                # one step frees one page: the script runs them all without coming back to Python
                connection.executescript(f"PRAGMA incremental_vacuum({max(1, max_bytes // page_size)})")
            # the file shrinks when the log is carried over; what a reader still needs stays for the next time
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            return (before - _pragma(connection, "page_count")) * page_size

        return await self._writer.run(run, alone=True)

    async def sizes(self) -> SizeReport:
        def read(connection: sqlite3.Connection) -> SizeReport:
            page_size = _pragma(connection, "page_size")
            free = _pragma(connection, "freelist_count") * page_size
            rows = connection.execute(_SIZES).fetchall()
            return SizeReport(self._file_bytes(), free, [WorkflowSize(*row) for row in rows])

        return await self._readers.run(read)

    async def integrity(self) -> list[str]:
        return await self._readers.run(problems)

    async def repair(self, *, now: float) -> list[str]:
        return await self._writer.run(lambda connection: repair(connection, now))

    async def backup(self, target: str) -> int:
        return await self._readers.run(lambda connection: _backup(connection, Path(target)))

    def _file_bytes(self) -> int:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


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
SELECT EXISTS (SELECT 1 FROM idempotency_keys WHERE owner IS NULL AND used_at < :used)
  OR EXISTS (SELECT 1 FROM fires WHERE fired_at < :fired)
"""
_FORGET_USED = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
  SELECT scope, key FROM idempotency_keys WHERE owner IS NULL AND used_at < :used LIMIT :batch)
"""
_FORGET_FIRED = """
DELETE FROM fires WHERE (binding_id, key) IN (
  SELECT binding_id, key FROM fires WHERE fired_at < :fired LIMIT :batch)
"""
_IDS = """
SELECT json_group_array(id) FROM executions
  WHERE n IN (SELECT value FROM json_each(?)) AND finished_at IS NOT NULL
"""
_SIZES = """
SELECT workflow_id, count(*), sum(last_seq), sum(
    coalesce(length(trigger), 0) + coalesce(length(input), 0) + coalesce(length(output), 0) + coalesce(length(error), 0)
    + (SELECT coalesce(sum(length(body)), 0) FROM events WHERE execution_id = id)
    + (SELECT coalesce(sum(length(body)), 0) FROM payloads WHERE execution_id = id)) AS bytes
  FROM executions GROUP BY workflow_id ORDER BY bytes DESC, workflow_id
"""
