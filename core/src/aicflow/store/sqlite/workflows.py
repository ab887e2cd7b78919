"""Workflows and their versions on SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aicflow.kernel.errors import Conflict, NotFound, StoreUnavailable
from aicflow.kernel.ports.executions import Idempotency, Labels, Page, WorkflowLimit
from aicflow.kernel.ports.workflows import WorkflowRecord, WorkflowVersion
from aicflow.kernel.values import dumps, loads
from aicflow.store.authors import author
from aicflow.store.checks import check_limit
from aicflow.store.cursors import make_cursor, read_cursor
from aicflow.store.instants import micros, seconds
from aicflow.store.sqlite.idempotency import add_key, check_key
from aicflow.store.sqlite.lock import FileLock
from aicflow.store.sqlite.part import Part, reads, writes
from aicflow.store.sqlite.queries import HAS_LABELS, IS_WITHIN, limit_values
from aicflow.store.sqlite.readers import Readers
from aicflow.store.sqlite.writer import Writer

_LOOK_EVERY: Final = 0.02
_COLUMNS: Final = "w.id, w.name, w.description, w.version, w.revision, w.enabled, w.created_at, w.updated_at, w.labels"
_WITH_DOCUMENT: Final = (
    f"SELECT {_COLUMNS}, v.document FROM workflows AS w"  # noqa: S608
    " JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.version"
)


class SQLiteWorkflows(Part):
    """Workflows. A version, once made, is never written again. `lock` is what hosts share that share the file."""

    def __init__(self, writer: Writer, readers: Readers, lock: FileLock | None) -> None:
        super().__init__(writer, readers)
        self._lock = lock

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        if self._lock is None:
            yield
            return
        while True:
            try:
                self._lock.acquire()
                break
            except StoreUnavailable:
                await asyncio.sleep(_LOOK_EVERY)
        try:
            yield
        finally:
            self._lock.release()

    @writes
    def create(
        self,
        connection: sqlite3.Connection,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
    ) -> WorkflowRecord:
        text = dumps(document).decode()
        check_key(connection, idempotency)
        if connection.execute("SELECT 1 FROM workflows WHERE id = ?", (workflow_id,)).fetchone():
            raise Conflict(f"Workflow {workflow_id!r} exists already.")
        version = _add_version(connection, workflow_id, now, text)
        connection.execute(
            "INSERT INTO workflows (id, name, folded_name, description, labels, version, revision, enabled,"
            " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (workflow_id, *_names(workflow_id, document), version, enabled, micros(now), micros(now)),
        )
        add_key(connection, idempotency, workflow_id, now)
        return _get(connection, workflow_id)

    @writes
    def update(
        self,
        connection: sqlite3.Connection,
        workflow_id: str,
        *,
        now: float,
        document: dict[str, Any] | None = None,
        enabled: bool | None = None,
        expected_revision: int | None = None,
    ) -> WorkflowRecord:
        text = None if document is None else dumps(document).decode()
        old = _get(connection, workflow_id)
        _check_revision(old, expected_revision)
        # compared as values: the order of keys is no difference
        changed = text is not None and loads(text) != old.document
        if not changed and enabled in (None, old.enabled):
            return old
        version = old.version
        if changed:
            assert document is not None
            assert text is not None
            draft = _newest_draft(connection, old, loads(text))
            version = draft or _add_version(connection, workflow_id, now, text)
            connection.execute(
                "UPDATE workflows SET name = ?, folded_name = ?, description = ?, labels = ? WHERE id = ?",
                (*_names(workflow_id, document), workflow_id),
            )
        connection.execute(
            "UPDATE workflows SET version = ?, enabled = ?, revision = revision + 1, updated_at = ? WHERE id = ?",
            (version, old.enabled if enabled is None else enabled, micros(now), workflow_id),
        )
        return _get(connection, workflow_id)

    @writes
    def delete(self, connection: sqlite3.Connection, workflow_id: str, *, expected_revision: int | None = None) -> None:
        _check_revision(_get(connection, workflow_id), expected_revision)
        bindings = (f"{workflow_id}:", f"{workflow_id};")  # ';' follows ':'
        connection.execute("DELETE FROM triggers WHERE binding_id >= ? AND binding_id < ?", bindings)
        connection.execute("DELETE FROM deliveries WHERE binding_id >= ? AND binding_id < ?", bindings)
        connection.execute("DELETE FROM state WHERE workflow_id = ?", (workflow_id,))
        connection.execute("DELETE FROM workflows WHERE id = ?", (workflow_id,))
        forget_versions(connection, [workflow_id])

    @reads
    def get(self, connection: sqlite3.Connection, workflow_id: str) -> WorkflowRecord:
        return _get(connection, workflow_id)

    async def version(self, workflow_id: str, version: int) -> WorkflowVersion:
        rows = await self.rows(
            "SELECT created_at, document, created_by FROM workflow_versions WHERE workflow_id = ? AND version = ?",
            workflow_id,
            version,
        )
        if not rows:
            raise NotFound("workflow version", f"{workflow_id}@{version}")
        return WorkflowVersion(workflow_id, version, seconds(rows[0][0]), loads(rows[0][1]), rows[0][2])

    @writes
    def add_draft(
        self,
        connection: sqlite3.Connection,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        idempotency: Idempotency | None = None,
    ) -> WorkflowVersion:
        text = dumps(document).decode()
        check_key(connection, idempotency)
        _get(connection, workflow_id)
        version = _add_version(connection, workflow_id, now, text)
        add_key(connection, idempotency, str(version), now)
        return WorkflowVersion(workflow_id, version, now, loads(text), author())

    async def versions(self, workflow_id: str, *, limit: int, cursor: str | None = None) -> Page[WorkflowVersion]:
        check_limit(limit)
        before = read_cursor("versions", cursor, int)[0] if cursor is not None else 2**62

        def read(connection: sqlite3.Connection) -> list[Any]:
            if not connection.execute("SELECT 1 FROM workflows WHERE id = ?", (workflow_id,)).fetchone():
                raise NotFound("workflow", workflow_id)
            return connection.execute(
                "SELECT version, created_at, created_by FROM workflow_versions WHERE workflow_id = ? AND version < ?"
                " ORDER BY version DESC LIMIT ?",
                (workflow_id, before, limit + 1),
            ).fetchall()

        rows = await self.readers.run(read)
        items = [WorkflowVersion(workflow_id, version, seconds(at), created_by=by) for version, at, by in rows[:limit]]
        return Page(items, make_cursor("versions", items[-1].version) if len(rows) > limit else None)

    async def is_within(
        self, within: WorkflowLimit, *, workflow_id: str | None = None, execution_id: str | None = None
    ) -> bool:
        values = {"workflow_id": workflow_id, "execution_id": execution_id, **limit_values(within)}
        return bool(await self.readers.run(lambda connection: connection.execute(_IS_WITHIN, values).fetchall()))

    async def active(self) -> list[WorkflowRecord]:
        return [_record(row) for row in await self.rows(f"{_WITH_DOCUMENT} WHERE w.enabled ORDER BY w.n")]

    # last in the class, so that `list` means the type everywhere above
    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        name: str | None = None,
        enabled: bool | None = None,
        labels: Labels = (),
        within: WorkflowLimit | None = None,
    ) -> Page[WorkflowRecord]:
        check_limit(limit)
        created_at, n = read_cursor("workflows", cursor, int, int) if cursor is not None else (2**62, 0)
        values = {
            "created_at": created_at,
            "n": n,
            "name": None if name is None else name.casefold(),
            "enabled": enabled,
            "labels": dumps(labels).decode(),
            "limit": limit + 1,
            **limit_values(within),
        }
        rows = await self.readers.run(lambda connection: connection.execute(_LIST, values).fetchall())
        last = rows[limit - 1] if len(rows) > limit else None
        items = [_record(row[1:]) for row in rows[:limit]]
        return Page(items, make_cursor("workflows", last[7], last[0]) if last else None)


def forget_versions(connection: sqlite3.Connection, workflow_ids: list[str]) -> None:
    """Remove the versions of those workflows that are deleted and have no executions left."""
    connection.execute(_FORGET_VERSIONS, (dumps(workflow_ids).decode(),))


def _add_version(connection: sqlite3.Connection, workflow_id: str, now: float, text: str) -> int:
    # after drafts, and after versions of a deleted workflow of this name that executions still refer to
    version: int = connection.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM workflow_versions WHERE workflow_id = ?", (workflow_id,)
    ).fetchone()[0]
    connection.execute(
        "INSERT INTO workflow_versions (workflow_id, version, created_at, document, created_by) VALUES (?, ?, ?, ?, ?)",
        (workflow_id, version, micros(now), text, author()),
    )
    return version


def _newest_draft(connection: sqlite3.Connection, record: WorkflowRecord, document: Any) -> int | None:
    """The newest version, when it is a draft of this document: saving it makes it the current one."""
    row = connection.execute(
        "SELECT version, document FROM workflow_versions WHERE workflow_id = ? AND version > ?"
        " ORDER BY version DESC LIMIT 1",
        (record.id, record.version),
    ).fetchone()
    return row[0] if row is not None and loads(row[1]) == document else None


def _get(connection: sqlite3.Connection, workflow_id: str) -> WorkflowRecord:
    row = connection.execute(f"{_WITH_DOCUMENT} WHERE w.id = ?", (workflow_id,)).fetchone()
    if row is None:
        raise NotFound("workflow", workflow_id)
    return _record(row)


def _record(row: tuple[Any, ...]) -> WorkflowRecord:
    id, name, description, version, revision, enabled, created_at, updated_at, labels, *document = row
    return WorkflowRecord(
        id,
        name,
        description,
        version,
        revision,
        bool(enabled),
        seconds(created_at),
        seconds(updated_at),
        loads(document[0]) if document else {},
        loads(labels),
    )


def _names(workflow_id: str, document: dict[str, Any]) -> tuple[str, str, str | None, str]:
    name = str(document.get("name") or workflow_id)
    return name, name.casefold(), document.get("description"), dumps(document.get("labels") or {}).decode()


def _check_revision(record: WorkflowRecord, expected: int | None) -> None:
    if expected is not None and expected != record.revision:
        raise Conflict(
            f"Workflow {record.id!r} is at revision {record.revision}, not {expected}: it was changed meanwhile.",
            code="revision",
            hint="Read it again, apply your change to what it is now, and save that.",
        )


_LIST = f"""
SELECT w.n, {_COLUMNS} FROM workflows AS w
  WHERE (w.created_at, w.n) < (:created_at, :n) AND (:name IS NULL OR instr(w.folded_name, :name))
    AND (:enabled IS NULL OR w.enabled = :enabled) AND {HAS_LABELS} AND {IS_WITHIN}
  ORDER BY w.created_at DESC, w.n DESC LIMIT :limit
"""  # noqa: S608
_IS_WITHIN = f"""
SELECT 1 FROM (SELECT coalesce(:workflow_id, (SELECT workflow_id FROM executions WHERE id = :execution_id)) AS id) AS c
  LEFT JOIN workflows AS w ON w.id = c.id WHERE {IS_WITHIN.replace("w.id", "c.id")}
"""  # noqa: S608
_FORGET_VERSIONS = """
DELETE FROM workflow_versions WHERE workflow_id IN (SELECT value FROM json_each(?))
  AND NOT EXISTS (SELECT 1 FROM workflows AS w WHERE w.id = workflow_versions.workflow_id)
  AND NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.workflow_id = workflow_versions.workflow_id)
"""
