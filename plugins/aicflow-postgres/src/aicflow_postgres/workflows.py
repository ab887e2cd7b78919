"""Workflows and their versions on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aicflow.ports import (
    Conflict,
    Idempotency,
    Labels,
    NotFound,
    Page,
    WorkflowLimit,
    WorkflowRecord,
    WorkflowVersion,
    author,
    check_limit,
    dumps,
    loads,
    make_cursor,
    micros,
    read_cursor,
    seconds,
)

from aicflow_postgres.database import Connection, Part, fetch, send, writes
from aicflow_postgres.idempotency import add_key, check_key
from aicflow_postgres.queries import has_labels, is_within
from aicflow_postgres.values import bytes_of, text_of

_COLUMNS: Final = "w.id, w.name, w.description, w.version, w.revision, w.enabled, w.created_at, w.updated_at, w.labels"
_WITH_DOCUMENT: Final = (
    f"SELECT {_COLUMNS}, v.document FROM workflows AS w"  # noqa: S608
    " JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.version"
)


class PostgresWorkflows(Part):
    """Workflows. A version, once made, is never written again."""

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        async with self.database.connection() as connection, connection.transaction():
            await send(connection, "SELECT pg_advisory_xact_lock(hashtextextended('aicflow workflows', 0))")
            yield

    @writes
    async def create(
        self,
        connection: Connection,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        enabled: bool = True,
        idempotency: Idempotency | None = None,
    ) -> WorkflowRecord:
        await check_key(connection, idempotency)
        await send(connection, _LOCK, workflow_id)
        if await fetch(connection, "SELECT 1 FROM workflows WHERE id = %b", workflow_id):
            raise Conflict(f"Workflow {workflow_id!r} exists already.")
        version = await _add_version(connection, workflow_id, now, dumps(document))
        names = _names(workflow_id, document)
        await send(connection, _CREATE, workflow_id, *names, version, enabled, micros(now), micros(now))
        await _set_labels(connection, workflow_id, document)
        await add_key(connection, idempotency, workflow_id, now)
        return await _get(connection, workflow_id)

    @writes
    async def update(
        self,
        connection: Connection,
        workflow_id: str,
        *,
        now: float,
        document: dict[str, Any] | None = None,
        enabled: bool | None = None,
        expected_revision: int | None = None,
    ) -> WorkflowRecord:
        await send(connection, _LOCK, workflow_id)
        text = None if document is None else dumps(document)
        old = await _get(connection, workflow_id)
        _check_revision(old, expected_revision)
        # compared as values: the order of keys is no difference
        changed = text is not None and loads(text) != old.document
        if not changed and enabled in (None, old.enabled):
            return old
        version = old.version
        if changed and document is not None and text is not None:
            draft = await _newest_draft(connection, old, loads(text))
            version = draft or await _add_version(connection, workflow_id, now, text)
            await send(connection, _RENAME, *_names(workflow_id, document), workflow_id)
            await _set_labels(connection, workflow_id, document)
        enabled = old.enabled if enabled is None else enabled
        await send(connection, _UPDATE, version, enabled, micros(now), workflow_id)
        return await _get(connection, workflow_id)

    @writes
    async def delete(self, connection: Connection, workflow_id: str, *, expected_revision: int | None = None) -> None:
        await send(connection, _LOCK, workflow_id)
        _check_revision(await _get(connection, workflow_id), expected_revision)
        bindings = (f"{workflow_id}:", f"{workflow_id};")  # ';' follows ':'
        await send(connection, "DELETE FROM triggers WHERE binding_id >= %b AND binding_id < %b", *bindings)
        await send(connection, "DELETE FROM deliveries WHERE binding_id >= %b AND binding_id < %b", *bindings)
        await send(connection, "DELETE FROM state WHERE workflow_id = %b", workflow_id)
        await send(connection, "DELETE FROM workflows WHERE id = %b", workflow_id)
        await forget_versions(connection, [workflow_id])

    async def get(self, workflow_id: str) -> WorkflowRecord:
        async with self.database.connection() as connection:
            return await _get(connection, workflow_id)

    async def version(self, workflow_id: str, version: int) -> WorkflowVersion:
        rows = await self.rows(
            "SELECT created_at, document, created_by FROM workflow_versions WHERE workflow_id = %b AND version = %b",
            workflow_id,
            version,
        )
        if not rows:
            raise NotFound("workflow version", f"{workflow_id}@{version}")
        return WorkflowVersion(workflow_id, version, seconds(rows[0][0]), loads(rows[0][1]), rows[0][2])

    @writes
    async def add_draft(
        self,
        connection: Connection,
        workflow_id: str,
        document: dict[str, Any],
        *,
        now: float,
        idempotency: Idempotency | None = None,
    ) -> WorkflowVersion:
        await check_key(connection, idempotency)
        await send(connection, _LOCK, workflow_id)
        await _get(connection, workflow_id)
        text = dumps(document)
        version = await _add_version(connection, workflow_id, now, text)
        await add_key(connection, idempotency, str(version), now)
        return WorkflowVersion(workflow_id, version, now, loads(text), author())

    async def versions(self, workflow_id: str, *, limit: int, cursor: str | None = None) -> Page[WorkflowVersion]:
        check_limit(limit)
        before = int(read_cursor("versions", cursor, int)[0]) if cursor is not None else 2**31 - 1
        if not await self.rows("SELECT 1 FROM workflows WHERE id = %b", workflow_id):
            raise NotFound("workflow", workflow_id)
        rows = await self.rows(_VERSIONS, workflow_id, before, limit + 1)
        items = [WorkflowVersion(workflow_id, version, seconds(at), created_by=by) for version, at, by in rows[:limit]]
        return Page(items, make_cursor("versions", items[-1].version) if len(rows) > limit else None)

    async def active(self) -> list[WorkflowRecord]:
        return [_record(row) for row in await self.rows(f"{_WITH_DOCUMENT} WHERE w.enabled ORDER BY w.n")]

    async def is_within(
        self, within: WorkflowLimit, *, workflow_id: str | None = None, execution_id: str | None = None
    ) -> bool:
        condition, values = is_within("c.id", within)
        return bool(await self.rows(f"{_ONE} WHERE {condition}", workflow_id, execution_id, *values))

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
        place = read_cursor("workflows", cursor, int, int) if cursor is not None else [2**62, 0]
        folded = None if name is None else bytes_of(name.casefold())
        labelled, values = has_labels("w.id", labels)
        limited, more = is_within("w.id", within)
        condition, values = f"{labelled} AND {limited}", values + more
        rows = await self.rows(
            f"{_LIST} AND {condition} {_NEWEST}", *place, folded, folded, enabled, enabled, *values, limit + 1
        )
        last = rows[limit - 1] if len(rows) > limit else None
        items = [_record(row[1:]) for row in rows[:limit]]
        return Page(items, make_cursor("workflows", last[7], last[0]) if last else None)


async def forget_versions(connection: Connection, workflow_ids: list[str]) -> None:
    """Remove the versions of those workflows that are deleted and have no executions left."""
    await send(connection, _FORGET_VERSIONS, workflow_ids)


async def _add_version(connection: Connection, workflow_id: str, now: float, text: bytes) -> int:
    # after drafts, and after versions of a deleted workflow of this name that executions still refer to
    [(version,)] = await fetch(
        connection, "SELECT coalesce(max(version), 0) + 1 FROM workflow_versions WHERE workflow_id = %b", workflow_id
    )
    await send(connection, _ADD_VERSION, workflow_id, version, micros(now), text, author())
    return int(version)


async def _newest_draft(connection: Connection, record: WorkflowRecord, document: Any) -> int | None:
    """The newest version, when it is a draft of this document: saving it makes it the current one."""
    rows = await fetch(connection, _DRAFT, record.id, record.version)
    return rows[0][0] if rows and loads(rows[0][1]) == document else None


async def _set_labels(connection: Connection, workflow_id: str, document: dict[str, Any]) -> None:
    await send(connection, "DELETE FROM workflow_labels WHERE workflow_id = %b", workflow_id)
    labels = document.get("labels") or {}
    values = [bytes_of(value) for value in labels.values()]
    await send(connection, _LABELS, workflow_id, list(labels), values)


async def _get(connection: Connection, workflow_id: str) -> WorkflowRecord:
    rows = await fetch(connection, f"{_WITH_DOCUMENT} WHERE w.id = %b", workflow_id)
    if not rows:
        raise NotFound("workflow", workflow_id)
    return _record(rows[0])


def _record(row: tuple[Any, ...]) -> WorkflowRecord:
    id, name, description, version, revision, enabled, created_at, updated_at, labels, *document = row
    return WorkflowRecord(
        id,
        text_of(name) or "",
        text_of(description),
        version,
        revision,
        enabled,
        seconds(created_at),
        seconds(updated_at),
        loads(document[0]) if document else {},
        loads(labels),
    )


def _names(workflow_id: str, document: dict[str, Any]) -> tuple[bytes | None, bytes | None, bytes | None, bytes]:
    name = str(document.get("name") or workflow_id)
    description = document.get("description")
    return bytes_of(name), bytes_of(name.casefold()), bytes_of(description), dumps(document.get("labels") or {})


def _check_revision(record: WorkflowRecord, expected: int | None) -> None:
    if expected is not None and expected != record.revision:
        raise Conflict(
            f"Workflow {record.id!r} is at revision {record.revision}, not {expected}: it was changed meanwhile.",
            code="revision",
            hint="Read it again, apply your change to what it is now, and save that.",
        )


_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('aicflow workflow ' || %b::text, 0))"
_CREATE = """
INSERT INTO workflows (id, name, folded_name, description, labels, version, revision, enabled, created_at, updated_at)
  VALUES (%b, %b, %b, %b, %b, %b, 1, %b, %b, %b)
