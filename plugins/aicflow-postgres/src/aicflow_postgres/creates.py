"""Writing new executions: a few statements for all of a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aicflow.ports import (
    TRIGGER_KINDS,
    ConcurrencyLimiter,
    Conflict,
    Created,
    Fire,
    ItemResult,
    NewExecution,
    dumps,
    limits_to_json,
    loads,
    micros,
)

from aicflow_postgres.database import AT_ONCE, NOW, Connection, fetch, send
from aicflow_postgres.operations import Create
from aicflow_postgres.queued import Queued
from aicflow_postgres.values import INLINE, bytes_of, hash_of, indexed


class _Duplicates:
    """Executions that were made for the same fire or with the same idempotency key, or are stored already."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, bytes], tuple[str | None, str | None]] = {}

    async def read(self, connection: Connection, creates: Sequence[Create]) -> None:
        names = [name for op in creates for name in _names(op.new)]
        fires = [name[1:] for name in names if name[0] == "fire"]
        keys = [name[1:] for name in names if name[0] == "key"]
        if fires:
            for scope, key, id in await fetch(connection, _FIRED, *_columns(fires, 2)):
                self._found["fire", scope, bytes(key)] = (id, None)
        if keys:
            for scope, key, id, fingerprint in await fetch(connection, _USED, *_columns(keys, 2)):
                self._found["key", scope, bytes(key)] = (id, fingerprint)

    def find(self, new: NewExecution) -> Created | None:
        for name in _names(new):
            if name in self._found:
                execution_id, fingerprint = self._found[name]
                return Created(execution_id, duplicate=True, fingerprint=fingerprint)
        return None

    def add(self, new: NewExecution) -> None:
        fingerprint = new.idempotency.fingerprint if new.idempotency else None
        for name in _names(new):
            self._found[name] = (new.id, fingerprint if name[0] == "key" else None)

    def add_skipped(self, fire: Fire) -> None:
        if fire.key is not None:
            self._found["fire", fire.binding_id, indexed(fire.key)] = (None, None)


async def write_creates(
    connection: Connection,
    creates: Sequence[Create],
    lines: Mapping[str, ConcurrencyLimiter],
    *,
    alone: bool,
) -> None:
    """Write them; each gets its result or its error. `alone`: one by one, because something of the group was there
    already. Raises UniqueViolation when another process was quicker with a key or an id."""
    duplicates = _Duplicates()
    await duplicates.read(connection, creates)
    rows: list[tuple[Any, ...]] = []
    new_ones: list[Create] = []
    skipped: list[tuple[Fire, float]] = []
    cancel: list[str] = []
    stored = await _stored(connection, creates) if alone else {}
    queued = Queued(lines)
    await queued.read(connection, creates)
    for op in creates:
        new = op.new
        if new.id in stored:
            op.result = stored[new.id]
            if op.result is None:
                op.error = Conflict(f"Execution {new.id} exists already.")
            continue
        op.result = duplicates.find(new)
        if op.result is not None:
            if op.result.execution_id == new.id:
                op.result = (await _stored(connection, [op])).get(new.id) or op.result
            continue
        if new.max_queued is not None and not queued.take(op):
            stored |= await _stored(connection, [op])  # the one too many may be itself, when the answer was lost
            op.result = stored.get(new.id) or Created(None, admitted=False, queue_full=True)
            continue
        admitted, cancelled = True, tuple[str, ...]()
        if new.limits:
            admission = lines[new.workflow_id].admit(new.id, new.priority, new.limits)
            if admission.skipped:
                op.result = Created(None, admitted=False, skipped=True)
                op.written = True
                if new.fire is not None:
                    duplicates.add_skipped(new.fire)
                    skipped.append((new.fire, new.created_at))
                continue
            admitted, cancelled = admission.admitted, admission.cancel
            cancel += cancelled
        claimed = op.worker is not None and admitted and new.available_at <= new.created_at
        op.result = Created(new.id, epoch=int(claimed), admitted=admitted, cancelled=cancelled)
        op.written = True
        duplicates.add(new)
        new_ones.append(op)
        rows.append(_row(op, claimed=claimed, admitted=admitted))
    if rows:
        await send(connection, _CREATE, *_columns(rows, len(_COLUMNS)))
        await _write_parts(connection, new_ones)
    await _write_fires(connection, [(op.new.fire, op.new.id, op.new.created_at) for op in new_ones if op.new.fire])
    await _write_fires(connection, [(fire, None, at) for fire, at in skipped])
    if cancel:
        await send(connection, REQUEST_CANCEL, cancel)


