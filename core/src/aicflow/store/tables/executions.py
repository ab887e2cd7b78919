"""Executions, their events and their queue over tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from aicflow.kernel.errors import Conflict, NotFound, StaleClaim
from aicflow.kernel.execution import TERMINAL_STATUSES, TRIGGER_KINDS, Execution, ExecutionStatus
from aicflow.kernel.ports.executions import (
    Appended,
    Claimed,
    Created,
    EventBatch,
    ExecutionFilter,
    Fire,
    ItemResult,
    NewExecution,
    Page,
    Projection,
    SlotLimit,
    StoredAnswer,
    Subscription,
)
from aicflow.kernel.ports.sent import SentEvent
from aicflow.kernel.trigger import Delivery
from aicflow.kernel.values import dumps, loads
from aicflow.removal import OWN_PAYLOADS, PART_BITS, ExecutionPart, check_kept, parts_of, without_values
from aicflow.store.checks import check_append, check_events, check_unmoved, has_labels, is_within, spellings
from aicflow.store.concurrency import ConcurrencyLimiter
from aicflow.store.instants import micros, now
from aicflow.store.needed import NEEDED, events_within, needed_ranges
from aicflow.store.queued import QueuedByStarter
from aicflow.store.rows import event_answer, failure_from, trigger_from
from aicflow.store.tables.files import TableFiles
from aicflow.store.tables.idempotency import TableIdempotency
from aicflow.store.tables.pages import page_of
from aicflow.store.tables.part import Part, Table, key_of, writes
from aicflow.store.tables.small import TableTriggers

AT_ONCE = -1.0


@dataclass(slots=True)
class ExecutionRow:
    """An execution as kept. `due_at` is when anyone may claim it: -1 at once, None never by time alone."""

    n: int
    new: NewExecution
    status: ExecutionStatus
    admitted: bool
    epoch: int
    worker: str | None
    due_at: float | None
    events: list[bytes]
    outputs: dict[str, bytes]
    trigger_kind: str
    binding_id: str | None
    started_at: float | None = None
    finished_at: float | None = None
    output: bytes | None = None
    error: bytes | None = None
    wake_at: float | None = None
    cancel_requested: bool = False
    announce: bool = False
    events_removed: int = 0
    """How many there were, of an execution whose events are gone."""
    payloads_removed: bool = False
    answers: dict[tuple[str, int], StoredAnswer] = field(default_factory=dict)
    items: dict[str, dict[int, ItemResult]] = field(default_factory=dict)
    subscriptions: dict[tuple[str, int], Subscription] = field(default_factory=dict)
    receipts: dict[str, tuple[str, int]] = field(default_factory=dict)

    def keep(self, items: Sequence[ItemResult]) -> None:
        for item in items:
            if item.index < 0:
                self.items = {name: kept for name, kept in self.items.items() if not name.startswith(item.step_id)}
                continue
            self.items.setdefault(item.step_id, {})[item.index] = item

    def receive(self, event: SentEvent, wait: Subscription) -> StoredAnswer:
        """The event is what the wait is answered with."""
        place = wait.node_id, wait.call
        self.subscriptions.pop(place, None)
        self.receipts[event.id] = place
        answer = StoredAnswer(wait.node_id, "answered", event_answer(event), wait.call)
        self.answers.setdefault(place, answer)
        if self.status == "waiting":
            self.due_at = AT_ONCE
        return answer

    @property
    def removed(self) -> tuple[ExecutionPart, ...]:
        """What retention has removed of it."""
        return parts_of(PART_BITS["events"] * bool(self.events_removed) | PART_BITS["payloads"] * self.payloads_removed)

    def remove_events(self) -> None:
        """Outputs of steps go along: nobody finds them any more."""
        self.events_removed, self.events, self.items = len(self.events), [], {}
        self.outputs = {name: body for name, body in self.outputs.items() if name in OWN_PAYLOADS}
        self.new = replace(self.new, events=EventBatch(1, []))

    def remove_payloads(self) -> None:
        """What is left tells what ran when."""
        self.payloads_removed, self.events = True, without_values(self.events)
        self.outputs, self.output = {}, None
        for step_id, ended in self.items.items():
            self.items[step_id] = {i: replace(item, key=None, output=None) for i, item in ended.items()}
        known = loads(self.new.trigger)
        known.pop("payload", None)
        self.new = replace(
            self.new,
            events=EventBatch(1, []),
            fire=None,
            input=b"null",
            items=(),
            outputs={},
            trigger=dumps(known),
        )

    @property
    def place(self) -> tuple[int, int]:
        return micros(self.new.created_at), self.n


class TableExecutions(Part):
    """Executions."""

    def __init__(
        self,
        commit: Callable[[], Awaitable[None]],
        rows: Table,
        fires: Table,
        triggers: TableTriggers,
        idempotency: TableIdempotency,
        files: Table,
    ) -> None:
        super().__init__(commit)
        self.files = TableFiles(commit, files, rows.__contains__)
        self._idempotency = idempotency
        self.rows: MutableMapping[str, ExecutionRow] = rows
        self._triggers = triggers
        self._limiter = ConcurrencyLimiter()
        self._queued = QueuedByStarter()
        self._fires = fires
        kept = sorted(rows.values(), key=lambda row: row.n)
        self._n = kept[-1].n if kept else 0
        for row in kept:
            if row.new.limits and row.finished_at is None:
                self._limiter.restore(
                    row.new.id, row.new.priority, row.new.limits, admitted=row.admitted, cancelled=row.cancel_requested
                )
        self.early_event: Callable[[Subscription, Collection[str]], SentEvent | None] = lambda wait, received: None
        self.count_receipt: Callable[[str, int], None] = lambda event_id, by: None
        self.labels_of: Callable[[str], Mapping[str, str]] = lambda workflow_id: {}

    @writes
    async def create(
        self, new: NewExecution, *, worker: str | None = None, lease: float = 0.0, at: float | None = None
    ) -> Created:
        check_events(new.events)
        row = self.rows.get(new.id)
        if row is not None and (row.new.events, row.new.input) == (new.events, new.input):
            held = row.status == "running" and row.worker == worker
            return Created(new.id, epoch=int(held), admitted=row.admitted)
        fire, key = new.fire, new.idempotency
        if fire is not None and fire.key is not None and (fired := self._fires.get(key_of(fire.binding_id, fire.key))):
            return Created(fired[0], duplicate=True)
        if key is not None and (earlier := self._idempotency.earlier(key.scope, key.key)) is not None:
            return Created(earlier.result, duplicate=True, fingerprint=earlier.fingerprint)
        if row is not None or (fire and fire.delivery_id and self._triggers.has(fire.delivery_id)):
            raise Conflict(f"Execution {new.id} or its delivery exists already.")
        if new.max_queued is not None and self._is_queue_full(new, worker):
            return Created(None, admitted=False, queue_full=True)
        admitted = True
        cancelled: tuple[str, ...] = ()
        if new.limits:
            admission = self._limiter.admit(new.id, new.priority, new.limits)
            if admission.skipped:
                if fire is not None:
                    self._keep_fire(fire, None, new.created_at)
                return Created(None, admitted=False, skipped=True)
            admitted, cancelled = admission.admitted, admission.cancel
        claimed = worker is not None and admitted and new.available_at <= new.created_at
        self._add(new, worker if claimed else None, now(at) + lease, admitted=admitted)
        for execution_id in cancelled:
            self._cancel(execution_id)
        return Created(new.id, epoch=int(claimed), admitted=admitted, cancelled=cancelled)

    def _is_queue_full(self, new: NewExecution, worker: str | None) -> bool:
        if worker is not None and new.available_at <= new.created_at and self._limiter.has_room(new.limits):
            return False
        starter, limit = trigger_from(new.trigger).started_by, new.max_queued
        if starter is None or limit is None:
            return False
        full = not self._queued.take(starter, limit, self._count_queued)
        self._queued.written()
        return full

    def _count_queued(self, starter: str) -> int:
        waiting = (row for row in self.rows.values() if row.status == "queued" and not row.epoch)
        return sum(trigger_from(row.new.trigger).started_by == starter for row in waiting)

    def _add(self, new: NewExecution, worker: str | None, lease_until: float, *, admitted: bool) -> None:
        fire, key = new.fire, new.idempotency
        trigger = trigger_from(new.trigger)
        binding_id = f"{new.workflow_id}:{trigger.trigger_id}" if trigger.trigger_id is not None else None
        available = max(new.available_at, new.created_at)
        self._n += 1
        self.rows[new.id] = ExecutionRow(
            self._n,
            new,
            "queued" if worker is None else "running",
            admitted,
            epoch=int(worker is not None),
            worker=worker,
            due_at=lease_until if worker is not None else available if admitted else None,
            started_at=new.started_at,
            events=list(new.events.events),
            outputs=dict(new.outputs),
            trigger_kind=trigger.kind if trigger.kind in TRIGGER_KINDS else "api",
            binding_id=fire.binding_id if fire else binding_id,
        )
        self.rows[new.id].keep(new.items)
        self.files.hold_for(new.id, new.files)
        self._idempotency.add(key, new.id, new.created_at)
        if fire is not None:
            self._keep_fire(fire, new.id, new.created_at)

    def _keep_fire(self, fire: Fire, execution_id: str | None, created_at: float) -> None:
        if fire.key is not None:
            self._fires[key_of(fire.binding_id, fire.key)] = (execution_id, micros(created_at))
        if fire.delivery_id is not None:
            error = "skipped" if execution_id is None else None
            delivery = Delivery(
                fire.delivery_id, fire.binding_id, fire.received_at, fire.key, None, execution_id, error
            )
            self._triggers.keep(delivery, fire.payload)

    @writes
    async def append(
        self,
        execution_id: str,
        epoch: int,
        batch: EventBatch,
        projection: Projection | None = None,
        outputs: Mapping[str, bytes] | None = None,
        consumed: Sequence[tuple[str, int]] = (),
        items: Sequence[ItemResult] = (),
        subscriptions: Sequence[Subscription] = (),
        files: Collection[str] = (),
    ) -> Appended:
        check_append(batch, projection)
        row = self.rows.get(execution_id)
        if row is None or row.epoch != epoch or row.status != "running" or batch.first_seq != len(row.events) + 1:
            written = row.events[batch.first_seq - 1 : batch.last_seq] if row and row.epoch == epoch else []
            if row is not None and written and written == batch.events:
                answers = tuple(row.answers.values()) if subscriptions else ()
                return Appended(row.cancel_requested, answers=answers)
            raise StaleClaim(execution_id)
        row.events.extend(batch.events)
        row.outputs.update(outputs or {})
        row.keep(items)
        self.files.hold_for(execution_id, files)
        for wait in consumed:
            row.answers.pop(wait, None)
        for subscription in subscriptions:
            self._subscribe(row, subscription)
        admitted: tuple[str, ...] = ()
        if projection is not None:
            if projection.started_at is not None:
                row.started_at = projection.started_at
            if projection.status != "running":
                admitted = self._settle(row, projection)
        self.rows[execution_id] = row
        return Appended(row.cancel_requested, admitted, tuple(row.answers.values()) if subscriptions else ())

    def _subscribe(self, row: ExecutionRow, wait: Subscription) -> None:
        place = wait.node_id, wait.call
        row.subscriptions.pop(place, None)
        row.answers.pop(place, None)
        for event_id in [id for id, received in row.receipts.items() if received == place]:
            del row.receipts[event_id]
            self.count_receipt(event_id, -1)
        if wait.name is not None:
            row.subscriptions[place] = wait
            if (event := self.early_event(wait, row.receipts)) is not None:
                row.receive(event, wait)
                self.count_receipt(event.id, 1)

    def _settle(self, row: ExecutionRow, projection: Projection) -> tuple[str, ...]:
        row.status, row.worker = projection.status, None
        row.finished_at, row.wake_at = projection.finished_at, projection.wake_at
        row.output, row.error, row.announce = projection.output, projection.error, projection.announce
        if row.status not in TERMINAL_STATUSES:
            row.due_at = AT_ONCE if row.cancel_requested or row.answers else row.wake_at
            return ()
        row.answers.clear()
        row.subscriptions.clear()
        row.receipts.clear()
        row.outputs = {name: body for name, body in row.outputs.items() if not name.startswith("$sealed:")}
        for child in list(self.rows.values()):
            if child.new.parent_execution_id == row.new.id and "$sealed" in child.outputs:
                del child.outputs["$sealed"]
                self.rows[child.new.id] = child
        row.due_at = None
        self._answer_parent(row.new)
        promoted = self._limiter.release(row.new.id)
        for execution_id in promoted:
            other = self.rows[execution_id]
            other.admitted = True
            other.due_at = max(other.new.available_at, other.new.created_at)
            self.rows[execution_id] = other
        return promoted

    def _answer_parent(self, child: NewExecution) -> None:
        node, parent = child.parent_node_id, self.rows.get(child.parent_execution_id or "")
        if node is None or parent is None or parent.status in TERMINAL_STATUSES:
            return
        answer = StoredAnswer(node, "answered", dumps({"child": child.id}), child.parent_call)
        parent.answers.setdefault((node, child.parent_call), answer)
        if parent.status == "waiting":
            parent.due_at = AT_ONCE
        self.rows[parent.new.id] = parent

    @writes
    async def claim(
        self,
        worker: str,
        limit: int,
        *,
        lease: float,
        at: float | None = None,
        cancelled_only: bool = False,
        able: Collection[int] | None = None,
    ) -> list[Claimed]:
        instant = now(at)
        due = (row for row in self.rows.values() if row.due_at is not None and row.due_at <= instant)
        ready = [row for row in due if not cancelled_only or (row.cancel_requested and row.status != "running")]
        ready.sort(key=_turn)
        claimed = []
        for row in ready[:limit]:
            row.epoch += 1
            row.status, row.worker, row.due_at = "running", worker, instant + lease
            row.wake_at = None
            self.rows[row.new.id] = row
            claimed.append(
                Claimed(
                    _execution(row, whole=True, output=False),
                    _needed(row) if len(row.events) > 1 else [],
                    {
                        name: body
                        for name, body in row.outputs.items()
                        if name != NEEDED and (name.startswith("$") or "." not in name)
                    },
                    [row.answers[wait] for wait in sorted(row.answers)],
                    items={step: {i: item.succeeded for i, item in ended.items()} for step, ended in row.items.items()},
                )
            )
        return claimed

    @writes
    async def renew(
        self, worker: str, execution_ids: Sequence[str], *, lease: float, at: float | None = None
    ) -> frozenset[str]:
        cancelled = set()
        for execution_id in execution_ids:
            row = self.rows.get(execution_id)
            if row is not None and row.worker == worker and row.status == "running":
                row.due_at = now(at) + lease
                self.rows[execution_id] = row
                if row.cancel_requested:
                    cancelled.add(execution_id)
        return frozenset(cancelled)

    @writes
    async def hand_back(self, worker: str, execution_id: str, epoch: int, requires: int | None = None) -> None:
        row = self.rows.get(execution_id)
        if row is not None and row.worker == worker and row.epoch == epoch and row.status == "running":
            row.status, row.worker, row.due_at = "queued", None, AT_ONCE
            self.rows[execution_id] = row

    @writes
    async def reclaim(self, worker: str) -> int:
        held = [row for row in self.rows.values() if row.status == "running" and row.worker != worker]
        for row in held:
            row.status, row.worker, row.due_at = "queued", None, AT_ONCE
            self.rows[row.new.id] = row
        return len(held)

    async def next_due(self, *, at: float | None = None, able: Collection[int] | None = None) -> float | None:
        due = min((row.due_at for row in self.rows.values() if row.due_at is not None), default=None)
        return None if due is None else max(0.0, due - now(at))

    async def backlog(self, *, at: float | None = None) -> dict[int, tuple[int, float, int]]:
        dues = [row.due_at for row in self.rows.values() if row.status == "queued" and row.due_at is not None]
        due = [one for one in dues if one <= now(at)]
        running = sum(row.status == "running" for row in self.rows.values())
        return {0: (len(due), now(at) - min((one for one in due if one >= 0), default=now(at)), running)}

    @writes
    async def request_cancel(self, execution_id: str) -> Execution:
        row = self._row(execution_id)
        if row.status not in TERMINAL_STATUSES and not row.cancel_requested:
            self._limiter.cancel(execution_id)
            row = self._cancel(execution_id)
        return _execution(row)

    def _cancel(self, execution_id: str) -> ExecutionRow:
        row = self.rows[execution_id]
        row.cancel_requested = True
        if row.status != "running":
            row.due_at = AT_ONCE
        self.rows[execution_id] = row
        return row

    @writes
    async def answer(self, execution_id: str, answer: StoredAnswer, seen: int | None = None) -> None:
        row = self._row(execution_id)
        begun = row.status == "queued" and len(row.events) > 1
        if row.status not in ("waiting", "running") and not begun:
            raise Conflict(
                f"Execution {execution_id} is {row.status}; only a waiting step can be answered.", code="not-waiting"
            )
        if seen is not None:
            check_unmoved(answer, row.events[seen:])
        if (answer.node_id, answer.call) in row.answers:
            raise Conflict(f"Step {answer.node_id!r} of execution {execution_id} has an answer.", code="answered")
        row.answers[answer.node_id, answer.call] = answer
        if row.status == "waiting":
            row.due_at = AT_ONCE
        self.rows[execution_id] = row

    async def get(self, execution_id: str) -> Execution:
        return _execution(self._row(execution_id), whole=True)

    async def count(self, where: ExecutionFilter) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self.rows.values():
            if self._fits(row, where):
                counts[row.status] = counts.get(row.status, 0) + 1
        return counts

    async def events(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[bytes]:
        row = self.rows.get(execution_id)
        if row is not None:
            check_kept(execution_id, row.removed, "events")
        return row.events[after : after + max(1, limit)] if row else []

    async def needed(self, execution_id: str) -> list[bytes]:
        row = self.rows.get(execution_id)
        if row is not None:
            check_kept(execution_id, row.removed, "events")
        return _needed(row) if row else []

    async def outputs(self, execution_id: str, node_ids: Sequence[str] | None = None) -> dict[str, bytes]:
        row = self.rows.get(execution_id)
        kept = row.outputs if row else {}
        if node_ids is None:
            return {name: body for name, body in kept.items() if not name.startswith("$")}
        return {name: kept[name] for name in node_ids if name in kept}

    async def items(
        self,
        execution_id: str,
        step_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        succeeded: bool | None = None,
    ) -> Sequence[ItemResult]:
        row = self.rows.get(execution_id)
        ended = row.items.get(step_id, {}) if row else {}
        fitting = (ended[i] for i in sorted(ended) if i > after and succeeded in (None, ended[i].succeeded))
        return list(islice(fitting, limit))

    async def announced(self, *, limit: int) -> list[str]:
        rows = sorted((row for row in self.rows.values() if row.announce), key=lambda row: row.finished_at or 0)
        return [row.new.id for row in rows[:limit]]

    @writes
    async def told(self, execution_ids: Sequence[str]) -> None:
        for execution_id in execution_ids:
            if (row := self.rows.get(execution_id)) is not None:
                row.announce = False
                self.rows[execution_id] = row

    async def slot_holders(self, key: str) -> list[str]:
        return [*self._limiter.holders(key)]

    async def limits_of(self, execution_id: str) -> tuple[SlotLimit, ...]:
        return self._row(execution_id).new.limits

    def any_of(self, workflow_id: str) -> bool:
        """Whether there are executions of this workflow."""
        return any(row.new.workflow_id == workflow_id for row in self.rows.values())

    def forget(self, ids: set[str]) -> None:
        """Remove ended executions with all that belongs to them; keys have an age of their own."""
        for execution_id in ids:
            del self.rows[execution_id]
        self._idempotency.forget_owned(ids)
        self._triggers.forget_executions(ids)
        self.files.forget_executions(ids)

    def remove_part(self, part: ExecutionPart, before: float, batch: int) -> int:
        """Remove this part of up to `batch` executions that ended before."""
        old = [
            row
            for row in self.rows.values()
            if row.finished_at is not None and row.finished_at < before and part not in row.removed
        ][:batch]
        for row in old:
            if part == "events":
                row.remove_events()
            else:
                row.remove_payloads()
            self.rows[row.new.id] = row
        if part == "payloads":
            ids = {row.new.id for row in old}
            self._triggers.forget_executions(ids)
            self.files.forget_executions(ids)
        return len(old)

    def forget_fires(self, before: float, batch: int) -> int:
        """Remove up to `batch` keys of fires that are older."""
        old = [place for place, (_, at) in self._fires.items() if at < micros(before)][:batch]
        for place in old:
            del self._fires[place]
        return len(old)

    def _fits(self, row: ExecutionRow, where: ExecutionFilter) -> bool:
        new = row.new
        return (
            where.workflow_id in (None, new.workflow_id)
            and (where.statuses is None or row.status in where.statuses)
            and where.trigger_kind in (None, row.trigger_kind)
            and where.binding_id in (None, row.binding_id)
            and where.rerun_of in (None, new.rerun_of)
            and where.parent_execution_id in (None, new.parent_execution_id)
            and (where.created_after is None or new.created_at >= where.created_after)
            and (where.created_before is None or new.created_at < where.created_before)
            and has_labels(self.labels_of(new.workflow_id), where.labels)
            and is_within(new.workflow_id, self.labels_of(new.workflow_id), where.within)
            and (where.text is None or self._says(row, where.text))
        )

    def _says(self, row: ExecutionRow, text: str) -> bool:
        labels = [f"{name}={value}".encode() for name, value in self.labels_of(row.new.workflow_id).items()]
        values = [row.new.input, row.output or b"", row.error or b"", *labels]
        # bytes: in any case of ASCII letters, as in SQL
        return any(one.encode().lower() in value.lower() for one in spellings(text) for value in values)

    def _row(self, execution_id: str) -> ExecutionRow:
        if execution_id not in self.rows:
            raise NotFound("execution", execution_id)
        return self.rows[execution_id]

    # last in the class, so that `list` means the type everywhere above
    async def list(self, where: ExecutionFilter, *, limit: int, cursor: str | None = None) -> Page[Execution]:
        fitting = (row for row in self.rows.values() if self._fits(row, where))
        return page_of("executions", fitting, lambda row: row.place, _execution, limit=limit, cursor=cursor)


def _needed(row: ExecutionRow) -> list[bytes]:
    if (needed := row.outputs.get(NEEDED)) is None:
        return list(row.events)
    last_seq = len(row.events)
    return events_within(row.new.id, needed_ranges(loads(needed), last_seq), [(1, last_seq, row.events)])


def _turn(row: ExecutionRow) -> tuple[int, float, int, int]:
    """First what was begun and goes on, by the instant it fell due, then queued ones by priority, each oldest first."""
    assert row.due_at is not None
    fresh = row.status == "queued" and row.due_at != AT_ONCE
    return (1, 0.0, -row.new.priority, row.n) if fresh else (0, row.due_at, 0, row.n)


def _execution(row: ExecutionRow, *, whole: bool = False, output: bool = True) -> Execution:
    new = row.new
    return Execution(
        id=new.id,
        workflow_id=new.workflow_id,
        version=new.version,
        status=row.status,
        created_at=new.created_at,
        input=loads(new.input) if whole else None,
        trigger=trigger_from(new.trigger, payload=whole),
        engine=new.engine,
        started_at=row.started_at,
        finished_at=row.finished_at,
        output=loads(row.output) if whole and output and row.output is not None else None,
        error=failure_from(row.error),
        last_seq=row.events_removed or len(row.events),
        epoch=row.epoch,
        priority=new.priority,
        cancel_requested=row.cancel_requested,
        wake_at=row.wake_at,
        concurrency_key=new.limits[0].key if new.limits else None,
        rerun_of=new.rerun_of,
        idempotency_key=new.idempotency.key if new.idempotency else None,
        removed=row.removed,
    )
