"""Partitions of what executions leave behind: one a week for events, payloads and items.

The id of an execution begins with its time, so a week is a range of ids. Retention then drops a week of which little
is kept, instead of deleting its rows one by one; what is kept of it moves to the default partitions first. These also
take what no other partition is for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aicflow.ports import RetentionRule, StoreUnavailable, micros

from aicflow_postgres.database import Connection, Database, fetch, send

_logger = logging.getLogger("aicflow.postgres")
TABLES: Final = ("events", "payloads", "items")
_WEEK: Final = 604_800
_LONGEST: Final = 600.0
_AHEAD: Final = 4
_DAY: Final = 86_400.0
_MOST_MOVED: Final = 1_000
"""Executions that are kept of a week that is dropped, most: they are moved in one transaction."""
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Week:
    """The ids of one week: `first` and all above it, up to `past`."""

    number: int

    @property
    def name(self) -> str:
        return datetime.fromtimestamp(self.number * _WEEK, UTC).strftime("%Y%m%d")

    @property
    def first(self) -> str:
        milliseconds = self.number * _WEEK * 1000
        return "ex_" + "".join(_LETTERS[milliseconds >> shift & 31] for shift in range(45, -1, -5))

    @property
    def past(self) -> str:
        return Week(self.number + 1).first

    @property
    def ends_at(self) -> float:
        return (self.number + 1.0) * _WEEK


class Partitions:
    """The weeks that there are. Making and dropping one takes short locks: who cannot have them tries again later."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make_ahead(self) -> None:
        """Make the partitions of this week and the next ones. Until they are there, the default ones do."""
        [(now,)] = await self._database.rows("SELECT extract(epoch FROM clock_timestamp())::bigint")
        there = await self._there()
        for number in range(now // _WEEK, now // _WEEK + _AHEAD + 1):
            if Week(number) not in there:
                try:
                    await self._database.write(partial(_make, Week(number)))
                except StoreUnavailable as error:
                    _logger.info("The partitions of a coming week are made later: %s", error)
                    return

    async def close(self, rules: Sequence[RetentionRule], *, now: float) -> None:
        """Mark the weeks of which the rules keep little by age: what they do not keep goes when the week is dropped."""
        ages = {rule.status: rule.max_age for rule in rules if rule.max_age is not None}
        if not ages:
            return
        outdated, values = [], list[Any]()
        for status, age in ages.items():
            outdated.append("status = %b AND created_at <= %b AND finished_at <= %b")
            values += [status, micros(now - age), micros(now - age)]
        old = f"coalesce({' OR '.join(f'({one})' for one in outdated)}, false)"
        closing = {first for first, _ in await self._database.rows(_CLOSING)}
        for week in await self._there():
            if week.first in closing or week.ends_at + _DAY > now or week.ends_at > now - min(ages.values()):
                continue
            of = (week.first, week.past)
            if await self._database.rows(f"{_OF_WEEK} AND NOT {old} OFFSET {_MOST_MOVED} LIMIT 1", *of, *values):
                continue
            counts = f"SELECT count(*), count(*) FILTER (WHERE {old}) FROM ({_OF_WEEK}) AS e"  # noqa: S608
            [(total, going)] = await self._database.rows(counts, *values, *of)
            if going and (total - going) * 10 <= going:
                await self._database.rows(_CLOSE, *of)

    async def drop(self, *, now: float) -> int:
        """Drop the weeks that are marked, and those of which nothing is left; returns how many."""
        closing = {first for first, _ in await self._database.rows(_CLOSING)}
        dropped = 0
        for week in await self._there():
            if week.ends_at + _DAY > now:
                continue
            if week.first in closing or not await self._database.rows(f"{_OF_WEEK} LIMIT 1", week.first, week.past):
                try:
                    dropped += await self._database.write(partial(_drop, week), timeout=_LONGEST)
                except StoreUnavailable as error:
                    _logger.info("The partitions of the week %s are dropped later: %s", week.name, error)
        return dropped

    async def _there(self) -> list[Week]:
        """Those that all tables have: they are made and dropped together."""
        found = []
        for (name,) in await self._database.rows(_NAMES):
            day = datetime.strptime(name.removeprefix("events_"), "%Y%m%d").replace(tzinfo=UTC)
            found.append(Week(int(day.timestamp()) // _WEEK))
        return found


async def in_closing_weeks(connection: Connection, ids: Collection[str]) -> frozenset[str]:
    """Those of the executions whose events, payloads and items go with their week."""
    return frozenset(id for (id,) in await fetch(connection, _IN_CLOSING, list(ids)))


async def _make(week: Week, connection: Connection) -> None:
    await send(connection, _BEGIN)
    if await fetch(connection, "SELECT 1 WHERE to_regclass(%b) IS NOT NULL", f"events_{week.name}"):
        return
    for table in TABLES:
        part, of = f"{table}_{week.name}", f"FROM ('{week.first}') TO ('{week.past}')"
        await send(connection, f"CREATE TABLE {part} (LIKE {table} INCLUDING ALL)")
        await send(connection, f"LOCK TABLE {table}_rest IN ACCESS EXCLUSIVE MODE")
        await send(connection, _GATHER.format(part=part, table=table), week.first, week.past)
        await send(connection, f"ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES {of}")


async def _drop(week: Week, connection: Connection) -> bool:
    await send(connection, _BEGIN)
    if not await fetch(connection, "SELECT 1 WHERE to_regclass(%b) IS NOT NULL", f"events_{week.name}"):
        return False
    await send(connection, f"LOCK TABLE {', '.join(TABLES)} IN ACCESS EXCLUSIVE MODE")
    # waits for who is removing some of them: their rows here would stay behind for good
    rows = await fetch(connection, f"{_OF_WEEK} LIMIT {_MOST_MOVED + 1} FOR KEY SHARE", week.first, week.past)
    kept = [row[0] for row in rows]
    await send(connection, "DELETE FROM closing_weeks WHERE first = %b", week.first)
    if len(kept) > _MOST_MOVED:
        # the rules keep more now than when it was marked: it stays, without what was removed from it
        for table in TABLES:
            await send(connection, _WITHOUT_EXECUTION.format(part=f"{table}_{week.name}"))
        return False
    for table in TABLES:
        part = f"{table}_{week.name}"
        await send(connection, f"ALTER TABLE {table} DETACH PARTITION {part}")
        if kept:
            move = f"INSERT INTO {table} SELECT * FROM {part} WHERE execution_id = ANY(%b::text[])"  # noqa: S608
            await send(connection, move, kept)
        await send(connection, f"DROP TABLE {part}")
    return True


# one at a time; and nobody waits long behind who waits for a lock here
_BEGIN: Final = """
SELECT set_config('lock_timeout', '2s', true), pg_advisory_xact_lock(hashtextextended('aicflow partitions', 0))
"""
_NAMES: Final = """
SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
  WHERE i.inhparent = to_regclass('events') AND c.relname <> 'events_rest' ORDER BY 1
"""
_GATHER: Final = """
WITH m AS (DELETE FROM {table}_rest WHERE execution_id >= %b AND execution_id < %b RETURNING *)
INSERT INTO {part} SELECT * FROM m
"""
_OF_WEEK: Final = "SELECT id, status, created_at, finished_at FROM executions WHERE id >= %b AND id < %b"
_WITHOUT_EXECUTION: Final = """
DELETE FROM {part} AS p WHERE NOT EXISTS (SELECT 1 FROM executions WHERE id = p.execution_id)
"""
_CLOSING: Final = "SELECT first, past FROM closing_weeks"
_CLOSE: Final = "INSERT INTO closing_weeks VALUES (%b, %b) ON CONFLICT DO NOTHING"
_IN_CLOSING: Final = """
SELECT id FROM unnest(%b::text[]) AS a(id) JOIN closing_weeks AS c ON a.id >= c.first AND a.id < c.past
"""
