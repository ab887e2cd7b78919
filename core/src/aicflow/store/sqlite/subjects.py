"""Data of one person on SQLite: what holds it, and making it unreadable."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from aicflow.kernel.ports.subjects import DataSubject, Holding, HoldingKind
from aicflow.kernel.values import dumps
from aicflow.store.search import files_with
from aicflow.store.sqlite.maintenance import remove_executions
from aicflow.store.sqlite.part import Part, reads, writes
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_PAUSE = 0.05


class SQLiteSubjects(Part):
    """Data of one person."""

    def __init__(self, writer: Writer, readers: Readers, path: Path) -> None:
        super().__init__(writer, readers)
        self._path = path

    @reads
    def find(self, connection: sqlite3.Connection, subject: DataSubject) -> list[Holding]:
        labels = dumps([[name, value] for name, value in subject.labels]).decode()
        rows = connection.execute(_EXECUTIONS, {"hash": subject.hash, "labels": labels}).fetchall()
        found = [Holding("execution", id, status) for id, status in reversed(rows)]
        ids = dumps([one.id for one in found]).decode()
        found += [Holding("file", sha256) for (sha256,) in connection.execute(_FILES, {"ids": ids}).fetchall()]
        if subject.text:
            values = {"text": subject.text, "json": dumps(subject.text).decode(), "ids": ids}
            for kind, sql in _OTHERS:
                found += [Holding(kind, id) for (id,) in connection.execute(sql, values).fetchall()]
        return found

    @writes
    def erase(self, connection: sqlite3.Connection, holdings: Sequence[Holding]) -> int:
        by_kind: dict[HoldingKind, list[str]] = {}
        for one in holdings:
            by_kind.setdefault(one.kind, []).append(one.id)
        removed = remove_executions(connection, by_kind.get("execution", []))
        for kind, sql in _ERASE:
            if kind in by_kind:
                removed += connection.execute(sql, {"ids": dumps(by_kind[kind]).decode()}).rowcount
        return removed

    async def purge(self, texts: Sequence[str], *, timeout: float = 30.0) -> list[str]:
        deadline, left = time.monotonic() + timeout, []
        while await self.writer.run(_truncate, alone=True):
            if time.monotonic() > deadline:
                left = ["the write-ahead log: another process reads the database; end it and erase again"]
                break
            await asyncio.sleep(_PAUSE)
        own = [self._path, self._path.with_name(self._path.name + "-wal")]
        return left + [str(path) for path in await asyncio.to_thread(files_with, own, texts)]


def _truncate(connection: sqlite3.Connection) -> bool:
    """Carry the log over and empty it; whether readers still need it."""
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return bool(busy)


# executions come before what was made from them; reversed, those are erased first, so that what was cut short is found
# again from the ones that remain
_EXECUTIONS = """
WITH RECURSIVE found(id, depth) AS (
  SELECT execution_id, 0 FROM subjects WHERE hash = :hash
  UNION
  SELECT e.id, 0 FROM workflows AS w JOIN executions AS e ON e.workflow_id = w.id
    WHERE json_array_length(:labels) > 0 AND NOT EXISTS (
      SELECT 1 FROM json_each(:labels) AS l WHERE NOT EXISTS (
        SELECT 1 FROM json_each(w.labels) AS mine
          WHERE mine.key = l.value ->> 0 AND (l.value ->> 1 IS NULL OR mine.value = l.value ->> 1)))
  UNION
  SELECT e.id, f.depth + 1 FROM found AS f JOIN executions AS e ON e.parent_execution_id = f.id
  UNION
  SELECT e.id, f.depth + 1 FROM found AS f JOIN executions AS e ON e.rerun_of = f.id
  UNION
  SELECT k.result, f.depth + 1 FROM found AS f JOIN idempotency_keys AS k ON k.owner = f.id
    WHERE k.scope = 'on_failure')
SELECT e.id, e.status FROM executions AS e JOIN (SELECT id, max(depth) AS depth FROM found GROUP BY id) AS f USING (id)
  ORDER BY f.depth, e.n
"""
_FILES = """
SELECT DISTINCT sha256 FROM file_holds AS h WHERE execution_id IN (SELECT value FROM json_each(:ids))
  AND NOT EXISTS (SELECT 1 FROM file_holds WHERE sha256 = h.sha256
    AND execution_id NOT IN (SELECT value FROM json_each(:ids)))
"""
_OTHERS: tuple[tuple[HoldingKind, str], ...] = (
    (
        "delivery",
        "SELECT id FROM deliveries WHERE execution_id IS NULL AND"
        " (instr(lower(payload), lower(:json)) OR lower(key) = lower(:text))",
    ),
    ("event", "SELECT id FROM sent_events WHERE lower(key) = lower(:text) OR instr(lower(body), lower(:json))"),
    ("state", "SELECT workflow_id || '/' || key FROM state WHERE instr(lower(key), lower(:text))"),
    (
        "key",
        "SELECT scope || '/' || key FROM idempotency_keys WHERE instr(lower(key), lower(:text))"
        " UNION ALL SELECT binding_id || '/' || key FROM fires WHERE instr(lower(key), lower(:text))",
    ),
    (
        "mention",
        "SELECT 'state ' || workflow_id || '/' || key FROM state"
        " WHERE instr(lower(value), lower(:json)) AND NOT instr(lower(key), lower(:text))"
        " UNION ALL SELECT 'workflow ' || workflow_id || ' version ' || version FROM workflow_versions"
        " WHERE instr(lower(document), lower(:json))",
    ),
)
_AMONG = "IN (SELECT value FROM json_each(:ids))"
_ERASE: tuple[tuple[HoldingKind, str], ...] = (
    ("file", f"UPDATE files SET expires_at = 0 WHERE executions = 0 AND expires_at > 0 AND sha256 {_AMONG}"),  # noqa: S608
    ("delivery", f"DELETE FROM deliveries WHERE id {_AMONG}"),  # noqa: S608
    ("event", f"DELETE FROM receipts WHERE event IN (SELECT n FROM sent_events WHERE id {_AMONG})"),  # noqa: S608
    ("event", f"DELETE FROM sent_events WHERE id {_AMONG}"),  # noqa: S608
    ("state", f"DELETE FROM state WHERE workflow_id || '/' || key {_AMONG}"),  # noqa: S608
    ("key", f"DELETE FROM idempotency_keys WHERE scope || '/' || key {_AMONG}"),  # noqa: S608
    ("key", f"DELETE FROM fires WHERE binding_id || '/' || key {_AMONG}"),  # noqa: S608
)