async def _stored(connection: Connection, creates: Sequence[Create]) -> dict[str, Created | None]:
    """What a create came to that is stored already; None for the id when another execution has it."""
    found: dict[str, Created | None] = {}
    for op in creates:
        for held, admitted, body, input in await fetch(connection, _STORED, op.worker, op.new.id):
            same = (bytes(body or b""), bytes(input)) == (op.body, op.new.input)
            found[op.new.id] = Created(op.new.id, epoch=int(bool(held)), admitted=admitted) if same else None
    return found


def _row(op: Create, *, claimed: bool, admitted: bool) -> tuple[Any, ...]:
    new, fire, key = op.new, op.new.fire, op.new.idempotency
    created = micros(new.created_at)
    available = max(micros(new.available_at), created)
    trigger, kind, binding_id, starter = new.trigger, None, None, None
    if trigger != b"{}":
        started_by = loads(trigger)
        kind, starter = started_by.get("kind"), started_by.get("started_by")
        if started_by.get("trigger_id") is not None:
            binding_id = f"{new.workflow_id}:{started_by['trigger_id']}"
        if len(trigger) > INLINE:
            started_by.pop("payload", None)
            trigger = dumps(started_by)
    return (
        new.id,
        new.workflow_id,
        new.version,
        "running" if claimed else "queued",
        created,
        available,
        micros(new.started_at),
        new.events.last_seq,
        int(claimed),
        op.worker if claimed else None,
        available if admitted else None,
        micros(op.lease) if claimed else None,
        micros(op.at),
        new.priority,
        admitted,
        new.engine,
        kind if kind in TRIGGER_KINDS else "api",
        fire.binding_id if fire is not None else binding_id,
        new.rerun_of,
        new.parent_execution_id,
        new.parent_node_id,
        new.parent_call,
        bytes_of(key.key) if key is not None else None,
        dumps(limits_to_json(new.limits)).decode() if new.limits else None,
        trigger,
        new.input if len(new.input) <= INLINE else None,
        starter,
        new.requires,
        new.events.first_seq,
        op.body,
    )


async def _write_parts(connection: Connection, creates: Sequence[Create]) -> None:
    payloads: list[tuple[str, str, bytes]] = []
    items: list[tuple[str, ItemResult]] = []
    keys: list[tuple[Any, ...]] = []
    held: list[tuple[str, str]] = []
    about: list[tuple[str, str]] = []
    for op in creates:
        new = op.new
        payloads += [(new.id, name, body) for name, body in new.outputs.items()]
        if len(new.input) > INLINE:
            payloads.append((new.id, "$input", new.input))
        if len(new.trigger) > INLINE:
            payloads.append((new.id, "$trigger", new.trigger))
        items += [(new.id, item) for item in new.items]
        held += [(new.id, sha256) for sha256 in new.files]
        about += [(subject, new.id) for subject in dict.fromkeys(new.subjects)]
        if (key := new.idempotency) is not None:
            used_at = micros(new.created_at)
            keys.append((key.scope, indexed(key.key), key.fingerprint, new.id, used_at, key.owner))
    await write_payloads(connection, payloads)
    await write_items(connection, items)
    await hold_files(connection, held)
    if about:
        await send(connection, _SUBJECTS, *_columns(about, 2))
    if keys:
        await send(connection, _KEYS, *_columns(keys, 6))


