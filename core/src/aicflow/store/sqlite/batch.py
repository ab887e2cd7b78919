"""The hot path: the creates and appends of one group as one statement.

`batch.sql` is the other half: what SQLite does with each row."""

from __future__ import annotations

import sqlite3
from asyncio import Future
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from importlib.resources import files
from itertools import chain
from typing import Any, Final, NamedTuple

from aicflow.kernel.errors import StaleClaim
from aicflow.kernel.execution import TERMINAL_STATUSES, TRIGGER_KINDS
from aicflow.kernel.ports.audit import PendingAudit
from aicflow.kernel.ports.executions import (
    Appended,
    Created,
    EventBatch,
    Fire,
    ItemResult,
    NewExecution,
    Projection,
    StoredAnswer,
    Subscription,
)
from aicflow.kernel.values import dumps, loads
from aicflow.store.concurrency import ConcurrencyLimiter, limits_from_json, limits_to_json
from aicflow.store.instants import micros, now
from aicflow.store.queued import QueuedByStarter
from aicflow.store.sqlite.event_rows import pack

INLINE: Final = 1024
"""Inputs and triggers up to so many bytes stay in the execution's row, which is written again when it ends."""

LARGE: Final = 16_384
"""From so many bytes on a value is kept once, however often it is stored."""

_CREATE, _PROGRESS, _SETTLE, _PAYLOAD, _OUTPUT, _CONSUME, _SKIP, _ITEMS, _NO_ITEMS = 1, 2, 3, 4, 5, 6, 7, 8, 9
_SUBSCRIBE, _HOLD, _SUBJECTS = 10, 11, 12
_STALE, _CANCEL = 1, 2
_MOST_ROWS: Final = 256


class _Row(NamedTuple):
    """A row of the view `batch`, whose columns these are. `i` is the place of its operation in the group."""

    kind: int
    i: int
    id: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    body: bytes | str | None = None
    epoch: int | None = None
    status: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    due_at: int | None = None
    wake_at: int | None = None
    output: bytes | None = None
    error: bytes | str | None = None
    name: str | None = None
    call: int | None = None
    workflow_id: str | None = None
    version: int | None = None
    created_at: int | None = None
    available_at: int | None = None
    engine: str | None = None
    priority: int | None = None
    worker: str | None = None
    admitted: int | None = None
    limits: str | None = None
    trigger_kind: str | None = None
    binding_id: str | None = None
    trigger: bytes | None = None
    input: bytes | None = None
    idempotency_scope: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    key_owner: str | None = None
    rerun_of: str | None = None
    parent_execution_id: str | None = None
    parent_node_id: str | None = None
    fire_key: str | None = None
    delivery_id: str | None = None
    received_at: int | None = None
    delivered: bytes | None = None
    hash: bytes | None = None
    event_name: str | None = None
    event_key: str | None = None


_COLUMNS: Final = len(_Row._fields)
_NARROW: Final = _Row._fields.index("epoch") + 1


class Create:
    """A `create` that waits for its commit."""

    __slots__ = ("at", "audit", "body", "error", "future", "lease", "new", "result", "worker")

    def __init__(self, new: NewExecution, worker: str | None, lease: float, at: float | None) -> None:
        self.new = new
        self.body = pack(new.id, new.events.events)
        self.worker = worker
        self.lease = lease
        self.at = at
        self.audit: PendingAudit | None = None
        self.future: Future[Any] | None = None
        self.result: Created | None = None
        self.error: BaseException | None = None


