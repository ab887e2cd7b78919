"""The execution store port: the log of events, its projections, and the queue that is the same rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aicflow.kernel.errors import EventsDamaged
from aicflow.kernel.execution import Execution, ExecutionStatus, WhenFull


@dataclass(slots=True)
class EventBatch:
    """Consecutive events, each already encoded as a JSON object; `first_seq` is the number of the first one."""

    first_seq: int
    events: list[bytes]

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.events) - 1


@dataclass(slots=True)
class Projection:
    """The execution's row after a batch. A terminal or waiting status ends the claim, a terminal one frees its slots.
    `announce`: once it has ended, `announced` is to return it until `told` is called."""

    status: ExecutionStatus
    started_at: float | None = None
    finished_at: float | None = None
    output: bytes | None = None
    error: bytes | None = None
    wake_at: float | None = None
    announce: bool = False


@dataclass(frozen=True, slots=True)
class SlotLimit:
    """At most `limit` executions hold `key` at once, from being admitted until a terminal status."""

    key: str
    limit: int
    when_full: WhenFull = "queue"


@dataclass(frozen=True, slots=True)
class Fire:
    """What a trigger's fire adds to the transaction that creates its execution. (binding_id, key) is unique when
    `key` is given, until `Maintenance.forget_keys`; the delivery is kept when `delivery_id` is given."""

    binding_id: str
    key: str | None
    delivery_id: str | None = None
    received_at: float = 0.0
    scheduled_for: float | None = None
    payload: bytes = b"null"


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Makes a repeated request find what the first one made: (scope, key) is unique, `fingerprint` tells a repeat from
    a mistake. A key is kept as long as the execution `owner` exists, or without an owner until its own age
    (`Maintenance.forget_keys`), whatever becomes of what it made."""

    scope: str
    key: str
    fingerprint: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ItemResult:
    """How an item of a map, or a pass of a repeat, ended. `step_id` is the step of the map, such as `each`; inside of
    an item of another, `each[3].inner`. `output` is encoded JSON, `error` an encoded failure report. One with the index
    -1 removes those kept before it of every step whose id begins with its `step_id`: what held them begins again.
    `masked`: the output held a secret, which is hidden in it. `first_seq`, `last_seq`: events of its steps."""

    step_id: str
    index: int
    succeeded: bool
    key: str | None = None
    output: bytes | None = None
    error: bytes | None = None
    masked: bool = False
    first_seq: int | None = None
    last_seq: int | None = None


@dataclass(slots=True)
class NewExecution:
    """An accepted execution. `input` and `trigger` are encoded JSON. `events` holds its first events, from seq 1;
    with `started_at`, it is born claimed and they tell of its start. `files`: what it holds of the files that are
    there (`FileStore`). `subjects`: keyed hashes of whom it is about. `requires`: see `WorkerStore.number`."""

    id: str
    workflow_id: str
    version: int
    created_at: float
    events: EventBatch
    input: bytes = b"null"
    trigger: bytes = b"{}"
    engine: str | None = None
    priority: int = 0
    available_at: float = 0.0
    limits: tuple[SlotLimit, ...] = ()
    fire: Fire | None = None
    idempotency: Idempotency | None = None
    rerun_of: str | None = None
    parent_execution_id: str | None = None
    parent_node_id: str | None = None
    parent_call: int = 0
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    started_at: float | None = None
    items: Sequence[ItemResult] = ()
    files: Collection[str] = ()
    subjects: Sequence[str] = ()
    requires: int = 0
    max_queued: int | None = None
    """How many executions with its trigger's `started_by` may be queued and never claimed, itself included."""


@dataclass(slots=True)
class Created:
    """What came of `create`. `duplicate`: the fire key or the idempotency key was used before, `execution_id` is the
    earlier one (its `fingerprint` beside it; None when that fire was skipped) and nothing was written. `epoch` is 1
    when the execution was born claimed, else 0: it is queued, and `admitted` says whether it holds its slots.
    `cancelled` lists executions whose cancel was requested by `cancel_oldest`. `skipped`: `when_full: skip` refused
    it; no execution was written, but its fire's key is used up and its delivery kept with the error `skipped`.
    `queue_full`: it would have been queued beyond its `max_queued`; nothing was written."""

    execution_id: str | None
    duplicate: bool = False
    fingerprint: str | None = None
    epoch: int = 0
    admitted: bool = True
    skipped: bool = False
    queue_full: bool = False
    cancelled: tuple[str, ...] = ()


