"""Removing the events, or the payloads, of executions that are kept themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aicflow.ports import (
    LATEST_END,
    OWN_PAYLOADS,
    PART_BITS,
    ExecutionPart,
    dumps,
    loads,
    lost_events,
    micros,
    now,
    without_values,
)

from aicflow_postgres.database import Connection, Database, Part, fetch, send, writes

_ROWS: Final = 200
_CHUNK: Final = 500

type _Body = tuple[bytes, str, int]


class PostgresParts(Part):
    """Events of what has ended do not change any more, so they are read and made anew outside of a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._done: dict[ExecutionPart, int] = {}
        """Ends before this instant need not be looked at again."""

    async def remove_part(self, part: ExecutionPart, *, ended_before: float, batch: int = 200) -> int:
        values = self._done.get(part, 0), micros(ended_before), PART_BITS[part], batch
        found = await self.rows(_WITH_PART, *values)
        last = found[-1][1] if len(found) == batch else micros(ended_before)
        ids = [id for id, _ in found]
        if ids:
            await (self._remove_events(ids) if part == "events" else self._remove_values(ids))
        self._done[part] = min(last, micros(ended_before - LATEST_END))
        return len(ids)

    @writes
    async def _remove_events(self, connection: Connection, wanted: Sequence[str]) -> None:
        ids = await _locked(connection, wanted)
        for table in ("events", "items"):
            await send(connection, f"DELETE FROM {table} WHERE execution_id = ANY(%b::text[])", ids)  # noqa: S608
        await send(connection, _FORGET_OUTPUTS, ids, list(OWN_PAYLOADS))
        await forget_unused(connection)
        await send(connection, _NOTE, PART_BITS["events"], ids)

    async def _remove_values(self, ids: Sequence[str]) -> None:
        place = ("", 0)
        while rows := await self.rows(_EVENTS, list(ids), *place, _ROWS):
            place = rows[-1][0], rows[-1][1]
            changed = [(bare, id, first) for id, first, last, body in rows if (bare := _bare(id, first, last, body))]
            if changed:
                await self._rewrite(changed)
        await self._forget_values(ids)

    @writes
    async def _rewrite(self, connection: Connection, bodies: Sequence[_Body]) -> None:
        await send(connection, _REWRITE, *(list(column) for column in zip(*bodies, strict=True)))

    @writes
    async def _forget_values(self, connection: Connection, wanted: Sequence[str]) -> None:
        ids = await _locked(connection, wanted)
        for table in ("payloads", "deliveries"):
            await send(connection, f"DELETE FROM {table} WHERE execution_id = ANY(%b::text[])", ids)  # noqa: S608
        await send(connection, RELEASE_FILES, ids)
        await send(connection, "UPDATE items SET key = NULL, output = NULL WHERE execution_id = ANY(%b::text[])", ids)
        await forget_unused(connection)
        triggers: tuple[list[bytes], list[str]] = ([], [])
        for id, trigger in await fetch(
            connection, "SELECT id, trigger FROM executions WHERE id = ANY(%b::text[])", ids
        ):
            known = loads(trigger) if trigger else {}
            if known.pop("payload", None) is not None:
                triggers[0].append(dumps(known))
                triggers[1].append(id)
        await send(connection, _RETRIGGER, *triggers)
        await send(connection, "UPDATE executions SET input = NULL, output = NULL WHERE id = ANY(%b::text[])", ids)
        await send(connection, _NOTE, PART_BITS["payloads"], ids)


def _bare(execution_id: str, first_seq: int, last_seq: int, body: bytes) -> bytes | None:
    """The body of a row of events without values; None when it has none."""
    lines = bytes(body).split(b"\n")
    try:
        bare = without_values(lines)
    except (ValueError, KeyError, TypeError, AttributeError):
        # what cannot be read may hold values nevertheless
        bare = lost_events(execution_id, first_seq, last_seq, now(None))
    return None if bare == lines else b"\n".join(bare)


async def _locked(connection: Connection, wanted: Sequence[str]) -> list[str]:
    """Those that are there and that nobody else has in hand; the others' turn comes."""
    sql = "SELECT id FROM executions WHERE id = ANY(%b::text[]) ORDER BY n FOR UPDATE SKIP LOCKED"
    return [id for (id,) in await fetch(connection, sql, list(wanted))]


async def forget_unused(connection: Connection) -> None:
    """Remove some large values that no payload has any more."""
    # those that somebody is about to use are locked, and stay
    if unused := [hash for (hash,) in await fetch(connection, _UNUSED, _CHUNK)]:
        await send(connection, _FORGET_CONTENTS, unused)


_WITH_PART = """
SELECT id, finished_at FROM executions
  WHERE finished_at IS NOT NULL AND finished_at >= %b AND finished_at < %b AND removed & %b::smallint = 0
  ORDER BY finished_at LIMIT %b
"""
_FORGET_OUTPUTS = "DELETE FROM payloads WHERE execution_id = ANY(%b::text[]) AND name <> ALL(%b::text[])"
_EVENTS = """
SELECT execution_id, first_seq, last_seq, body FROM events
  WHERE execution_id = ANY(%b::text[]) AND (execution_id, first_seq) > (%b, %b::int)
  ORDER BY execution_id, first_seq LIMIT %b
"""
_REWRITE = """
UPDATE events AS e SET body = r.body FROM unnest(%b::bytea[], %b::text[], %b::int[]) AS r(body, id, first_seq)
  WHERE e.execution_id = r.id AND e.first_seq = r.first_seq
"""
_RETRIGGER = """
UPDATE executions AS e SET trigger = r.trigger FROM unnest(%b::bytea[], %b::text[]) AS r(trigger, id) WHERE e.id = r.id
"""
_NOTE = "UPDATE executions SET removed = removed | %b::smallint WHERE id = ANY(%b::text[])"
_UNUSED = """
SELECT hash FROM contents AS c WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE hash = c.hash) LIMIT %b
  FOR UPDATE SKIP LOCKED
"""
_FORGET_CONTENTS = """
DELETE FROM contents AS c WHERE hash = ANY(%b::bytea[]) AND NOT EXISTS (SELECT 1 FROM payloads WHERE hash = c.hash)
"""
RELEASE_FILES = """
WITH h AS (DELETE FROM file_holds WHERE execution_id = ANY(%b::text[]) RETURNING sha256)
UPDATE files AS f SET executions = executions - h.many
  FROM (SELECT sha256, count(*) AS many FROM h GROUP BY sha256) AS h WHERE f.sha256 = h.sha256
"""