class Append:
    """An `append` that waits for its commit."""

    __slots__ = (
        "batch", "body", "consumed", "epoch", "error", "execution_id", "files", "forgotten", "future", "items",
        "outputs", "projection", "result", "subscriptions",
    )  # fmt: skip

    def __init__(
        self,
        execution_id: str,
        epoch: int,
        batch: EventBatch,
        projection: Projection | None,
        outputs: Mapping[str, bytes] | None,
        consumed: Sequence[tuple[str, int]],
        items: Sequence[ItemResult],
        subscriptions: Sequence[Subscription],
        files: Collection[str],
    ) -> None:
        self.execution_id = execution_id
        self.epoch = epoch
        self.batch = batch
        self.body = pack(execution_id, batch.events) if batch.events else None
        self.projection = projection
        self.outputs = outputs
        self.consumed = consumed
        self.items: str | None = None
        self.forgotten: tuple[str, ...] = ()
        if items:
            last = max((at for at, item in enumerate(items, 1) if item.index < 0), default=0)
            self.forgotten = tuple(item.step_id for item in items if item.index < 0)
            kept = [
                item
                for at, item in enumerate(items)
                if item.index >= 0 and (at >= last or not item.step_id.startswith(self.forgotten))
            ]
            self.items = _items_text(kept)
        self.subscriptions = subscriptions
        self.files = files
        self.future: Future[Any] | None = None
        self.result: Appended | None = None
        self.error: BaseException | None = None


class _DuplicateIndex:
    """Executions that were made for the same fire or with the same idempotency key."""

    def __init__(self, connection: sqlite3.Connection, accepted: Sequence[NewExecution]) -> None:
        fires = [[new.fire.binding_id, new.fire.key] for new in accepted if new.fire and new.fire.key is not None]
        keys = [[new.idempotency.scope, new.idempotency.key] for new in accepted if new.idempotency is not None]
        self._found: dict[tuple[str, str, str], tuple[str | None, str | None]] = {}
        if fires or keys:
            asked = {"fires": dumps(fires).decode(), "keys": dumps(keys).decode()}
            for kind, scope, key, *found in loads(connection.execute(_DUPLICATES, asked).fetchone()[0]):
                self._found[kind, scope, key] = (found[0], found[1])

    def find(self, new: NewExecution) -> Created | None:
        for name in self._names(new):
            if name in self._found:
                execution_id, fingerprint = self._found[name]
                return Created(execution_id, duplicate=True, fingerprint=fingerprint)
        return None

    def add(self, new: NewExecution) -> None:
        fingerprint = new.idempotency.fingerprint if new.idempotency else None
        for name in self._names(new):
            self._found[name] = (new.id, fingerprint if name[0] == "key" else None)

    def add_skipped(self, fire: Fire) -> None:
        if fire.key is not None:
            self._found["fire", fire.binding_id, fire.key] = (None, None)

    @staticmethod
    def _names(new: NewExecution) -> Iterator[tuple[str, str, str]]:
        if new.fire is not None and new.fire.key is not None:
            yield "fire", new.fire.binding_id, new.fire.key
        if new.idempotency is not None:
            yield "key", new.idempotency.scope, new.idempotency.key