@dataclass(slots=True)
class Appended:
    """What came of `append`. `admitted`: ids of queued executions that got the slots this one freed. `answers`: all
    that the execution has, if the append had subscriptions."""

    cancel_requested: bool = False
    admitted: tuple[str, ...] = ()
    answers: tuple[StoredAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer to a waiting step, kept until the step has run again. `value` is encoded JSON. `call` says which of
    the step's waits it answers, from 1; 0 for waits that an earlier version began."""

    node_id: str
    kind: Literal["answered", "retry", "skip", "fail"]
    value: bytes
    call: int = 0


@dataclass(frozen=True, slots=True)
class Subscription:
    """A wait of a step, from `at`, for an event of this name and key (None: any). Without `name`, that wait is over."""

    node_id: str
    call: int
    name: str | None = None
    key: str | None = None
    at: float = 0.0


@dataclass(slots=True)
class Claimed:
    """An execution this worker holds now, with all it needs to go on: its row (without output), the events that
    `ExecutionStore.needed` returns (none when only the first exists), outputs kept outside the events (without
    `$needed` and those of steps inside of bodies, whose ids have a `.`), answers that arrived, and the items that have
    ended: step id of the map → index → whether it succeeded. With `damage` its history cannot be read, so it can only
    be ended."""

    execution: Execution
    events: list[bytes]
    outputs: dict[str, bytes]
    answers: list[StoredAnswer]
    damage: EventsDamaged | None = None
    items: dict[str, dict[int, bool]] = field(default_factory=dict)


type Labels = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class WorkflowLimit:
    """The workflows of `ids`, and those whose current version has all of `labels`, if any. A deleted one has none."""

    ids: frozenset[str] = frozenset()
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions; every given condition must hold. `before` / `after` are instants of `created_at`. `labels`
    are those of the workflow's current version, each a name and a value (None: any). `text` is a part of the input,
    the output, the error or a label (`name=value`), in any case of ASCII letters."""

    workflow_id: str | None = None
    statuses: frozenset[str] | None = None
    trigger_kind: str | None = None
    binding_id: str | None = None
    rerun_of: str | None = None
    parent_execution_id: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    labels: Labels = ()
    text: str | None = None
    within: WorkflowLimit | None = None


@dataclass(frozen=True, slots=True)
class Page[T]:
    """One page of a list, newest first, and the cursor of the next page (None at the end)."""

    items: Sequence[T]
    next_cursor: str | None


class ExecutionStore(Protocol):
    """Executions. Appending events is an execution's only write after its creation and updates its projection in the
    same transaction; every call that writes returns only after its commit.

    Leases and due times go by the store's own clock; tests, and a worker whose clock was moved, say `at`."""

    async def create(
        self, new: NewExecution, *, worker: str | None = None, lease: float = 0.0, at: float | None = None
    ) -> Created:
        """Accept an execution: row, first event, fire, delivery, idempotency key and slots in one transaction.

        With `worker`, an admitted execution whose `available_at` has come is born claimed by it (status `running`,
        epoch 1) for `lease` seconds. Without its slots it stays queued until `append` of another frees them. A repeat,
        with the id, first events and input of one that is stored, does nothing and returns as the first did."""
        ...

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
        """Append the batch, if the claim `epoch` still holds and `batch.first_seq` follows the last event, and update
        the projection. `outputs` are step outputs too large for events, by node id; `consumed` are the waits, as node
        id and call, whose answers are removed (a terminal projection removes all of them); `items` are items that
        have ended. A subscription is answered at once with the first kept event that fits and that no wait of the
        execution has; when its wait is over without having been answered, what it was given is there for the next. A
        waiting or terminal projection ends the claim; an execution that becomes waiting while it has an answer or a
        cancel request is claimable at once. The terminal projection of an execution with a `parent_node_id` gives the
        wait `parent_call` of that step of its parent, unless the parent has ended, the answer `{"child": id}` in the
        same transaction, which makes the parent claimable if it waits. `files` are held from now on, if they are there.
        Raises StaleClaim; then nothing was written. A repeat, with the same epoch and the same events as are stored
        under their numbers, does nothing and returns: so a store, or its caller, that lost the answer to a write just
        writes again."""
        ...

    async def claim(
        self,
        worker: str,
        limit: int,
        *,
        lease: float,
        at: float | None = None,
        cancelled_only: bool = False,
        able: Collection[int] | None = None,
    ) -> Sequence[Claimed]:
        """Take up to `limit` executions that nobody works on: queued ones that are admitted and available (highest
        priority first, then oldest), any with a cancel requested, waiting ones whose `wake_at` has come or that have
        an answer, and running ones whose lease has expired. Each gets `epoch + 1`, status `running` and a lease of
        `lease` seconds. Two workers never get the same one. With `cancelled_only`, only those with a cancel requested
        that nobody holds: a worker that is full ends them nevertheless. With `able`, only those that require one of
        these, and what was cancelled before it began."""
        ...

    async def renew(
        self, worker: str, execution_ids: Sequence[str], *, lease: float, at: float | None = None
    ) -> frozenset[str]:
        """Let leases that this worker holds end in `lease` seconds; returns the ids whose cancel was requested."""
        ...

    async def hand_back(self, worker: str, execution_id: str, epoch: int, requires: int | None = None) -> None:
        """Give up a claim without an event: who has what it `requires` now can claim it at once. Quiet when stale."""
        ...

    async def reclaim(self, worker: str) -> int:
        """Expire the leases of every other worker and say how many: they are dead when an exclusive store opens."""
        ...

    async def next_due(self, *, at: float | None = None, able: Collection[int] | None = None) -> float | None:
        """Seconds until something becomes claimable by time alone, None when nothing will. `able` as in `claim`."""
        ...

    async def backlog(self, *, at: float | None = None) -> Mapping[int, tuple[int, float, int]]:
        """By requirement: how many are queued and could be claimed, for how many seconds the first, how many run."""
        ...

    async def request_cancel(self, execution_id: str) -> Execution:
        """Ask for the end of an execution; it becomes claimable at once when nobody runs it. Asking again, or after
        the end, changes nothing. Gives its row. Raises NotFound."""
        ...

    async def answer(self, execution_id: str, answer: StoredAnswer, seen: int | None = None) -> None:
        """Keep an answer for a waiting step and make the execution claimable. Raises NotFound; Conflict when the
        execution is not waiting or running, that wait of the step has an answer already, or (`step-moved`) the step
        has an event after `seen`, the last that its sender knew: the wait may be over, and its answer used."""
        ...

    async def get(self, execution_id: str) -> Execution:
        """The execution with input, output and error decoded. Raises NotFound."""
        ...

    async def list(self, where: ExecutionFilter, *, limit: int, cursor: str | None = None) -> Page[Execution]:
        """Executions without input and output, newest first. With `labels` or `text` a page may be short, or empty,
        and have a cursor nevertheless: one call looks at a bounded number of rows. Raises ValueError for a cursor it
        did not make."""
        ...

    async def count(self, where: ExecutionFilter) -> dict[str, int]:
        """How many there are by status."""
        ...

    async def events(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[bytes]:
        """Encoded events with seq > `after`, in order, about `limit` at most (never fewer than one when there are
        any). Empty for an unknown execution. Raises EventsDamaged."""
        ...

    async def needed(self, execution_id: str) -> Sequence[bytes]:
        """The encoded events that its output `$needed` names, `[seq, [[first, last], …]]`, and those with seq > `seq`;
        all when it has none: what a claim brings. Raises EventsDamaged."""
        ...

    async def outputs(self, execution_id: str, node_ids: Sequence[str] | None = None) -> dict[str, bytes]:
        """Encoded step outputs that were kept outside the events. Names that begin with `$` are not step outputs:
        they come with a claim, or when they are asked for by name. `$sealed:…` is removed when the execution ends,
        `$sealed`, its own output for the parent that waits for it, when that parent does."""
        ...

    async def items(
        self,
        execution_id: str,
        step_id: str,
        *,
        after: int = -1,
        limit: int = 1000,
        succeeded: bool | None = None,
    ) -> Sequence[ItemResult]:
        """Items of a map that ended, with index > `after`, in order; with `succeeded` those that did, or did not."""
        ...

    async def announced(self, *, limit: int) -> Sequence[str]:
        """Ids of executions whose end was to be announced and that `told` was not called for, by when they ended."""
        ...

    async def told(self, execution_ids: Sequence[str]) -> None: ...

    async def slot_holders(self, key: str) -> Sequence[str]:
        """Ids of the executions that hold a slot of this key, oldest first."""
        ...

    async def limits_of(self, execution_id: str) -> tuple[SlotLimit, ...]:
        """The limits an execution was created with."""
        ...
