"""Removing the events, or the payloads, of executions that are kept themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.values import dumps, loads
from aicflow.removal import LATEST_END, OWN_PAYLOADS, PART_BITS, ExecutionPart, lost_events, without_values
from aicflow.store.instants import micros, now
from aicflow.store.sqlite.event_rows import pack, unpack
from aicflow.store.sqlite.part import Part, reads, writes
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_ROWS = 200

type _Place = tuple[str, int]
type _Body = tuple[bytes, str, int]


class SQLiteParts(Part):
    """Events of what has ended do not change any more, so they are read and made anew beside the writer."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        super().__init__(writer, readers)
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
    def _remove_events(self, connection: sqlite3.Connection, ids: Sequence[str]) -> None:
        wanted = dumps(ids).decode()
        for table in ("events", "items"):
            connection.execute(f"DELETE FROM {table} WHERE execution_id IN ({_EACH})", (wanted,))  # noqa: S608
        connection.execute(_FORGET_OUTPUTS, (wanted, *OWN_PAYLOADS))
        _note(connection, "events", wanted)

    async def _remove_values(self, ids: Sequence[str]) -> None:
        wanted, place = dumps(ids).decode(), ("", 0)
        while rows := await self._bodies(wanted, place):
            place = rows[-1][0]
            if changed := [body for _, body in rows if body is not None]:
                await self._rewrite(changed)
        await self._forget_values(wanted)

    @reads
    def _bodies(
        self, connection: sqlite3.Connection, wanted: str, place: _Place
    ) -> Sequence[tuple[_Place, _Body | None]]:
        """Some rows of events after a place, each with its body without values if that is another one."""
        found: list[tuple[_Place, _Body | None]] = []
        for id, first_seq, last_seq, body in connection.execute(_EVENTS, (wanted, *place, _ROWS)).fetchall():
            try:
                events = unpack(id, first_seq, last_seq, body)
                bare = without_values(events)
            except EventsDamaged:
                # what cannot be read may hold values nevertheless
                events, bare = [], lost_events(id, first_seq, last_seq, now(None))
            found.append(((id, first_seq), (pack(id, bare), id, first_seq) if bare != events else None))
        return found

    @writes
    def _rewrite(self, connection: sqlite3.Connection, bodies: Sequence[_Body]) -> None:
        connection.executemany("UPDATE events SET body = ? WHERE execution_id = ? AND first_seq = ?", bodies)

    @writes
    def _forget_values(self, connection: sqlite3.Connection, wanted: str) -> None:
        for table in ("payloads", "deliveries", "file_holds"):
            connection.execute(f"DELETE FROM {table} WHERE execution_id IN ({_EACH})", (wanted,))  # noqa: S608
        connection.execute(f"UPDATE items SET key = NULL, output = NULL WHERE execution_id IN ({_EACH})", (wanted,))  # noqa: S608
        triggers = []
        for id, trigger in connection.execute(f"SELECT id, trigger FROM executions WHERE id IN ({_EACH})", (wanted,)):  # noqa: S608
            known = loads(trigger) if trigger else {}
            if known.pop("payload", None) is not None:
                triggers.append((dumps(known), id))
        connection.executemany("UPDATE executions SET trigger = ? WHERE id = ?", triggers)
        connection.execute(f"UPDATE executions SET input = NULL, output = NULL WHERE id IN ({_EACH})", (wanted,))  # noqa: S608
        _note(connection, "payloads", wanted)


def _note(connection: sqlite3.Connection, part: ExecutionPart, wanted: str) -> None:
    connection.execute(f"UPDATE executions SET removed = removed | ? WHERE id IN ({_EACH})", (PART_BITS[part], wanted))  # noqa: S608


_EACH = "SELECT value FROM json_each(?)"
_WITH_PART = """
SELECT id, finished_at FROM executions INDEXED BY executions_by_end
  WHERE finished_at IS NOT NULL AND finished_at >= ? AND finished_at < ? AND removed & ? = 0
  ORDER BY finished_at LIMIT ?
"""
_FORGET_OUTPUTS = f"DELETE FROM payloads WHERE execution_id IN ({_EACH}) AND name NOT IN (?, ?, ?)"  # noqa: S608
_EVENTS = f"""
SELECT execution_id, first_seq, last_seq, body FROM events
  WHERE execution_id IN ({_EACH}) AND (execution_id, first_seq) > (?, ?) ORDER BY execution_id, first_seq LIMIT ?
"""  # noqa: S608