class Batch:
    """Writes groups of creates and appends. Lives in the writer's thread, with the book of slots."""

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._book: ConcurrencyLimiter | None = None
        self._data_version = 0
        self._queued = QueuedByStarter()
        self._notes: list[tuple[int, int]] = []
        self._statements: dict[tuple[int, int], str] = {}

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Give the writing connection its view and triggers, and read the book of slots."""
        connection.create_function("note", 2, lambda i, what: self._notes.append((i, what)))
        columns = ", ".join(f"NULL AS {name}" for name in _Row._fields)
        connection.execute(f"CREATE TEMP VIEW batch AS SELECT {columns}")
        connection.executescript(files(__package__).joinpath("batch.sql").read_text(encoding="utf-8"))
        self.book(connection)

    def book(self, connection: sqlite3.Connection) -> ConcurrencyLimiter:
        """The book of slots as the database has it now."""
        if self._shared:
            # another process may have written since; inside a transaction this cannot change any more
            version = connection.execute("PRAGMA data_version").fetchone()[0]
            if version != self._data_version:
                self._book, self._data_version = None, version
                self._queued.forget()
        if self._book is None:
            self._book = ConcurrencyLimiter()
            for row in loads(connection.execute(_LIMITED).fetchone()[0]):
                self._book.restore(
                    row[0],
                    row[1],
                    limits_from_json(loads(row[2])),
                    admitted=bool(row[3]),
                    cancelled=bool(row[4]),
                )
        return self._book

    def forget(self) -> None:
        """After a rollback: what the book says may never have happened."""
        self._book = None
        self._notes.clear()

    def takes_many_statements(self, group: Sequence[Create | Append]) -> bool:
        """Whether `write` needs a transaction around it to be one."""
        book = self._book
        rows = 0
        for op in group:
            if isinstance(op, Create):
                if op.new.limits:
                    return True
                rows += (
                    1
                    + len(op.new.outputs)
                    + bool(op.new.items)
                    + bool(op.new.files)
                    + bool(op.new.subjects)
                    + (len(op.new.input) > INLINE)
                    + (len(op.new.trigger) > INLINE)
                )
            else:
                if book is None or op.execution_id in book:
                    return True
                rows += 1 + len(op.outputs or ()) + len(op.consumed) + (op.items is not None) + _is_large(op.projection)
                rows += len(op.subscriptions) + bool(op.files)
        return rows > _MOST_ROWS

    def write(self, connection: sqlite3.Connection, group: Sequence[Create | Append]) -> None:
        """Write a group; each operation gets its result or its error. Raises sqlite3.Error: then all must be undone."""
        book = self.book(connection)
        self._notes.clear()
        self._queued.written()
        duplicates = _DuplicateIndex(connection, [op.new for op in group if type(op) is Create])
        rows: list[_Row] = []
        # most appends only bring events and need few of the columns. Each is of another execution, so they may go last
        narrow: list[tuple[Any, ...]] = []
        cancel: list[str] = []
        for i, op in enumerate(group):
            if type(op) is Append:
                if op.projection is None and not (
                    op.outputs or op.consumed or op.items or op.subscriptions or op.files
                ):
                    batch = op.batch
                    last_seq = batch.first_seq + len(batch.events) - 1
                    narrow.append((_PROGRESS, i, op.execution_id, batch.first_seq, last_seq, op.body, op.epoch))
                else:
                    rows.extend(_append_rows(i, op))
                continue
            assert type(op) is Create
            op.result = duplicates.find(op.new)
            if op.result is not None:
                if op.result.execution_id == op.new.id:
                    op.result = repeated(connection, op) or op.result
                continue
            new = op.new
            if new.max_queued is not None and self._is_queue_full(connection, op, book):
                # the one too many may be itself, when the answer was lost
                op.result = repeated(connection, op) or Created(None, admitted=False, queue_full=True)
                continue
            admitted = True
            cancelled: tuple[str, ...] = ()
            if new.limits:
                admission = book.admit(new.id, new.priority, new.limits)
                if admission.skipped:
                    op.result = Created(None, admitted=False, skipped=True)
                    if new.fire is not None:
                        duplicates.add_skipped(new.fire)
                        rows.append(_skip_row(i, new.fire, created=new.created_at))
                    continue
                admitted, cancelled = admission.admitted, admission.cancel
                cancel += cancelled
            claimed = op.worker is not None and admitted and new.available_at <= new.created_at
            op.result = Created(new.id, epoch=int(claimed), admitted=admitted, cancelled=cancelled)
            duplicates.add(new)
            rows.extend(_create_rows(i, op, claimed, admitted))
        self._insert(connection, rows, narrow)
        self._read_notes(connection, group)
        promoted = self._release(book, group)
        if cancel:
            request_cancel(connection, cancel)
        if promoted:
            connection.execute(_PROMOTE, (dumps(promoted).decode(),))

    def _is_queue_full(self, connection: sqlite3.Connection, op: Create, book: ConcurrencyLimiter) -> bool:
        new = op.new
        if op.worker is not None and new.available_at <= new.created_at and book.has_room(new.limits):
            return False
        starter, limit = loads(new.trigger).get("started_by"), new.max_queued
        if starter is None or limit is None:
            return False
        return not self._queued.take(
            starter, limit, lambda starter: int(connection.execute(_QUEUED_BY, (starter,)).fetchone()[0])
        )

    def _insert(self, connection: sqlite3.Connection, wide: Sequence[_Row], narrow: Sequence[tuple[Any, ...]]) -> None:
        for start in range(0, max(len(wide), len(narrow)), _MOST_ROWS):
            parts = wide[start : start + _MOST_ROWS], narrow[start : start + _MOST_ROWS]
            sizes = _padded(len(parts[0])), _padded(len(parts[1]))
            values = list(chain.from_iterable(parts[0]))
            values.extend([None] * (_COLUMNS * (sizes[0] - len(parts[0]))))
            values.extend(chain.from_iterable(parts[1]))
            values.extend([None] * (_NARROW * (sizes[1] - len(parts[1]))))
            connection.execute(self._statement(sizes), values)

    def _statement(self, sizes: tuple[int, int]) -> str:
        # a few sizes, padded with empty rows, so that the prepared statements can be kept
        if sizes not in self._statements:
            wide = f"({', '.join('?' * _COLUMNS)})"
            narrow = f"({', '.join(['?'] * _NARROW + ['NULL'] * (_COLUMNS - _NARROW))})"
            values = ", ".join([wide] * sizes[0] + [narrow] * sizes[1])
            self._statements[sizes] = f"INSERT INTO batch SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"  # noqa: S608
        return self._statements[sizes]

    def _read_notes(self, connection: sqlite3.Connection, group: Sequence[Create | Append]) -> None:
        for op in group:
            if type(op) is Append:
                op.result = Appended()
        for i, what in self._notes:
            op = group[i]
            assert type(op) is Append
            if what == _STALE and not _is_written(connection, op):
                op.error = StaleClaim(op.execution_id)
            elif what == _CANCEL and op.result is not None:
                op.result.cancel_requested = True
        self._notes.clear()
        for op in group:
            if type(op) is Append and op.subscriptions and op.error is None and op.result is not None:
                found = connection.execute(_ANSWERS, (op.execution_id,)).fetchall()
                op.result.answers = tuple(StoredAnswer(*row) for row in found)

    def _release(self, book: ConcurrencyLimiter, group: Sequence[Create | Append]) -> list[str]:
        promoted: list[str] = []
        for op in group:
            if (
                type(op) is Append
                and op.error is None
                and op.projection is not None
                and op.projection.status in TERMINAL_STATUSES
                and op.execution_id in book
            ):
                assert op.result is not None
                op.result.admitted = book.release(op.execution_id)
                promoted += op.result.admitted
        return promoted


def _padded(count: int) -> int:
    return 1 << (count - 1).bit_length() if count else 0


def _create_rows(i: int, op: Create, claimed: bool, admitted: bool) -> list[_Row]:
    new, fire, key = op.new, op.new.fire, op.new.idempotency
    created = micros(new.created_at)
    available = max(micros(new.available_at), created)
    due = micros(now(op.at) + op.lease) if claimed else available if admitted else None
    trigger, kind, binding_id, starter = new.trigger, None, None, None
    if trigger != b"{}":
        started_by = loads(trigger)
        kind, starter = started_by.get("kind"), started_by.get("started_by")
        if started_by.get("trigger_id") is not None:
            binding_id = f"{new.workflow_id}:{started_by['trigger_id']}"
        if len(trigger) > INLINE:
            started_by.pop("payload", None)
            trigger = dumps(started_by)
    if fire is not None:
        binding_id = fire.binding_id
    events = new.events
    rows = [
        _Row(
            kind=_CREATE,
            i=i,
            id=new.id,
            first_seq=events.first_seq,
            last_seq=events.last_seq,
            body=op.body,
            epoch=int(claimed),
            status="running" if claimed else "queued",
            due_at=due,
            call=new.parent_call,
            workflow_id=new.workflow_id,
            version=new.version,
            created_at=created,
            started_at=micros(new.started_at),
            available_at=available,
            engine=new.engine,
            priority=new.priority,
            worker=op.worker if claimed else None,
            admitted=int(admitted),
            limits=dumps(limits_to_json(new.limits)).decode() if new.limits else None,
            trigger_kind=kind if kind in TRIGGER_KINDS else "api",
            binding_id=binding_id,
            trigger=trigger,
            input=new.input if len(new.input) <= INLINE else None,
            name=starter,
            idempotency_scope=key.scope if key else None,
            idempotency_key=key.key if key else None,
            fingerprint=key.fingerprint if key else None,
            key_owner=key.owner if key else None,
            rerun_of=new.rerun_of,
            parent_execution_id=new.parent_execution_id,
            parent_node_id=new.parent_node_id,
            fire_key=fire.key if fire else None,
            delivery_id=fire.delivery_id if fire else None,
            received_at=micros(fire.received_at) if fire else None,
            delivered=fire.payload if fire else None,
        )
    ]
    payloads = dict(new.outputs)
    if len(new.input) > INLINE:
        payloads["$input"] = new.input
    if len(new.trigger) > INLINE:
        payloads["$trigger"] = new.trigger
    rows.extend(_Row(_PAYLOAD, i, new.id, name=name, body=body, hash=_hash(body)) for name, body in payloads.items())
    if new.items:
        rows.append(_Row(_ITEMS, i, new.id, body=_items_text(new.items)))
    if new.subjects:
        rows.append(_Row(_SUBJECTS, i, new.id, body=dumps(list(new.subjects)).decode()))
    if new.files:
        rows.append(_Row(_HOLD, i, new.id, body=dumps(list(new.files)).decode()))
    return rows


def _skip_row(i: int, fire: Fire, *, created: float) -> _Row:
    return _Row(
        _SKIP,
        i,
        error="skipped",
        created_at=micros(created),
        binding_id=fire.binding_id,
        fire_key=fire.key,
        delivery_id=fire.delivery_id,
        received_at=micros(fire.received_at),
        delivered=fire.payload,
    )


def _append_rows(i: int, op: Append) -> list[_Row]:
    first_seq, projection = op.batch.first_seq, op.projection
    last_seq = first_seq + len(op.batch.events) - 1
    outputs = op.outputs
    if projection is not None and projection.output is not None and _is_large(projection):
        outputs = {**(outputs or {}), "$output": projection.output}
    if projection is None:
        row = _Row(_PROGRESS, i, op.execution_id, first_seq, last_seq, op.body, op.epoch)
    else:
        row = _Row(
            _PROGRESS if projection.status == "running" else _SETTLE,
            i,
            op.execution_id,
            first_seq,
            last_seq,
            op.body,
            op.epoch,
            status=projection.status,
            started_at=micros(projection.started_at),
            finished_at=micros(projection.finished_at),
            wake_at=micros(projection.wake_at),
            call=1 if projection.announce else None,
            output=None if outputs is not op.outputs else projection.output,
            error=projection.error,
        )
    if not (outputs or op.consumed or op.items or op.subscriptions or op.files):
        return [row]
    part = partial(_Row, i=i, id=op.execution_id, first_seq=first_seq, epoch=op.epoch)
    return [
        *(part(_OUTPUT, name=name, body=output, hash=_hash(output)) for name, output in (outputs or {}).items()),
        *(part(_CONSUME, name=node_id, call=call) for node_id, call in op.consumed),
        *(part(_NO_ITEMS, name=name) for name in op.forgotten),
        *([part(_ITEMS, body=op.items)] if op.items is not None else ()),
        *(
            part(
                _SUBSCRIBE,
                name=one.node_id,
                call=one.call,
                event_name=one.name,
                event_key=one.key,
                created_at=micros(one.at),
            )
            for one in op.subscriptions
        ),
        *([part(_HOLD, body=dumps(list(op.files)).decode())] if op.files else ()),
        row,
    ]


def _is_large(projection: Projection | None) -> bool:
    return projection is not None and projection.output is not None and len(projection.output) >= LARGE


def _hash(body: bytes) -> bytes | None:
    # in the writer's thread; hashlib lets go of the interpreter lock
    return sha256(body).digest() if len(body) >= LARGE else None


def _items_text(items: Sequence[ItemResult]) -> str:
    def text(encoded: bytes | None) -> str | None:
        return None if encoded is None else encoded.decode()

    fields = [
        (
            item.step_id,
            item.index,
            item.succeeded,
            item.key,
            text(item.output),
            text(item.error),
            item.masked,
            item.first_seq,
            item.last_seq,
        )
        for item in items
    ]
    return dumps(fields).decode()


def _is_written(connection: sqlite3.Connection, op: Append) -> bool:
    """Whether a refused append was refused because it is stored already."""
    place = (op.execution_id, op.epoch, op.batch.first_seq, op.body)
    return connection.execute(_WRITTEN, place).fetchone() is not None


def repeated(connection: sqlite3.Connection, op: Create) -> Created | None:
    """What a create came to that is stored already; None when it is not, or another has its id."""
    found = connection.execute(_CREATED, (op.worker, op.new.id, op.body, op.new.input)).fetchone()
    return None if found is None else Created(op.new.id, epoch=found[0], admitted=bool(found[1]))


def request_cancel(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Note that these are to end; what nobody works on becomes claimable at once."""
    connection.execute(_REQUEST_CANCEL, (dumps(ids).decode(),))


