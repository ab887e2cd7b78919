"""Data of one person on PostgreSQL: what holds it, and removing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aicflow.ports import DataSubject, Holding, HoldingKind, dumps

from aicflow_postgres.database import Connection, Part, changed, fetch, send, writes
from aicflow_postgres.maintenance import remove_executions
from aicflow_postgres.queries import has_labels
from aicflow_postgres.values import bytes_of, text_of


class PostgresSubjects(Part):
    """Data of one person."""

    async def find(self, subject: DataSubject) -> list[Holding]:
        async with self.database.connection() as connection:
            labelled, values = has_labels("w.id", subject.labels) if subject.labels else ("false", [])
            rows = await fetch(connection, _EXECUTIONS.format(labelled), subject.hash, *values)
            found = [Holding("execution", id, status) for id, status in reversed(rows)]
            ids = [one.id for one in found]
            found += [Holding("file", sha256) for (sha256,) in await fetch(connection, _FILES, ids, ids)]
            if subject.text:
                text, json = bytes_of(subject.text), dumps(subject.text)
                for kind, sql, given in _OTHERS:
                    values = [json if one == "json" else text for one in given]
                    for (id,) in await fetch(connection, sql, *values):
                        found.append(Holding(kind, text_of(id) or ""))
            return found

    @writes
    async def erase(self, connection: Connection, holdings: Sequence[Holding]) -> int:
        by_kind: dict[HoldingKind, list[str]] = {}
        for one in holdings:
            by_kind.setdefault(one.kind, []).append(one.id)
        removed = await remove_executions(connection, "id = ANY(%b::text[])", by_kind.get("execution", []))
        for kind, sql in _ERASE:
            if kind in by_kind:
                removed += await changed(connection, sql, [bytes_of(id) for id in by_kind[kind]])
        return removed

    async def purge(self, texts: Sequence[str], *, timeout: float = 30.0) -> list[str]:
        """Let the space of what was removed be used again. What stands in it until then cannot be looked at from
        here."""
        async with self.database.connection() as connection:
            await send(connection, f"VACUUM {_TABLES}")
        return [
            "PostgreSQL's own files, until they are written anew: pages (`VACUUM FULL` writes them anew), the"
            " write-ahead log, replicas, and backups"
        ]


_TABLES: Final = "executions, events, payloads, contents, items, deliveries, sent_events, state, files"
# executions come before what was made from them; reversed, those are erased first, so that what was cut short is found
# again from the ones that remain
_EXECUTIONS: Final = """
WITH RECURSIVE found(id, depth) AS (
  (SELECT execution_id, 0 FROM subjects WHERE hash = %b
   UNION SELECT e.id, 0 FROM workflows AS w JOIN executions AS e ON e.workflow_id = w.id WHERE {})
  UNION
  SELECT m.id, f.depth + 1 FROM found AS f CROSS JOIN LATERAL (
    SELECT id FROM executions WHERE parent_execution_id = f.id
    UNION ALL SELECT id FROM executions WHERE rerun_of = f.id
    UNION ALL SELECT result FROM idempotency_keys WHERE owner = f.id AND scope = 'on_failure') AS m)
SELECT e.id, e.status FROM executions AS e JOIN (SELECT id, max(depth) AS depth FROM found GROUP BY id) AS f USING (id)
  ORDER BY f.depth, e.n
"""
_FILES: Final = """
SELECT DISTINCT sha256 FROM file_holds AS h WHERE execution_id = ANY(%b::text[])
  AND NOT EXISTS (SELECT 1 FROM file_holds WHERE sha256 = h.sha256 AND execution_id <> ALL(%b::text[]))
"""
_SAME: Final = "lower(encode({}, 'escape')) = lower(encode(%b::bytea, 'escape'))"
_STATE: Final = "convert_to(workflow_id || '/' || key, 'UTF8')"
_OTHERS: Final[tuple[tuple[HoldingKind, str, tuple[str, ...]], ...]] = (
    (
        "delivery",
        "SELECT convert_to(id, 'UTF8') FROM deliveries WHERE execution_id IS NULL"  # noqa: S608
        f" AND (says(payload, %b::bytea) OR {_SAME.format('key')})",
        ("json", "text"),
    ),
    (
        "event",
        f"SELECT id FROM sent_events WHERE {_SAME.format('key')} OR says(body, %b::bytea)",  # noqa: S608
        ("text", "json"),
    ),
    (
        "state",
        f"SELECT {_STATE} FROM state WHERE says(convert_to(key, 'UTF8'), %b::bytea)",  # noqa: S608
        ("text",),
    ),
    (
        "key",
        "SELECT convert_to(scope || '/', 'UTF8') || key FROM idempotency_keys WHERE says(key, %b::bytea)"
        " UNION ALL SELECT convert_to(binding_id || '/', 'UTF8') || key FROM fires WHERE says(key, %b::bytea)",
        ("text", "text"),
    ),
    (
        "mention",
        "SELECT convert_to('state ' || workflow_id || '/' || key, 'UTF8') FROM state"
        " WHERE says(value, %b::bytea) AND NOT says(convert_to(key, 'UTF8'), %b::bytea)"
        " UNION ALL SELECT convert_to('workflow ' || workflow_id || ' version ' || version, 'UTF8')"
        " FROM workflow_versions WHERE says(document, %b::bytea)",
        ("json", "text", "json"),
    ),
)
_AMONG: Final = "= ANY(%b::bytea[])"
_ERASE: Final[tuple[tuple[HoldingKind, str], ...]] = (
    (
        "file",
        "UPDATE files SET expires_at = 0"  # noqa: S608
        f" WHERE executions = 0 AND expires_at > 0 AND convert_to(sha256, 'UTF8') {_AMONG}",
    ),
    ("delivery", f"DELETE FROM deliveries WHERE convert_to(id, 'UTF8') {_AMONG}"),  # noqa: S608
    ("event", f"DELETE FROM receipts WHERE event IN (SELECT n FROM sent_events WHERE id {_AMONG})"),  # noqa: S608
    ("event", f"DELETE FROM sent_events WHERE id {_AMONG}"),  # noqa: S608
    ("state", f"DELETE FROM state WHERE {_STATE} {_AMONG}"),  # noqa: S608
    ("key", f"DELETE FROM idempotency_keys WHERE convert_to(scope || '/', 'UTF8') || key {_AMONG}"),  # noqa: S608
    ("key", f"DELETE FROM fires WHERE convert_to(binding_id || '/', 'UTF8') || key {_AMONG}"),  # noqa: S608
)