"""
_RENAME = "UPDATE workflows SET name = %b, folded_name = %b, description = %b, labels = %b WHERE id = %b"
_UPDATE = "UPDATE workflows SET version = %b, enabled = %b, revision = revision + 1, updated_at = %b WHERE id = %b"
_ADD_VERSION = """
INSERT INTO workflow_versions (workflow_id, version, created_at, document, created_by) VALUES (%b, %b, %b, %b, %b)
"""
_VERSIONS = """
SELECT version, created_at, created_by FROM workflow_versions
  WHERE workflow_id = %b AND version < %b ORDER BY version DESC LIMIT %b
"""
_DRAFT = """
SELECT version, document FROM workflow_versions WHERE workflow_id = %b AND version > %b ORDER BY version DESC LIMIT 1
"""
_LABELS = "INSERT INTO workflow_labels SELECT %b::text, * FROM unnest(%b::text[], %b::bytea[])"
_LIST = f"""
SELECT w.n, {_COLUMNS} FROM workflows AS w
  WHERE (w.created_at, w.n) < (%b, %b) AND (%b::bytea IS NULL OR position(%b::bytea IN w.folded_name) > 0)
    AND (%b::boolean IS NULL OR w.enabled = %b::boolean)
"""  # noqa: S608
_ONE = """
SELECT 1 FROM (
  SELECT coalesce(%b::text, (SELECT workflow_id FROM executions WHERE id = %b::text)) COLLATE "C" AS id) AS c
"""
_NEWEST = "ORDER BY w.created_at DESC, w.n DESC LIMIT %b"
_FORGET_VERSIONS = """
DELETE FROM workflow_versions AS v WHERE workflow_id = ANY(%b::text[])
  AND NOT EXISTS (SELECT 1 FROM workflows AS w WHERE w.id = v.workflow_id)
  AND NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.workflow_id = v.workflow_id)
"""