_ANSWERS = "SELECT node_id, kind, value, call FROM answers WHERE execution_id = ?"
_LIMITED = """
SELECT json_group_array(json_array(id, priority, limits, admitted, cancel_requested)) FROM (
  SELECT * FROM executions INDEXED BY executions_limited
    WHERE limits IS NOT NULL AND finished_at IS NULL ORDER BY n)
"""
_WRITTEN = """
SELECT 1 FROM executions AS e JOIN events AS v ON v.execution_id = e.id
  WHERE e.id = ? AND e.epoch = ? AND v.first_seq = ? AND v.body = ?
"""
_CREATED = """
SELECT status = 'running' AND worker IS ?, admitted FROM executions AS e JOIN events AS v ON v.execution_id = e.id
  WHERE e.id = ? AND v.first_seq = 1 AND v.body = ?
    AND coalesce(input, (SELECT body FROM stored WHERE execution_id = e.id AND name = '$input')) = ?
"""
_QUEUED_BY = """
SELECT count(*) FROM executions INDEXED BY executions_queued_by
  WHERE started_by = ? AND status = 'queued' AND epoch = 0
"""
_PROMOTE = """
UPDATE executions SET admitted = 1, due_at = CASE WHEN cancel_requested THEN -1 ELSE available_at END
  WHERE id IN (SELECT value FROM json_each(?)) AND +status = 'queued'
"""
_REQUEST_CANCEL = """
UPDATE executions SET cancel_requested = 1, due_at = CASE WHEN status = 'running' THEN due_at ELSE -1 END
  WHERE id IN (SELECT value FROM json_each(?)) AND finished_at IS NULL
"""

_DUPLICATES = """
SELECT json_group_array(json_array(kind, scope, key, execution_id, fingerprint)) FROM (
  SELECT 'fire' AS kind, f.binding_id AS scope, f.key AS key, f.execution_id, NULL AS fingerprint
    FROM json_each(:fires) AS a CROSS JOIN fires AS f
    WHERE f.binding_id = json_extract(a.value, '$[0]') AND f.key = json_extract(a.value, '$[1]')
  UNION ALL
  SELECT 'key', k.scope, k.key, k.result, k.fingerprint
    FROM json_each(:keys) AS a CROSS JOIN idempotency_keys AS k
    WHERE k.scope = json_extract(a.value, '$[0]') AND k.key = json_extract(a.value, '$[1]'))
"""