async def write_payloads(connection: Connection, payloads: Sequence[tuple[str, str, bytes]]) -> None:
    """Keep values outside of rows, large ones once by their hash."""
    if not payloads:
        return
    hashed = [(id, name, body, hash_of(body)) for id, name, body in payloads]
    large = {hash: body for _, _, body, hash in hashed if hash is not None}
    if large:
        ordered = sorted(large)
        await send(connection, _CONTENTS, ordered, [large[hash] for hash in ordered])
    rows = [(id, name, body if hash is None else None, hash) for id, name, body, hash in hashed]
    await send(connection, _PAYLOADS, *_columns(rows, 4))


async def write_items(connection: Connection, items: Sequence[tuple[str, ItemResult]]) -> None:
    """Keep how items ended. One may be among them twice: the last counts."""
    if not items:
        return
    last = {(id, item.step_id, item.index): item for id, item in items}
    rows = [
        (
            id,
            step,
            i,
            item.succeeded,
            bytes_of(item.key),
            item.output,
            item.error,
            item.masked,
            item.first_seq,
            item.last_seq,
        )
        for (id, step, i), item in last.items()
    ]
    await send(connection, _ITEMS, *_columns(rows, 10))


async def hold_files(connection: Connection, held: Sequence[tuple[str, str]]) -> None:
    """Let executions hold files, if they are there. The rows of the files are locked: nobody removes one meanwhile."""
    if held:
        wanted = sorted({sha256 for _, sha256 in held})
        await send(connection, _LOCK_FILES, wanted)
        await send(connection, _HOLD, *_columns(sorted(held), 2))


async def _write_fires(connection: Connection, fires: Sequence[tuple[Fire, str | None, float]]) -> None:
    keyed = [(f.binding_id, indexed(f.key), id, micros(at)) for f, id, at in fires if f.key is not None]
    if keyed:
        await send(connection, _FIRES, *_columns(keyed, 4))
    delivered = [
        (
            fire.delivery_id,
            fire.binding_id,
            micros(fire.received_at),
            bytes_of(fire.key),
            id,
            None if id else b"skipped",
            fire.payload,
        )
        for fire, id, _ in fires
        if fire.delivery_id is not None
    ]
    if delivered:
        await send(connection, _DELIVERIES, *_columns(delivered, 7))


def _names(new: NewExecution) -> Iterator[tuple[str, str, bytes]]:
    if new.fire is not None and new.fire.key is not None:
        yield "fire", new.fire.binding_id, indexed(new.fire.key)
    if new.idempotency is not None:
        yield "key", new.idempotency.scope, indexed(new.idempotency.key)


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """The rows as an array for each column, as `unnest` takes them."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


_COLUMNS = {
    "id": "text",
    "workflow_id": "text",
    "version": "int",
    "status": "text",
    "created_at": "bigint",
    "available_at": "bigint",
    "started_at": "bigint",
    "last_seq": "int",
    "epoch": "int",
    "worker": "text",
    "due_at": "bigint",
    "lease": "bigint",
    "at": "bigint",
    "priority": "int",
    "admitted": "boolean",
    "engine": "text",
    "trigger_kind": "text",
    "binding_id": "text",
    "rerun_of": "text",
    "parent_execution_id": "text",
    "parent_node_id": "text",
    "parent_call": "int",
    "idempotency_key": "bytea",
    "limits": "text",
    "trigger": "bytea",
    "input": "bytea",
    "started_by": "text",
    "requires": "int",
    "first_seq": "int",
    "body": "bytea",
}
_KEPT = [name for name in _COLUMNS if name not in ("lease", "at", "first_seq", "body")]
_SELECTED = [
    f"CASE WHEN lease IS NULL THEN due_at ELSE coalesce(at, {NOW}) + lease END" if name == "due_at" else name
    for name in _KEPT
]
_CREATE = f"""
WITH r AS MATERIALIZED (SELECT * FROM unnest({", ".join(f"%b::{kind}[]" for kind in _COLUMNS.values())})
  WITH ORDINALITY AS r({", ".join(_COLUMNS)}, place)),
