"""Housekeeping on PostgreSQL: retention, sizes, integrity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aicflow.ports import TERMINAL_STATUSES, RetentionRule, SizeReport, StoreUnavailable, WorkflowSize, loads, micros

from aicflow_postgres.database import NOW, Connection, Database, changed, fetch, send, writes
from aicflow_postgres.partitions import TABLES, Partitions, in_closing_weeks
from aicflow_postgres.parts import RELEASE_FILES, PostgresParts, forget_unused
from aicflow_postgres.workflows import forget_versions

_MOST_PROBLEMS: Final = 100
_CHUNK: Final = 500
_PARTS: Final = ("answers", "subscriptions", "receipts", "deliveries", "subjects")


class PostgresMaintenance(PostgresParts):
    """Housekeeping in small batches. Several hosts may do it at once: each passes over what another has in hand."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.partitions: Final = Partitions(database)
        self._round: float | None = None

    async def removable(self, rules: Sequence[RetentionRule], *, now: float) -> dict[str, int]:
        found = {}
        async with self.database.connection() as connection:
            for workflow_id in await _workflows(connection):
                if numbers := await _outdated(connection, workflow_id, rules, now, None):
                    found[workflow_id] = len(numbers)
        return found

    async def remove(self, rules: Sequence[RetentionRule], *, now: float, batch: int = 200) -> int:
        if now != self._round:  # once a round, all batches of which have one instant
            await self.partitions.close(rules, now=now)
            self._round = now
        ages = [rule.max_age for rule in rules if rule.status == "failed" and rule.max_age is not None]
        if ages:
            await self.rows(_FORGET_REFUSED, micros(now - min(ages)), batch * 10)
        found: list[int] = []
        workflow_ids: list[str] = []
        async with self.database.connection() as connection:
            for workflow_id in await _workflows(connection):
                if len(found) >= batch:
                    break
                numbers = await _outdated(connection, workflow_id, rules, now, batch - len(found))
                if numbers:
                    found += numbers
                    workflow_ids.append(workflow_id)
        # all of them may be in another host's hands, or in those of one that was killed a moment ago
        if found and (removed := await self._remove(found, workflow_ids)):
            return removed
        await self.partitions.drop(now=now)
        self._round = None
        return 0

    @writes
    async def _remove(self, connection: Connection, numbers: Sequence[int], workflow_ids: list[str]) -> int:
        removed = await remove_executions(connection, "n = ANY(%b::bigint[])", list(numbers), with_week=True)
        await forget_versions(connection, workflow_ids)
        await forget_unused(connection)
        return removed

    async def forget_keys(self, *, used_before: float, fired_before: float, batch: int = 1000) -> int:
        await self.partitions.make_ahead()  # here, for every round of housekeeping comes by, also one without rules
        await self.rows(_FORGET_OUTCOMES)
        used = await self.rows(_FORGET_USED, micros(used_before), batch)
        return len(used) + len(await self.rows(_FORGET_FIRED, micros(fired_before), batch))

    async def forget_deliveries(self, *, received_before: float, batch: int = 1000) -> int:
        return len(await self.rows(_FORGET_DELIVERIES, micros(received_before), batch))

    async def reclaim_space(self, max_bytes: int = 4_000_000) -> int:
        """Nothing: vacuum does it."""
        return 0

    async def sizes(self) -> SizeReport:
        [(size,)] = await self.rows("SELECT pg_database_size(current_database())")
        return SizeReport(size, 0, [WorkflowSize(id, n, int(seq), int(b)) for id, n, seq, b in await self.rows(_SIZES)])

    async def integrity(self) -> list[str]:
        found: list[str] = []
        for sql, sentence in _CHECKS:
            found += [sentence.format(*row) for row in await self.rows(sql, _MOST_PROBLEMS)]
        place: tuple[str, int] = ("", 0)
        while len(found) < _MOST_PROBLEMS:
            rows = await self.rows(_BATCHES, *place, _CHUNK)
            if not rows:
                break
            for execution_id, first_seq, last_seq, body, status, is_last in rows:
                found += _check_batch(execution_id, first_seq, last_seq, body, status if is_last else None)
            place = rows[-1][0], rows[-1][1]
        return found[:_MOST_PROBLEMS]

    async def repair(self, *, now: float) -> list[str]:
        raise StoreUnavailable(
            "A PostgreSQL database is not repaired by AIC Flow.",
            hint="Restore a backup; `pg_amcheck` says what is damaged.",
        )

    async def backup(self, target: str) -> int:
        raise StoreUnavailable(
            "A PostgreSQL database is copied by its own tools.",
            hint="Use `pg_dump --format=custom`, or a base backup with continuous archiving.",
        )


async def remove_executions(
    connection: Connection, condition: str, wanted: Sequence[Any], *, with_week: bool = False
) -> int:
    """Remove those of the executions that have ended, with all that belongs to them; returns how many. `with_week`
    leaves what goes with its week when that is dropped."""
    ids = [id for (id,) in await fetch(connection, _ENDED.format(condition), wanted)]
    if not ids:
        return 0
    later = await in_closing_weeks(connection, ids) if with_week else frozenset[str]()
    if at_once := [id for id in ids if id not in later]:
        for table in TABLES:
            await send(connection, f"DELETE FROM {table} WHERE execution_id = ANY(%b::text[])", at_once)  # noqa: S608
    for table in _PARTS:
        await send(connection, f"DELETE FROM {table} WHERE execution_id = ANY(%b::text[])", ids)  # noqa: S608
    await send(connection, RELEASE_FILES, ids)
    await send(connection, "DELETE FROM idempotency_keys WHERE owner = ANY(%b::text[])", ids)
    return await changed(connection, "DELETE FROM executions WHERE id = ANY(%b::text[])", ids)


async def _workflows(connection: Connection) -> list[str]:
    return [id for (id,) in await fetch(connection, _WORKFLOWS)]


async def _outdated(
    connection: Connection, workflow_id: str, rules: Sequence[RetentionRule], now: float, limit: int | None
) -> list[int]:
    numbers: dict[int, None] = {}
    for rule in rules:
        if rule.status not in TERMINAL_STATUSES:
            continue
        of = (workflow_id, rule.status)
        if rule.max_age is not None:
            cutoff = micros(now - rule.max_age)
            found = await fetch(connection, _TOO_OLD, *of, cutoff, cutoff, limit)
            numbers.update(dict.fromkeys(n for (n,) in found))
        if rule.max_count is not None and (first := await fetch(connection, _FIRST_TOO_MANY, *of, rule.max_count)):
            found = await fetch(connection, _TOO_MANY, *of, *first[0], limit)
            numbers.update(dict.fromkeys(n for (n,) in found))
    return list(numbers)[:limit]


def _check_batch(execution_id: str, first_seq: int, last_seq: int, body: bytes, status: str | None) -> list[str]:
    where = f"Execution {execution_id}, events {first_seq} to {last_seq}"
    try:
        events: list[Any] = [loads(line) for line in bytes(body).split(b"\n")]
        if [event["seq"] for event in events] != list(range(first_seq, last_seq + 1)):
            raise ValueError
        last_type = str(events[-1]["type"])
    except (ValueError, KeyError, TypeError):
        return [f"{where}: unreadable."]
    ended = last_type.removeprefix("execution.")
    ended = ended if ended in TERMINAL_STATUSES and last_type != ended else ""
    if status is not None and ended != (status if status in TERMINAL_STATUSES else ""):
        return [f"{where}: its status is {status}, but its last event is {last_type}."]
    return []


_WORKFLOWS = """
WITH RECURSIVE w(id) AS (
  SELECT min(workflow_id) FROM executions
  UNION ALL
  SELECT (SELECT min(workflow_id) FROM executions WHERE workflow_id > w.id) FROM w WHERE w.id IS NOT NULL)
SELECT id FROM w WHERE id IS NOT NULL
"""
_OF = "FROM executions WHERE workflow_id = %b AND status = %b AND finished_at IS NOT NULL"
_TOO_OLD = f"SELECT n {_OF} AND created_at <= %b AND finished_at <= %b ORDER BY created_at, n LIMIT %b::bigint"
_FIRST_TOO_MANY = f"SELECT created_at, n {_OF} ORDER BY created_at DESC, n DESC LIMIT 1 OFFSET %b"
_TOO_MANY = f"SELECT n {_OF} AND (created_at, n) <= (%b, %b) ORDER BY created_at, n LIMIT %b::bigint"
_ENDED = """
SELECT id FROM executions WHERE {} AND finished_at IS NOT NULL ORDER BY n FOR UPDATE SKIP LOCKED
"""
_FORGET_REFUSED = """
DELETE FROM deliveries WHERE n IN (
  SELECT n FROM deliveries WHERE execution_id IS NULL AND received_at <= %b LIMIT %b FOR UPDATE SKIP LOCKED)
"""
_FORGET_DELIVERIES = """
DELETE FROM deliveries WHERE n IN (
    SELECT n FROM deliveries WHERE received_at < %b LIMIT %b FOR UPDATE SKIP LOCKED)
  RETURNING 1
"""
_FORGET_USED = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
  SELECT scope, key FROM idempotency_keys WHERE owner IS NULL AND used_at < %b LIMIT %b FOR UPDATE SKIP LOCKED)
  RETURNING 1