v AS (INSERT INTO events SELECT id, first_seq, last_seq, body FROM r)
INSERT INTO executions ({", ".join(_KEPT)}) SELECT {", ".join(_SELECTED)} FROM r ORDER BY place
"""  # noqa: S608
_FIRED = """
SELECT f.binding_id, f.key, f.execution_id FROM unnest(%b::text[], %b::bytea[]) AS a(binding_id, key)
  JOIN fires AS f USING (binding_id, key)
"""
_USED = """
SELECT k.scope, k.key, k.result, k.fingerprint FROM unnest(%b::text[], %b::bytea[]) AS a(scope, key)
  JOIN idempotency_keys AS k USING (scope, key)
"""
_STORED = """
SELECT e.status = 'running' AND e.worker IS NOT DISTINCT FROM %b::text, e.admitted, v.body,
    coalesce(e.input, (SELECT body FROM stored WHERE execution_id = e.id AND name = '$input'))
  FROM executions AS e LEFT JOIN events AS v ON v.execution_id = e.id AND v.first_seq = 1 WHERE e.id = %b
"""
_SUBJECTS = "INSERT INTO subjects SELECT * FROM unnest(%b::text[], %b::text[]) ON CONFLICT DO NOTHING"
_KEYS = """
INSERT INTO idempotency_keys SELECT * FROM unnest(
  %b::text[], %b::bytea[], %b::text[], %b::text[], %b::bigint[], %b::text[])
"""
_FIRES = "INSERT INTO fires SELECT * FROM unnest(%b::text[], %b::bytea[], %b::text[], %b::bigint[])"
_DELIVERIES = """
INSERT INTO deliveries (id, binding_id, received_at, key, execution_id, error, payload) SELECT * FROM unnest(
  %b::text[], %b::text[], %b::bigint[], %b::bytea[], %b::text[], %b::bytea[], %b::bytea[])
"""
# an existing one is locked, so that nobody who looks for values without payloads removes it now
_CONTENTS = """
INSERT INTO contents SELECT * FROM unnest(%b::bytea[], %b::bytea[])
  ON CONFLICT (hash) DO UPDATE SET hash = excluded.hash
"""
_PAYLOADS = """
INSERT INTO payloads SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::bytea[])
  ON CONFLICT (execution_id, name) DO UPDATE SET body = excluded.body, hash = excluded.hash
"""
_ITEMS = """
INSERT INTO items SELECT * FROM unnest(
    %b::text[], %b::text[], %b::int[], %b::boolean[], %b::bytea[], %b::bytea[], %b::bytea[], %b::boolean[],
    %b::int[], %b::int[])
  ON CONFLICT (execution_id, step_id, i) DO UPDATE SET succeeded = excluded.succeeded, key = excluded.key,
    output = excluded.output, error = excluded.error, masked = excluded.masked,
    first_seq = excluded.first_seq, last_seq = excluded.last_seq
"""
_LOCK_FILES = "SELECT 1 FROM files WHERE sha256 = ANY(%b::text[]) ORDER BY sha256 FOR UPDATE"
_HOLD = """
WITH h AS (
  INSERT INTO file_holds SELECT f.sha256, a.id FROM unnest(%b::text[], %b::text[]) AS a(id, sha256)
    JOIN files AS f USING (sha256) ON CONFLICT DO NOTHING RETURNING sha256)
UPDATE files AS f SET executions = executions + h.many
  FROM (SELECT sha256, count(*) AS many FROM h GROUP BY sha256) AS h WHERE f.sha256 = h.sha256
"""
REQUEST_CANCEL = f"""
WITH l AS (SELECT n FROM executions WHERE id = ANY(%b::text[]) ORDER BY n FOR UPDATE)
UPDATE executions AS e SET cancel_requested = true, due_at = CASE WHEN status = 'running' THEN due_at ELSE {AT_ONCE} END
  FROM l WHERE e.n = l.n AND e.finished_at IS NULL
"""  # noqa: S608