"""
# longer than anybody tries again
_FORGET_OUTCOMES = f"DELETE FROM outcomes WHERE at < {NOW} - 3600000000"  # noqa: S608
_FORGET_FIRED = """
DELETE FROM fires WHERE (binding_id, key) IN (
  SELECT binding_id, key FROM fires WHERE fired_at < %b LIMIT %b FOR UPDATE SKIP LOCKED) RETURNING 1
"""
_SIZES = """
SELECT workflow_id, count(*), sum(last_seq), sum(
    coalesce(octet_length(trigger), 0) + coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0)
    + coalesce(octet_length(error), 0)
    + (SELECT coalesce(sum(octet_length(body)), 0) FROM events WHERE execution_id = e.id)
    + (SELECT coalesce(sum(octet_length(body)), 0) FROM stored WHERE execution_id = e.id)
    + (SELECT coalesce(sum(octet_length(output)), 0) FROM items WHERE execution_id = e.id)) AS bytes
  FROM executions AS e GROUP BY workflow_id ORDER BY bytes DESC, workflow_id
"""
_CHECKS: Final = (
    (
        """SELECT id, last_seq FROM executions AS e
             WHERE removed & 1::smallint = 0
               AND NOT EXISTS (SELECT 1 FROM events WHERE execution_id = e.id) LIMIT %b""",
        "Execution {0}: none of its {1} events is there.",
    ),
    (
        """SELECT * FROM (SELECT execution_id, first_seq, 1 + lag(last_seq, 1, 0) OVER (
             PARTITION BY execution_id ORDER BY first_seq) AS wanted FROM events) AS a
             WHERE first_seq <> wanted LIMIT %b""",
        "Execution {0}: event {2} should follow, but the next is {1}.",
    ),
    (
        """SELECT e.id, e.last_seq, v.last FROM executions AS e JOIN (
             SELECT execution_id, max(last_seq) AS last FROM events GROUP BY execution_id) AS v
             ON v.execution_id = e.id WHERE v.last <> e.last_seq LIMIT %b""",
        "Execution {0}: its row says {1} events, there are {2}.",
    ),
    (
        """SELECT DISTINCT execution_id FROM (SELECT execution_id FROM events
             UNION ALL SELECT execution_id FROM payloads
             UNION ALL SELECT execution_id FROM items UNION ALL SELECT execution_id FROM answers) AS o
             WHERE NOT EXISTS (SELECT 1 FROM executions WHERE id = o.execution_id)
               AND NOT EXISTS (SELECT 1 FROM closing_weeks WHERE o.execution_id >= first AND o.execution_id < past)
             LIMIT %b""",
        "Events or outputs of an execution {0} that does not exist.",
    ),
    (
        """SELECT w.id, w.version FROM workflows AS w WHERE NOT EXISTS (
             SELECT 1 FROM workflow_versions WHERE workflow_id = w.id AND version = w.version) LIMIT %b""",
        "Workflow {0}: its current version {1} is missing.",
    ),
)
_BATCHES = """
SELECT v.execution_id, v.first_seq, v.last_seq, v.body, e.status, v.last_seq = e.last_seq
  FROM events AS v LEFT JOIN executions AS e ON e.id = v.execution_id
  WHERE (v.execution_id, v.first_seq) > (%b, %b) ORDER BY v.execution_id, v.first_seq LIMIT %b
"""
